"""`weft-geo preview`: a picture of objects over their scene."""

from __future__ import annotations

from pathlib import Path

import click

from .options import crs_option, overwrite_option
from .progress import Console


@click.command(short_help="Draw objects over their scene as a PNG.")
@click.argument("scene")
@click.argument("objects")
@click.option(
    "-o", "--output", required=True, type=click.Path(readable=False, path_type=Path), help="The .png file to write."
)
@click.option("--truth", metavar="FILE", help="Also outline these objects, in cyan.")
@click.option("--max-side", type=click.IntRange(16, 10_000), default=2000, show_default=True, help="Longest side, px.")
@crs_option
@overwrite_option
@click.pass_obj
def preview(
    console: Console,
    /,
    scene: str,
    objects: str,
    output: Path,
    truth: str | None,
    max_side: int,
    crs: str | None,
    overwrite: bool,
) -> None:
    """Draw the outlines of OBJECTS (magenta) over SCENE."""
    from weft_geo.geo.raster import open_raster
    from weft_geo.geo.whole_files import check_output

    from .layers import read_layer
    from .picture import FOUND, TRUE, draw_objects, read_picture, write_png

    check_output(output, overwrite=overwrite, suffixes=(".png",))
    found = read_layer(objects)
    with open_raster(scene, crs) as raster:
        picture = read_picture(raster, max_side)
        if truth is not None:
            draw_objects(picture, raster.info, read_layer(truth), TRUE)
        draw_objects(picture, raster.info, found, FOUND, fill=0.15)
    write_png(output, picture)
    console.note(f"{len(found)} objects over {raster.info.name} → {output}")
