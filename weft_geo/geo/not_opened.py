"""What is said of a path that cannot be opened as a raster, after a look at what is there."""

from __future__ import annotations

import os
import tarfile
import zipfile
from pathlib import Path

from rasterio import DatasetBase

from weft_geo.errors import RasterError
from weft_geo.geo.access import is_endless, is_folder, is_link, is_local, why_closed
from weft_geo.geo.remote import refusal

SCENE_SUFFIXES = (".tif", ".tiff", ".jp2", ".vrt", ".img")
"""By which a scene is known among other files."""

PRODUCT = "*MTD_???L[12]*.xml"
"""The file that GDAL opens of a Sentinel-2 product: MTD_MSIL2A.xml, or S2A_OPER_MTD_SAFL1C_….xml until 2016."""

LISTED = 4
"""Rasters inside of a file that are told: the last of the four of a Sentinel-2 product is its image in true colours."""


def require_path(scene: object) -> None:
    """Makes sure that a scene is given by its name.

    Raises:
        RasterError: If it is an array or an open dataset, for instance, or the name of a device or a pipe.
    """
    if isinstance(scene, (str, os.PathLike)):
        if is_endless(scene):
            raise RasterError(f"{scene} is a device or a pipe, and a raster must be a file; write it to one first")
        return
    what = f"an object of type {type(scene).__name__}"
    advice = "write an array to a GeoTIFF with its CRS and transform first (rasterio.open)"
    if isinstance(scene, DatasetBase):
        what, advice = "an open dataset", "give its name, or write it to a file first if it is in memory"
    raise RasterError(f"a scene is the path of a raster, or whatever else GDAL opens by a name, not {what}; {advice}")


def _files_inside(archive: Path) -> list[str]:
    """What GDAL calls the files of an archive, the rasters alone if their names tell; none of what is no archive."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            prefix, names = "/vsizip", [name for name in zipped.namelist() if not name.endswith("/")]
    elif archive.is_file() and tarfile.is_tarfile(archive):
        with tarfile.open(archive) as tarred:
            prefix, names = "/vsitar", [member.name for member in tarred if member.isfile()]
    else:
        return []
    rasters = [name for name in names if name.lower().endswith(SCENE_SUFFIXES)]
    return [f"{prefix}/{archive.absolute()}/{name}" for name in rasters or names]


def not_opened(path: str | Path, error: Exception) -> RasterError:
    """The error to raise, with the next step.

    Args:
        path: As it was given.
        error: GDAL's own.
    """
    local = Path(path)
    try:
        if is_local(path):
            local.stat()  # Path.exists does not tell what may not be looked at from what is not there
    except (FileNotFoundError, NotADirectoryError, ValueError):  # the last: a name that no file can have
        if is_link(local):
            return RasterError(f"{path} is a link to {local.readlink()}, which does not exist")
        beside = sorted(item.name for item in local.parent.glob("[!.]*") if item.suffix.lower() in SCENE_SUFFIXES)
        others = f"; in that folder there are {', '.join(beside[:5])}" if beside else ""
        return RasterError(f"{path} does not exist{others}")
    except OSError as denied:
        return _closed(path, denied.strerror)
    if is_local(path) and (reason := why_closed(local)):
        return _closed(path, reason)
    if is_folder(local):
        product = product_in(local)
        return RasterError(f"{path} is a folder, not a raster; give {product or 'the file inside it'}")
    if inside := _files_inside(local):
        return RasterError(f"{path} is an archive; give the raster in it: {some(inside)}")
    return RasterError(f"{path} cannot be opened as a raster: {refusal(error) or error}")


def _closed(path: str | Path, reason: str | None) -> RasterError:
    return RasterError(f"{path} cannot be opened: {reason}; see to it that you may read it, or give another one")


def product_in(folder: Path) -> Path | None:
    """The file of a Sentinel-2 product in a folder that stands for all of it, if the folder is one."""
    return next(iter(sorted(folder.glob(PRODUCT))), None)


def some(names: list[str]) -> str:
    """The first of some names."""
    return " or ".join(names[:LISTED]) + (" …" if len(names) > LISTED else "")
