"""What an output says of how it came about."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from stat import S_ISREG
from typing import Any

from weft_geo.errors import WeftGeoError
from weft_geo.geo.raster import open_raster
from weft_geo.geo.remote import is_remote
from weft_geo.vector.polygonize import read_origin

GDAL_PREFIX = re.compile(r"(/vsi(zip|tar|gzip|7z|rar)/)+")
"""What GDAL puts before the name of a local archive."""


def stamp_of(path: Any) -> list[int] | None:
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


def stamps_of(files: Iterable[str]) -> list[list[int] | None]:
    """Those of all files that a scene is read from: of a VRT its tiles too, and a mask or a world file beside it.

    Not of what GDAL notes beside it, such as the statistics of a layer that QGIS has shown; what else may be noted
    there is in the raster's info and its nodata values.
    """
    return [stamp_of(file) for file in files if not file.lower().endswith(".aux.xml")]


def state_of(scene: str) -> list[Any]:
    """What tells whether a scene has changed; nothing does if it is far away, or cannot be opened."""
    if not is_remote(scene):
        with suppress(WeftGeoError), open_raster(scene) as raster:
            return [*stamps_of(raster.files or (scene,)), repr(raster.info), repr(raster.nodata_values)]
    return stamps_of([scene])


def read_provenance(output: Path) -> dict[str, Any]:
    """Reads what was noted in or beside a layer; empty where there is none, or none that can be read.

    Values of a GeoPackage are text, those that were none as JSON.
    """
    suffix = output.suffix.lower()
    try:
        if suffix in (".tif", ".tiff"):
            found = read_origin(output)
        elif suffix == ".parquet":
            import pyarrow.parquet

            metadata = pyarrow.parquet.read_metadata(output).metadata or {}
            found = json.loads(metadata.get(b"weft_geo.provenance", b"{}"))
        elif suffix == ".gpkg":
            import pyogrio

            found = pyogrio.read_info(output, layer="objects").get("layer_metadata")
        else:
            found = json.loads(output.with_name(f"{output.name}.json").read_text(encoding="utf-8"))
    except Exception:  # three libraries' own errors; a file that is none of ours may be anything
        return {}
    return found if isinstance(found, dict) else {}


def count_objects(output: Path) -> int:
    """Objects in a layer of ours."""
    if output.suffix.lower() == ".parquet":
        import pyarrow.parquet

        return int(pyarrow.parquet.read_metadata(output).num_rows)
    import pyogrio

    layer = "objects" if output.suffix.lower() == ".gpkg" else None  # beside which lies its style for QGIS
    return int(pyogrio.read_info(output, layer=layer, force_feature_count=True)["features"])
