"""Batches of objects to a GeoParquet file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyproj
import shapely

from weft_geo.vector.polygons import MULTIPOLYGON


def write_geoparquet(
    target: Path,
    schema: pa.Schema,
    batches: Iterator[pa.RecordBatch],
    crs: pyproj.CRS | None,
    provenance: dict[str, Any] | None,
) -> None:
    """Write batches as GeoParquet 1.1 with a bbox column (https://geoparquet.org/releases/v1.1.0/).

    Args:
        target: the file.
        schema: of the batches; its column "geometry" is WKB, shells counter-clockwise.
        batches: rows, in the order of the file.
        crs: of the geometries.
        provenance: kept under the key `weft_geo.provenance`; anything that JSON can hold.

    Raises:
        OSError, pyarrow.ArrowException: the disk does not take it.
    """
    corner = pa.struct([(name, pa.float64()) for name in ("xmin", "ymin", "xmax", "ymax")])
    schema = schema.append(pa.field("bbox", corner))
    kinds: set[str] = set()
    total = np.array([np.inf, np.inf, -np.inf, -np.inf])
    with pq.ParquetWriter(target, schema, compression="zstd", store_schema=False) as writer:
        for batch in batches:
            shapes = shapely.from_wkb(np.asarray(batch.column("geometry")))
            types = np.unique(shapely.get_type_id(shapes))
            kinds |= {"MultiPolygon" if kind == MULTIPOLYGON else "Polygon" for kind in types}
            bounds = shapely.bounds(shapes)
            total[:2] = np.minimum(total[:2], bounds[:, :2].min(axis=0))
            total[2:] = np.maximum(total[2:], bounds[:, 2:].max(axis=0))
            box = pa.StructArray.from_arrays([pa.array(side) for side in bounds.T], fields=list(corner))
            writer.write_batch(pa.record_batch([*batch.columns, box], schema=schema))
        column: dict[str, Any] = {
            "encoding": "WKB",
            "geometry_types": sorted(kinds),
            "crs": None if crs is None else crs.to_json_dict(),
            "orientation": "counterclockwise",
            "covering": {"bbox": {side: ["bbox", side] for side in ("xmin", "ymin", "xmax", "ymax")}},
        }
        if np.isfinite(total).all():
            column["bbox"] = total.tolist()
        meta = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
        writer.add_key_value_metadata({"geo": json.dumps(meta)})
        if provenance is not None:
            writer.add_key_value_metadata({"weft_geo.provenance": json.dumps(provenance, default=str)})
