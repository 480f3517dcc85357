"""Objects to files: GeoPackage, FlatGeobuf, GeoParquet, GeoJSON and Shapefile.

| suffix | driver | provenance | notes |
| --- | --- | --- | --- |
| .gpkg | GPKG 1.3, R-tree | inside, as GeoPackage metadata | layer `objects`, and its style for QGIS (`style.py`) |
| .fgb | FlatGeobuf, R-tree | .fgb.json beside | the R-tree orders the file by place; sort by `id` for the usual order |
| .parquet | GeoParquet 1.1, bbox column | inside, key `weft_geo.provenance` | |
| .geojson | RFC 7946 | .geojson.json beside | always WGS 84, counter-clockwise shells, 7 digits |
| .shp | ESRI Shapefile | .shp.json beside | 2 GB a part; ten letters a field name (see `SHAPEFILE_FIELDS`) |
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyproj
import shapely

from weft_geo.vector.antimeridian import to_longitudes
from weft_geo.vector.geoparquet import write_geoparquet
from weft_geo.vector.style import Style, add_style

LAYER = "objects"
SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("class", pa.string()),
        ("score", pa.float64()),
        ("score_max", pa.float64()),
        ("area_m2", pa.float64()),
        ("perimeter_m", pa.float64()),
        ("touches_edge", pa.bool_()),
        ("touches_nodata", pa.bool_()),
        ("geometry", pa.binary()),
    ]
)
"""One object a row; geometry is little-endian WKB in the CRS of the scene."""

DRIVERS = {
    ".gpkg": "GPKG",
    ".fgb": "FlatGeobuf",
    ".parquet": "Parquet",
    ".geojson": "GeoJSON",
    ".shp": "ESRI Shapefile",
}
SHAPEFILE_FIELDS = {"touches_edge": "touch_edge", "touches_nodata": "touch_nod", "perimeter_m": "perim_m"}


def write_layer(
    target: Path,
    batches: Iterator[pa.RecordBatch],
    crs: pyproj.CRS | None,
    multi: bool,
    provenance: dict[str, Any] | None,
    schema: pa.Schema,
    style: Style,
) -> None:
    """Write batches of objects as one layer.

    Args:
        target: the file; its suffix, one of `DRIVERS`, chooses the format. Its other parts are written beside it.
        batches: of `schema`, in the order of the file.
        crs: the CRS of the geometries; GeoJSON is transformed to WGS 84 from it.
        multi: whether any object is a MultiPolygon (then all are written as such).
        provenance: how the layer came to be; anything that JSON can hold.
        schema: the attributes, and behind them "geometry".
        style: how QGIS shows a GeoPackage.

    Raises:
        OSError, sqlite3.Error, pyarrow.ArrowException, pyogrio.errors.DataSourceError, DataLayerError: it cannot be
            written. What fails in a batch goes on as it is.
    """
    suffix = target.suffix
    if suffix == ".parquet":
        write_geoparquet(target, schema, batches, crs, provenance)
        return
    if suffix == ".geojson":
        batches, crs = _to_rfc7946(batches, crs), None if crs is None else pyproj.CRS.from_epsg(4326)
    if suffix == ".shp":
        schema = pa.schema([field.with_name(SHAPEFILE_FIELDS.get(field.name, field.name)) for field in schema])
    # GeoJSON and shapefiles take both kinds side by side; the others want one kind a layer.
    kind = "Unknown" if suffix == ".geojson" else "MultiPolygon" if multi else "Polygon"
    if multi and suffix in (".gpkg", ".fgb"):
        batches = (_promote(batch) for batch in batches)
    renamed = (pa.record_batch(batch.columns, schema=schema) for batch in batches)
    with _batches_that_say_why(schema, renamed) as reader:
        _write_arrow(target, reader, crs, kind, provenance)
    if suffix == ".fgb":
        _read_back(target)
    if suffix == ".gpkg":
        add_style(target, LAYER, style)
    elif provenance is not None:
        beside = target.with_name(f"{target.name}.json")
        beside.write_text(json.dumps(provenance, indent=2, default=str) + "\n", encoding="utf-8")


def _write_arrow(
    target: Path,
    reader: pa.RecordBatchReader,
    crs: pyproj.CRS | None,
    kind: str,
    provenance: dict[str, Any] | None,
) -> None:
    import pyogrio

    extra: dict[str, Any] = {}
    if target.suffix == ".gpkg":
        extra = {"dataset_options": {"VERSION": "1.3"}, "layer_options": {"SPATIAL_INDEX": "YES"}}
        if provenance is not None:
            extra["layer_metadata"] = {
                key: value if isinstance(value, str) else json.dumps(value, default=str)
                for key, value in provenance.items()
            }
    elif target.suffix == ".geojson":
        extra = {"layer_options": {"RFC7946": "YES", "WRITE_BBOX": "NO"}}
    elif target.suffix == ".shp":
        extra = {"layer_options": {"ENCODING": "UTF-8"}}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="'crs' was not provided")
        pyogrio.write_arrow(
            reader,
            target,
            layer=LAYER,
            driver=DRIVERS[target.suffix],
            geometry_name="geometry",
            geometry_type=kind,
            crs=crs.to_wkt() if crs is not None else None,
            **extra,
        )


@contextmanager
def _batches_that_say_why(schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatchReader]:
    """A reader for GDAL, which says of whatever fails in there that it failed: what it was goes on from here."""
    failures: list[Exception] = []

    def noting() -> Iterator[pa.RecordBatch]:
        try:
            yield from batches
        except Exception as error:
            failures.append(error)
            raise

    try:
        yield pa.RecordBatchReader.from_batches(schema, noting())
    except Exception:
        if failures:
            raise failures[0] from None
        raise


def _promote(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Every geometry as a MultiPolygon."""
    shapes = shapely.from_wkb(np.asarray(batch.column("geometry")))
    single = shapely.get_type_id(shapes) == shapely.GeometryType.POLYGON
    shapes[single] = shapely.multipolygons(shapes[single], indices=np.arange(single.sum()))
    return _with_geometry(batch, shapes)


