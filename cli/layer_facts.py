"""What a vector layer is, and how it came about if it is one of ours; no geometry is read."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from weft_geo.errors import VectorError
from weft_geo.geo.access import is_local, what_hinders
from weft_geo.geo.vector_file import PARQUET_SUFFIXES, require_plain_name

ORDER = ("software", "model", "model_sha256", "scene", "time", "parameters")
NOT_OURS = "nothing in or beside it says that weft-geo made it"


def describe_layer(path: str) -> dict[str, Any]:
    """Say what a vector layer is: of several in a file `objects`, or else the first.

    Returns:
        `kind` is `objects` for an output of weft-geo, with its provenance and how many objects each class has, and
        `layer` for any other; `epsg` is None for a CRS without a number.

    Raises:
        VectorError: It is missing, is no vector file, or holds no geometry.
    """
    from weft_geo.inference.provenance import read_provenance

    if is_local(path):
        if hindrance := what_hinders(path):
            raise VectorError(f"{path} {hindrance}")
        require_plain_name(path)
    is_parquet = Path(path).suffix.lower() in PARQUET_SUFFIXES
    facts, layer = _describe_parquet(path) if is_parquet else _describe_with_gdal(path)
    said = {key: _value(text) for key, text in read_provenance(Path(path)).items()}
    said = {key: said[key] for key in ORDER if key in said} | said
    if not str(said.get("software", "")).startswith("weft-geo"):
        return {"kind": "layer", **facts, "note": NOT_OURS}
    classes: Counter[str] = Counter()
    for batch in _classes_in_parquet(path) if is_parquet else _classes_with_gdal(path, layer):
        classes.update({pair["values"]: pair["counts"] for pair in batch.column("class").value_counts().to_pylist()})
    return {"kind": "objects", "count": facts.pop("count"), "classes": dict(classes), **facts, **said}


def _describe_with_gdal(path: str) -> tuple[dict[str, Any], str]:
    import pyogrio

    try:
        layers = [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]
        if not layers:
            raise VectorError(f"{path} holds no layer with geometry")
        layer = "objects" if "objects" in layers else layers[0]
        info = pyogrio.read_info(path, layer=layer, force_feature_count=True, force_total_bounds=True)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, OSError) as error:
        raise VectorError(f"{path} cannot be read as a vector layer: {error}") from error
    facts = {
        "count": int(info["features"]),
        "geometry": info["geometry_type"],
        **_place(info["crs"], info["total_bounds"]),
        "fields": [str(name) for name in info["fields"]],
        **({"layers": layers} if len(layers) > 1 else {}),
    }
    return facts, layer


def _describe_parquet(path: str) -> tuple[dict[str, Any], str]:
    import pyarrow as pa
    import pyarrow.parquet
    import pyproj

    try:
        file = pyarrow.parquet.read_metadata(path)
        meta = json.loads((file.metadata or {})[b"geo"])
        column = meta["columns"][meta["primary_column"]]
        crs = column.get("crs", "OGC:CRS84")  # what the format takes it for where nothing is said
        crs = crs and pyproj.CRS.from_user_input(crs).to_wkt()
    except (pa.ArrowException, pyproj.exceptions.CRSError, OSError, ValueError, KeyError, TypeError) as error:
        raise VectorError(f"{path} cannot be read as GeoParquet: {error}") from error
    box = column.get("bbox")
    facts = {
        "count": file.num_rows,
        "geometry": ", ".join(column.get("geometry_types", [])) or "Unknown",
        **_place(crs, box and [*box[:2], *box[len(box) // 2 :][:2]]),
        "fields": [name for name in file.schema.to_arrow_schema().names if name not in (*meta["columns"], "bbox")],
    }
    return facts, ""


def _place(crs: str | None, bounds: Any) -> dict[str, Any]:
    from weft_geo.geo.ground import crs_name, parse_crs

    known = parse_crs(crs) if crs else None
    return {
        "crs": crs_name(known) if known else None,
        "epsg": known.to_epsg() if known else None,
        "bounds": None if bounds is None else [float(side) for side in bounds],
    }


def _classes_in_parquet(path: str) -> Iterator[Any]:
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path) as file:
        yield from file.iter_batches(columns=["class"])


def _classes_with_gdal(path: str, layer: str) -> Iterator[Any]:
    from pyogrio.raw import open_arrow

    with (
        warnings.catch_warnings(action="ignore"),
        open_arrow(path, layer=layer, columns=["class"], read_geometry=False, use_pyarrow=True) as (_, reader),
    ):
        yield from reader


def _value(text: Any) -> Any:
    """What a GeoPackage holds as JSON, in its own type."""
    if isinstance(text, str) and text[:1] in ("{", "["):
        try:
            return json.loads(text)
        except ValueError:  # the name of a scene may begin like that
            return text
    return text
