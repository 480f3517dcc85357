"""`weft-geo explain`: what a model does inside with an image, and how its training went."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

import click

from .options import crs_option, overwrite_option
from .progress import Console


@click.command(short_help="Show the experts a model chooses for an image, and where it sees boundaries.")
@click.argument("image")
@click.option(
    "-o", "--output", required=True, type=click.Path(readable=False, path_type=Path), help="The .png file to write."
)
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    help="A checkpoint (.safetensors), or a run's folder, whose curves are drawn too.  [default: embedded]",
)
@click.option("--trunk", type=click.Path(path_type=Path), help="The trunk that an adapter-only checkpoint belongs to.")
@click.option(
    "--max-side",
    type=click.IntRange(32, 4096),
    default=1024,
    show_default=True,
    help="A larger image is reduced to this, in pixels.",
)
@crs_option
@overwrite_option
@click.pass_obj
def explain(
    console: Console,
    /,
    image: str,
    output: Path,
    model: Path | None,
    trunk: Path | None,
    max_side: int,
    crs: str | None,
    overwrite: bool,
) -> None:
    """Run IMAGE through a WEFT and draw its probability, the boundary mask of ESTO and the wavelet experts chosen.

    An image much finer than the model was trained at is reduced to that, as predict does. Writes the picture, beside it
    a .json with the same numbers, and for a run its curves. Needs the train extra.
    """
    from weft_geo.geo.access import is_folder
    from weft_geo.geo.normalize import measure_normalizer, select_bands
    from weft_geo.geo.raster import open_raster
    from weft_geo.geo.whole_files import check_output, written_whole

    from .picture import read_picture

    run = model if model is not None and is_folder(model) else None
    check_output(output, overwrite=overwrite, suffixes=(".png",))
    curves = output.with_name(f"{output.stem}_curves.png")
    for beside in (output.with_suffix(".json"), *([curves] if run else [])):
        check_output(beside, overwrite=overwrite)
    checkpoint = model or Path("embedded")

    from weft_geo.models import load_checkpoint
    from weft_geo.models.explain import draw_explanation
    from weft_geo.models.explain import explain as look

    loaded = load_checkpoint(checkpoint, trunk)
    with ExitStack() as opened:
        raster = opened.enter_context(open_raster(image, crs))
        bands, _ = select_bands(raster.info, loaded.contract.bands)
        normalizer = measure_normalizer(raster, bands, loaded.contract)
        gsd_m = loaded.contract.gsd_m
        change = raster.info.resampling("auto", gsd_m) if raster.info.crs else None
        if change and change.coarser:
            console.note(f"{raster.info.name} is reduced to {gsd_m:g} m a pixel, as predict does for this model")
            raster = opened.enter_context(raster.resampled(change))
        values, valid = raster.sample(bands, max_side)
        picture = read_picture(raster, max_side)
    found = look(loaded, normalizer(values, valid)[None])
    with written_whole(output) as beside:
        draw_explanation(found, picture.transpose(1, 2, 0)).savefig(beside, format="png", dpi=110)
    text = json.dumps({"image": image, "model": str(checkpoint), "scales": found.experts()}, indent=2)
    with written_whole(output.with_suffix(".json")) as beside:
        beside.write_text(text + "\n", encoding="utf-8")
    for scale in found.experts():
        chosen = sorted((e for e in scale["experts"] if e["weight"] > 0), key=lambda e: -e["weight"])
        experts = ", ".join(f"{e['kernel_size']}×{e['kernel_size']} ({e['weight']:.2f})" for e in chosen)
        console.result(f"stride {scale['stride']:<3} {experts}")
    console.note(f"{image} → {output}, {output.with_suffix('.json')}")
    if run is not None:
        from weft_geo.trainers.curves import draw_curves

        with written_whole(curves) as beside:
            draw_curves(run).savefig(beside, format="png", dpi=110)
        console.note(f"the curves of {run} → {curves}")