def _with_geometry(batch: pa.RecordBatch, shapes: Any) -> pa.RecordBatch:
    wkb = pa.array(shapely.to_wkb(shapes, byte_order=1), pa.binary())
    return batch.set_column(batch.schema.get_field_index("geometry"), SCHEMA.field("geometry"), wkb)


def _to_rfc7946(batches: Iterator[pa.RecordBatch], crs: pyproj.CRS | None) -> Iterator[pa.RecordBatch]:
    """WGS 84 longitude and latitude at 7 digits, valid after rounding, shells counter-clockwise."""
    change = None if crs is None else pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    for batch in batches:
        shapes = shapely.from_wkb(np.asarray(batch.column("geometry")))
        if change is not None:
            shapes = to_longitudes(shapes, change)
        rounded = shapely.transform(shapes, lambda xy: np.round(xy, 7))
        bad = ~shapely.is_valid(rounded)
        if bad.any():
            # Near a pole a long edge of the CRS, drawn straight in degrees, may cross others of its polygon.
            whole = shapely.make_valid(shapes[bad], method="structure", keep_collapsed=False)
            snapped = shapely.set_precision(whole, 1e-7)
            # An object thinner than a centimetre keeps its own digits rather than vanish.
            rounded[bad] = np.where(shapely.is_empty(snapped), shapes[bad], snapped)
        yield _with_geometry(batch, shapely.orient_polygons(rounded))


def _read_back(path: Path) -> None:
    """Reads all of a FlatGeobuf, which GDAL writes as it closes it: what fails then, it does not say."""
    from pyogrio.raw import open_arrow

    with open_arrow(path, layer=LAYER, use_pyarrow=True) as (_, batches):
        for _ in batches:
            pass
