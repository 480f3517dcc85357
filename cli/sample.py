"""`weft-geo sample`: a synthetic scene to try things on."""

from __future__ import annotations

from pathlib import Path

import click

from .options import overwrite_option
from .progress import Console


def parse_size(context: click.Context, parameter: click.Parameter, value: str) -> tuple[int, int]:
    """Read a side such as `1024`, or height and width as `768x1024`, in pixels."""
    try:
        sides = [int(part) for part in value.lower().split("x")]
    except ValueError:
        sides = []
    if len(sides) not in (1, 2) or min(sides) < 16 or max(sides) > 20_000:
        raise click.BadParameter(f"{value!r} is no size; give 1024 or 768x1024 (height x width), each 16 to 20000 px")
    return sides[0], sides[-1]


@click.command(short_help="Draw a synthetic scene with exact truth polygons.")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(file_okay=False, readable=False, path_type=Path),
    help="Folder for the files.",
)
@click.option(
    "--size", callback=parse_size, default="1024", show_default=True, metavar="PX|HxW", help="Height x width in pixels."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Another seed, another scene.")
@click.option("--gsd", type=click.FloatRange(0.05, 2), default=0.3, show_default=True, help="Metres per pixel.")
@click.option("--crs", default="EPSG:32645", show_default=True, metavar="EPSG:N", help="CRS of the scene.")
@overwrite_option
@click.pass_obj
def sample(
    console: Console, /, output: Path, size: tuple[int, int], seed: int, gsd: float, crs: str, overwrite: bool
) -> None:
    """Draw a georeferenced scene with streets, fields, trees, buildings and now and then ships.

    Writes scene.tif, and its exact truth as truth.gpkg and truth.geojson.
    """
    from weft_geo.datasets.synthetic import draw_scene, write_scene
    from weft_geo.errors import InputError

    if str(output) == "-":
        raise InputError("a sample is three files; give a folder with -o")
    files = write_scene(draw_scene(*size, seed, gsd), output, crs, overwrite)
    console.note(f"{size[0]} × {size[1]} px of {gsd:g} m with {files.objects} objects → {files.scene}, {files.truth}")
