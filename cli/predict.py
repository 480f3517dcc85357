"""`weft-geo predict`: scenes to objects."""

from __future__ import annotations

import time
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import click

from .options import VECTOR_SUFFIXES, crs_option, overwrite_option, progress_option, tta_option, vector_options
from .progress import Console


def require_scenes(context: click.Context, parameter: click.Parameter, words: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse a line without scenes; words come after all options that were given, see `click.Context.params`."""
    if not words and context.params.get("listed") is None:
        advice = "Give a raster, a folder of rasters, or a list of them with --scenes"
        raise click.MissingParameter(advice, context, parameter)
    return words


@click.command(short_help="Find the objects of one or several scenes.")
@click.argument("words", metavar="SCENE...", nargs=-1, callback=require_scenes)
@click.option("--scenes", "listed", metavar="FILE|-", help="More of them, one path a line, from a file or stdin.")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(readable=False, path_type=Path),
    help=f"For one scene a file ({' '.join(VECTOR_SUFFIXES)}); for several a folder.",
)
@click.option("--model", default="embedded", show_default=True, metavar="NAME|PATH", help="Also a run's folder.")
@vector_options
@click.option("--window", type=click.IntRange(min=1), metavar="PX", help="Side of a window.  [default: the model's]")
@click.option("--overlap", type=click.IntRange(min=0), metavar="PX", help="What windows share.  [default: the model's]")
@click.option("--batch-size", type=click.IntRange(min=1), metavar="N", help="Windows at once.  [default: chosen]")
@click.option(
    "--device",
    default="auto",
    show_default=True,
    metavar="auto|cpu|cuda|cuda:N,…",
    help="Where to run; auto takes a GPU where the model can use one, cuda:0,cuda:1 share out each scene.",
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
    default="auto",
    show_default=True,
    help="For checkpoints; an ONNX model runs as it was exported.",
)
@click.option("--bands", metavar="3,2,1", help="Bands to use, in the model's order.  [default: chosen]")
@click.option(
    "--gsd",
    default="auto",
    show_default=True,
    metavar="auto|native|METRES",
    help="Ground sampling distance to work at; auto resamples where scene and model differ by more than 1.5 times.",
)
@click.option(
    "--aoi",
    metavar="FILE|minx,miny,maxx,maxy",
    help="Leave out the rest; a box is in the scene's CRS, or in the one behind it: 85.5,27.6,85.6,27.7,EPSG:4326.",
)
@crs_option
@click.option(
    "--format",
    "suffix",
    type=click.Choice([suffix[1:] for suffix in VECTOR_SUFFIXES]),
    callback=lambda context, parameter, value: value and f".{value}",
    help="Of the objects where -o is a folder; a file's suffix says it.  [default: gpkg]",
)
@click.option("--mask", type=click.Path(readable=False, path_type=Path), help="Also write the classes as a GeoTIFF.")
@click.option(
    "--probability",
    type=click.Path(readable=False, path_type=Path),
    help="Also write the probabilities x 255 as a GeoTIFF.",
)
@tta_option
@click.option(
    "--max-memory",
    metavar="4GB",
    help="Stay within it; small scenes are then run one at a time.  [default: half of what is free for buffers]",
)
@click.option(
    "--workers", type=click.IntRange(min=1), metavar="N", help="Threads beside the model's.  [default: chosen]"
)
@click.option(
    "--resume/--no-resume",
    default=True,
    show_default=True,
    help="Go on from where the same run was stopped, or start anew.",
)
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Run here, or on a Ray cluster: several scenes at once, the windows of one scene shared out.",
)
@overwrite_option
@click.option("--mosaic", is_flag=True, help="Take all SCENEs as the tiles of one; later ones cover earlier ones.")
@click.option("--dry-run", is_flag=True, help="Print the plan and the memory it would take; write nothing.")
@progress_option
@click.pass_obj
def predict(
    console: Console,
    /,
    words: tuple[str, ...],
    listed: str | None,
    output: Path,
    model: str,
    device: str,
    precision: str,
    suffix: str | None,
    mask: Path | None,
    probability: Path | None,
    engine: str,
    overwrite: bool,
    mosaic: bool,
    dry_run: bool,
    **options: Any,
) -> None:
    """Find the objects of SCENE and write them as polygons.

    SCENE may also be a folder, which stands for the rasters in it, or a pattern in quotes.

    With several scenes -o, --mask and --probability are folders: scene.tif becomes scene.gpkg, and ledger.json
    lists how each scene went. Of equal names, a/scene.tif becomes a_scene.gpkg. A scene that fails does not stop the
    others; the exit code is 3 then. Run again, only the scenes that are not done are run.

    A run that was stopped or killed goes on where it was when the same command is given again.
    """
    from weft_geo.errors import InputError
    from weft_geo.inference import load_predictor

    if engine == "ray" and device.startswith("cuda:"):
        raise InputError(
            f"a worker of a cluster sees one GPU, whichever it is; give --device cuda in place of {device}"
        )

    from .jobs import as_one_scene, plan_jobs, run_jobs
    from .scenes import find_scenes

    began = time.perf_counter()
    scenes = find_scenes(words, listed)
    load = partial(load_predictor, model, device, precision)
    with as_one_scene(scenes, output, dry_run) if mosaic else nullcontext(scenes) as several:
        jobs = plan_jobs(several, output, mask, probability, suffix)
        jobs.check(overwrite, dry_run)
        if dry_run:
            _print_plans(console, several, load(), mask is not None, probability is not None, options)
            return
        found = run_jobs(jobs, load, console, engine, overwrite, options)
    console.note(f"{found} objects → {output} ({time.perf_counter() - began:.1f} s)")


def _print_plans(
    console: Console, /, scenes: tuple[str, ...], predictor: Any, mask: bool, probability: bool, options: dict[str, Any]
) -> None:
    """Print what a run would do, scene by scene, without doing it; of several, also which ones could only fail."""
    from weft_geo.errors import PartialRunError, RunError, WeftGeoError
    from weft_geo.inference import plan_scene
    from weft_geo.vector import VectorOptions

    planned = {key: options[key] for key in ("window", "overlap", "batch_size", "bands", "crs", "gsd", "aoi")}
    planned |= {key: options[key] for key in ("max_memory", "workers")}
    vector = {key: value for key, value in options.items() if key not in (*planned, "tta", "resume")}
    for name in ("threshold", "min_area_m2"):
        vector[name] = getattr(predictor.contract, name) if vector[name] is None else vector[name]
    VectorOptions(**vector)
    failed = 0
    for scene in scenes:
        try:
            plan = plan_scene(scene, predictor, mask=mask, probability=probability, **planned)
        except WeftGeoError as error:
            if len(scenes) == 1:
                raise
            failed += 1
            console.warn(f"{scene} would fail: {error}")
            continue
        console.result(
            f"{plan.scene}: {plan.height} × {plan.width} px of {plan.pixel} in {plan.crs}, "
            f"bands {','.join(map(str, plan.bands))}\n"
            f"  model {plan.model} on {predictor.device}: {plan.windows} windows of "
            f"{plan.window[0]} × {plan.window[1]} px sharing {plan.overlap}, {plan.batch_size} at once"
            f"{f', in {plan.blocks} blocks of columns' if plan.blocks > 1 else ''}\n"
            f"  memory about {plan.memory_bytes / 2**20:.0f} MiB"
        )
        for warning in plan.warnings:
            console.warn(f"{scene}: {warning}" if len(scenes) > 1 else warning)
    if failed:
        message = f"{failed} of {len(scenes)} scenes would fail"
        raise PartialRunError(message) if failed < len(scenes) else RunError(message)
