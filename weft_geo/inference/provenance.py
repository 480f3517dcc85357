"""What an output says of how it came about."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from weft_geo.vector.polygonize import read_origin


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


def read_maker(output: Path, scene: str) -> str | None:
    """The run over many scenes that made this output of this scene."""
    said = read_provenance(output)
    return said.get("run") if said.get("scene") == scene else None


def count_objects(output: Path) -> int:
    """Objects in a layer of ours."""
    if output.suffix.lower() == ".parquet":
        import pyarrow.parquet

        return int(pyarrow.parquet.read_metadata(output).num_rows)
    import pyogrio

    layer = "objects" if output.suffix.lower() == ".gpkg" else None  # beside which lies its style for QGIS
    return int(pyogrio.read_info(output, layer=layer, force_feature_count=True)["features"])
