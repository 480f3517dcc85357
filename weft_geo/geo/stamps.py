"""Whether files have changed: told by their sizes and times."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from stat import S_ISREG
from typing import Any

from weft_geo.errors import RunError, WeftGeoError
from weft_geo.geo.raster import open_raster
from weft_geo.geo.remote import is_remote

Stamp = list[int] | None
"""Size in bytes and time in nanoseconds; None of what is no local file."""

GDAL_PREFIX = re.compile(r"(/vsi(zip|tar|gzip|7z|rar)/)+")
"""What GDAL puts before the name of a local archive."""


def stamp_of(path: Any) -> Stamp:
    """Size and time of a local file, or of the archive that it is in, which tell whether it has changed.

    None for anything else.
    """
    if not isinstance(path, (str, Path)):
        return None
    place = Path(GDAL_PREFIX.sub("", str(path)))
    for candidate in (place, *place.parents) if GDAL_PREFIX.match(str(path)) else (place,):
        try:
            stat = candidate.stat()
        except (OSError, ValueError):  # not there, no name of a file, or in a folder that may not be looked into
            continue
        return [stat.st_size, stat.st_mtime_ns] if S_ISREG(stat.st_mode) else None
    return None


def stamps_of(files: Iterable[str]) -> list[Stamp]:
    """Those of all files that a scene is read from: of a VRT its tiles too, and a mask or a world file beside it.

    Not of what GDAL notes beside it, such as the statistics of a layer that QGIS has shown; what else may be noted
    there is in the raster's info and its nodata values.
    """
    return [stamp_of(file) for file in files if not file.lower().endswith(".aux.xml")]


def have_changed(files: Iterable[str], before: Iterable[Stamp]) -> bool:
    """Whether any of some files is not what it was; one that has been removed was read to its end all the same."""
    return any(now and now != then for now, then in zip(stamps_of(files), before, strict=True))


def changed_meanwhile(name: str | os.PathLike[str]) -> RunError:
    """What to say when what is read has changed while it was read."""
    return RunError(f"{name} was changed while it was read, so nothing was written; run it again")


def state_of(scene: str) -> list[Any]:
    """What tells whether a scene has changed; nothing does if it is far away, or cannot be opened."""
    if not is_remote(scene):
        with suppress(WeftGeoError), open_raster(scene) as raster:
            return [*stamps_of(raster.files), repr(raster.info), repr(raster.nodata_values)]
    return stamps_of([scene])
