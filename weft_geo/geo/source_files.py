"""Which files a raster is read from, those too that GDAL does not list."""

from __future__ import annotations

from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

import rasterio
from rasterio.errors import RasterioIOError

ZARR_HEADS = (".zarray", "zarr.json")
"""Names of the file that GDAL lists of a Zarr array, of versions 2 and 3."""
MRF_PARTS = (".idx", ".ppg", ".pjg", ".pzp", ".ptf", ".lrc", ".til", ".qb3")
"""Suffixes of what lies beside an MRF (https://gdal.org/en/stable/drivers/raster/marfa.html)."""


def source_files(dataset: Any) -> tuple[str, ...]:
    """The files of an open dataset: its own first, then those beside it, or the tiles of a VRT, and theirs."""
    found = list(dataset.files)
    for file in found:  # grows meanwhile: GDAL does not look into VRTs of VRTs
        if file != found[0] and file.lower().endswith(".vrt"):
            with suppress(RasterioIOError), rasterio.open(file) as tile:
                found += [other for other in tile.files if other not in found]
    return tuple(dict.fromkeys(chain(found, *map(_unlisted, found))))


def _unlisted(file: str) -> list[str]:
    """What GDAL reads beside a file that it lists: the chunks of a Zarr array, the index and the tiles of an MRF."""
    place = Path(file)
    if place.name in ZARR_HEADS:
        return sorted(str(chunk) for chunk in place.parent.rglob("*") if chunk.is_file())
    if place.suffix.lower() == ".mrf":
        return [str(part) for part in map(place.with_suffix, MRF_PARTS) if part.is_file()]
    return []
