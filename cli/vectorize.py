"""`weft-geo vectorize`: a mask or probability raster to objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .options import VECTOR_SUFFIXES, crs_option, overwrite_option, progress_option, vector_options
from .progress import Console


@click.command(short_help="Turn a mask or probability raster into objects.")
@click.argument("raster")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(readable=False, path_type=Path),
    help=f"The layer to write ({' '.join(VECTOR_SUFFIXES)}).",
)
@vector_options
@click.option("--classes", metavar="A,B,…", help="Names of the classes 1, 2 …; the raster is a class map then.")
@crs_option
@click.option("--max-memory", metavar="1GB", help="Stay within it.  [default: no limit]")
@overwrite_option
@progress_option
@click.pass_obj
def vectorize(
    console: Console,
    /,
    raster: str,
    output: Path,
    crs: str | None,
    max_memory: str | None,
    overwrite: bool,
    classes: str | None,
    **options: Any,
) -> None:
    """Outline the objects of RASTER: a mask (0/1 or 0/255), a class map, or probabilities (uint8 x 255, or 0 … 1).

    Of a raster that weft-geo predict wrote, it gives the objects that predict gave: threshold and least area are the
    ones that predict had, unless they are given here.
    """
    from weft_geo.vector.options import VectorOptions
    from weft_geo.vector.polygonize import read_origin, vectorize_raster

    origin = read_origin(raster).get("parameters", {})
    for name in ("threshold", "min_area_m2"):  # None is for the model to say whose raster it is, if it is any's
        if options[name] is None:
            options[name] = origin.get(name, getattr(VectorOptions, name))
    names = [name.strip() for name in classes.split(",")] if classes else None
    count = vectorize_raster(
        raster,
        output,
        VectorOptions(**options),
        crs,
        overwrite,
        progress=console.progress,
        classes=names,
        max_memory=max_memory,
    )
    console.note(f"{count} objects → {output}")
