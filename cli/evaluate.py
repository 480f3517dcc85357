"""`weft-geo evaluate`: how good objects, maps or a checkpoint are, against the truth."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import click

from .object_scores import score_objects
from .options import (
    VECTOR_SUFFIXES,
    json_option,
    least_area_option,
    overwrite_option,
    progress_option,
    threshold_option,
    tta_option,
)
from .progress import Console
from .scene_scores import score_scenes

if TYPE_CHECKING:
    from weft_geo.metrics.folders import Evaluation
    from weft_geo.vector.layer_file import LayerFile

OBJECTS = "--objects A --truth B"
SCENES = "MODEL --images A.tif --labels X.gpkg"
MAPS = "--predictions DIR --truth DIR"
BENCHMARK = "MODEL --dataset NAME --data-root DIR"
GO_WITH = {
    **dict.fromkeys(("aoi", "class_field", "errors"), (OBJECTS, SCENES)),
    **dict.fromkeys(("threshold", "min_area_m2", "tta"), (SCENES,)),
}
"""The ways that an option is for, where that is not all."""


@click.command(short_help="Score objects, probability maps or a checkpoint against the truth.")
@click.argument("checkpoint", required=False, metavar="[MODEL]")
@click.argument("more_images", nargs=-1, metavar="[B.tif]...")
@click.option("--objects", metavar="A.gpkg", help="Objects that were found, against --truth B.gpkg.")
@click.option("--predictions", metavar="DIR", help="Probability maps, against --truth DIR of masks of the same names.")
@click.option("--images", multiple=True, metavar="A.tif", help="Run MODEL on these scenes; repeat it, or list them.")
@click.option("--labels", multiple=True, metavar="X.gpkg", help="The polygons on them, in any CRS and vector format.")
@click.option("--dataset", metavar="NAME", help="Run a checkpoint on this benchmark; see weft-geo datasets.")
@click.option("--data-root", metavar="DIR", help="Where the benchmark is.")
@click.option("--truth", metavar="B", help="What is there: a layer, in any CRS, or a folder of masks.")
@click.option(
    "--iou",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.5,
    show_default=True,
    help="Least intersection over union of a found object and its true partner.",
)
@click.option(
    "--class-field",
    metavar="NAME",
    help="Attribute of the truth or the labels that says what an object is; only objects of one class become pairs.  "
    "[default: class, if both layers have it]",
)
@click.option(
    "--aoi",
    metavar="FILE|minx,miny,maxx,maxy",
    help="Only objects there count; a box is in the CRS of the found objects or the scene, or in the one behind it: "
    "85.5,27.6,85.6,27.7,EPSG:4326.",
)
@threshold_option
@least_area_option
@tta_option
@click.option(
    "--errors",
    metavar="OUT.gpkg",
    help=f"Write the objects of both layers there, each marked right, wrong or missed ({' '.join(VECTOR_SUFFIXES)}).",
)
@overwrite_option
@click.option(
    "--normalize",
    type=click.Choice(["minmax", "none"]),
    default="minmax",
    show_default=True,
    help="Scale each map by its own minimum and maximum, as PySODMetrics does, or leave it.",
)
@click.option("--split", metavar="NAME", default="test", show_default=True, help="Of the benchmark.")
@click.option(
    "--passes",
    type=click.Choice(["research", "single", "own"]),
    default="research",
    show_default=True,
    help="Scales and flips as in the research configuration, one look at a short side of 512 px, or one at the "
    "picture's own size, as while training.",
)
@click.option("--trunk", metavar="FILE", help="For an adapter-only checkpoint, the trunk it was trained on.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--maps", metavar="DIR", help="Keep the maps of a checkpoint there.")
@click.option("--pictures", metavar="DIR", help="Write pictures of the worst and the best maps there.")
@click.option("--examples", type=click.IntRange(1), default=8, show_default=True, help="Worst and best pictures, each.")
@click.option("--workers", type=click.IntRange(1), help="Processes that score.  [default: one per core]")
@progress_option
@json_option
@click.pass_obj
def evaluate(console: Console, /, **options: Any) -> None:
    """Score objects, probability maps or a checkpoint against the truth.

    \b
    weft-geo evaluate --objects found.gpkg --truth true.gpkg
    weft-geo evaluate runs/mine --images a.tif b.tif --labels true.gpkg
    weft-geo evaluate --predictions maps/ --truth masks/
    weft-geo evaluate model.safetensors --dataset eorssd --data-root data/EORSSD

    Objects are paired one to one by their intersection over union (IoU), within their class where both layers tell
    classes. A model on your own scenes is also scored pixel by pixel. Maps are resized to the size of their truth and
    scored by PySODMetrics; the output says how maps were scaled, and which mIoU and which F is meant.
    """  # noqa: D301  (click looks for the character \b, not for its two letters)
    images = (*options["images"], *options.pop("more_images"))
    way = _way(options, images)
    if way == SCENES:
        with _errors_of(options, images) as errors:
            score_scenes(console, options, images, errors)
    elif way == OBJECTS:
        with _errors_of(options, images) as errors:
            score_objects(console, options, errors)
    elif way == MAPS:
        _predictions(console, options)
    else:
        _checkpoint(console, options)


def _way(options: dict[str, Any], images: Sequence[str]) -> str:
    """What is to be scored; all that it takes is there."""
    scenes = bool(images or options["labels"])
    asked = {
        OBJECTS: options["objects"] is not None,
        SCENES: scenes,
        MAPS: options["predictions"] is not None,
        BENCHMARK: options["dataset"] is not None or (options["checkpoint"] is not None and not scenes),
    }
    if sum(asked.values()) != 1:
        raise click.UsageError(f"give one of: {'; '.join(asked)}")
    way = next(way for way, chosen in asked.items() if chosen)
    for name, ways in GO_WITH.items():
        if options[name] not in (None, "none") and way not in ways:
            raise click.UsageError(f"--{name.replace('_', '-')} goes with {' or '.join(ways)}")
    if way in (OBJECTS, MAPS) and options["truth"] is None:
        raise click.UsageError("--truth is missing: what to compare with")
    needed = {
        SCENES: {"MODEL": options["checkpoint"], "--images": images, "--labels": options["labels"]},
        BENCHMARK: {
            "MODEL": options["checkpoint"],
            "--dataset": options["dataset"],
            "--data-root": options["data_root"],
        },
    }
    for name, given in needed.get(way, {}).items():
        if not given:
            raise click.UsageError(f"{name} is missing: give {way}")
    return way


def _errors_of(options: dict[str, Any], images: Sequence[str]) -> AbstractContextManager[LayerFile | None]:
    """The layer of errors that is wanted, if any: no other run may write it until this one ends."""
    if not options["errors"]:
        return nullcontext()
    from weft_geo.vector.errors_layer import open_errors

    inputs = [*images, *options["labels"], *(options[name] for name in ("objects", "truth", "aoi"))]
    return open_errors(options["errors"], options["overwrite"], inputs)


def _require_folders(options: dict[str, Any], *names: str) -> None:
    """Refuse what cannot be written to before anything is scored."""
    from pathlib import Path

    from weft_geo.geo.access import require_writable

    for name in names:
        if options[name]:
            require_writable(Path(options[name]))


def _predictions(console: Console, options: dict[str, Any]) -> None:
    from weft_geo.metrics.folders import score_folders

    _require_folders(options, "pictures")
    result, files = score_folders(
        options["predictions"], options["truth"], options["normalize"], options["workers"], console.progress
    )
    if result.unmatched:
        console.warn(f"{result.unmatched} predictions have no truth of the same name and took no part")
    if options["pictures"]:
        from .examples import write_examples

        triples = [(None, pair.image, pair.mask) for pair in files]
        write_examples(console, options["pictures"], result, triples, options["examples"])
    _report(console, result, f"{options['predictions']} against {options['truth']}", options["as_json"])


def _checkpoint(console: Console, options: dict[str, Any]) -> None:
    import tempfile
    from pathlib import Path

    from weft_geo.datasets.registry import load_dataset
    from weft_geo.metrics.benchmark import evaluate_model
    from weft_geo.metrics.multiscale import OWN, RESEARCH, SINGLE
    from weft_geo.models import load_checkpoint

    _require_folders(options, "maps", "pictures")
    data = load_dataset(options["dataset"], options["data_root"], options["split"])
    model = load_checkpoint(options["checkpoint"], options["trunk"])
    with tempfile.TemporaryDirectory() as scratch:
        maps = Path(options["maps"] or scratch)
        result = evaluate_model(
            model,
            data,
            maps,
            {"research": RESEARCH, "single": SINGLE, "own": OWN}[options["passes"]],
            normalize=options["normalize"],
            device=options["device"],
            workers=options["workers"],
            progress=console.progress,
        )
        if options["pictures"]:
            from .examples import write_examples

            triples = [(pair.image, maps / f"{pair.name}.png", pair.mask) for pair in data.pairs]
            write_examples(console, options["pictures"], result, triples, options["examples"])
    title = f"{options['checkpoint']} on {data.benchmark.title}, {options['split']}, {options['passes']} passes"
    _report(console, result, title, options["as_json"])


_TABLE = (
    ("miou", "mIoU", "background and object, all pixels together, maps as they are at > 0.5 (mmsegmentation)"),
    ("mdice", "mDice", "likewise"),
    ("iou", "IoU", "object alone, all pixels together, at > 0.5"),
    ("dice", "Dice", "likewise"),
    ("s_measure", "S", "structure measure, α = 0.5"),
    ("adaptive_e", "E adaptive", "each map at twice its mean"),
    ("mean_e", "E mean", "of 256 thresholds"),
    ("max_e", "E max", "of 256 thresholds"),
    ("adaptive_f", "F adaptive", "β² = 0.3, each map at twice its mean"),
    ("mean_f", "F mean", "β² = 0.3, of 256 thresholds"),
    ("max_f", "F max", "β² = 0.3, of 256 thresholds"),
    ("weighted_f", "F weighted", "β² = 1"),
    ("mean_image_iou", "image IoU", "object, mean of maps and of 256 thresholds"),
    ("mean_image_dice", "image Dice", "likewise (meanDice of the polyp papers)"),
    ("mae", "MAE", ""),
)


def _report(console: Console, result: Evaluation, title: str, as_json: bool) -> None:
    how = {
        "normalize": result.normalize,
        "resize": "bilinear, to the truth's size",
        "resized": result.resized,
        "truth": "object above 128, or 1 in masks of 0 and 1",
    }
    if as_json:
        images = [{"name": s.name, "iou": s.iou, **s.values} for s in result.scores]
        facts = {"title": title, "maps": len(result.scores), "protocol": how, "figures": result.figures}
        console.result(json.dumps(facts | {"images": images}, ensure_ascii=False))
        return
    scaled = "scaled by its own minimum and maximum" if result.normalize == "minmax" else "taken as it is"
    lines = [title, f"{len(result.scores)} maps; each {scaled}; {result.resized} resized bilinearly to their truth"]
    lines += [f"{label:<11} {result.figures[name]:.4f}   {note}".rstrip() for name, label, note in _TABLE]
    console.result("\n".join(lines))
