"""Finished objects to rows of the layer: outlined, cleaned, measured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import shapely

from weft_geo.vector.clean import drop_small, exact_measures, simplify
from weft_geo.vector.export import SCHEMA
from weft_geo.vector.ground import Ground
from weft_geo.vector.options import VectorOptions
from weft_geo.vector.outline import ACROSS, Ints
from weft_geo.vector.polygons import Polygons
from weft_geo.vector.rings import link_rings
from weft_geo.vector.stitch import Finished
from weft_geo.vector.subpixel import subpixel_rings


def describe(
    finished: Finished, shape: tuple[int, int], ground: Ground, options: VectorOptions, classes: Sequence[str]
) -> tuple[pa.RecordBatch, Ints, bool]:
    """Rows for some finished objects.

    Args:
        finished: whole objects (and whole groups of them, when they are simplified).
        shape: (height, width) of the raster.
        ground: where the pixels lie.
        options: how to outline and clean.
        classes: names of the classes 1…K.

    Returns:
        A batch of `SCHEMA` with ids still 0, the first pixel of each row, and whether there is a MultiPolygon.
    """
    polygons = _outline(finished, shape, options, len(classes))
    polygons, kept = drop_small(polygons, ground, options)
    if options.simplify_m and polygons.count:
        _, group = np.unique(finished.group[kept], return_inverse=True)
        nodes = None
        if options.outline == "pixel":
            nodes = np.column_stack([finished.corners["col"], finished.corners["row"]]).astype(np.int64)
        polygons = simplify(polygons, group, ground, options.simplify_m, nodes)
    return _rows(polygons, finished, np.flatnonzero(kept), ground, classes)


def _outline(finished: Finished, shape: tuple[int, int], options: VectorOptions, classes: int) -> Polygons:
    marks = finished.corners
    corners = marks[marks["kind"] < ACROSS]
    if options.outline == "subpixel":
        crossings = marks[marks["kind"] >= ACROSS]
        join, meet = options.connectivity == 8, classes > 1
        points, rings, owner = subpixel_rings(corners, crossings, finished.owner, shape, join, meet)
    else:
        row, col = corners["row"].astype(np.int64), corners["col"].astype(np.int64)
        rings = link_rings(corners["component"].astype(np.int64), row, col, corners["kind"])
        points, owner = rings.points.astype(np.float64), finished.owner[rings.component]
    return Polygons(points, rings.offsets, rings.area_px > 0, owner, len(finished.value))


def _rows(
    polygons: Polygons, finished: Finished, kept: Ints, ground: Ground, classes: Sequence[str]
) -> tuple[pa.RecordBatch, Ints, bool]:
    if not len(kept):
        return pa.RecordBatch.from_pylist([], schema=SCHEMA), kept, False
    area, perimeter = exact_measures(polygons, polygons.measure(ground), ground)
    shapes = polygons.to_shapely(ground)
    names = pa.array(classes, pa.string()).take(pa.array(finished.value[kept].astype(np.int64) - 1))
    columns = [
        pa.array(np.zeros(len(kept), dtype=np.int64)),
        names,
        pa.array(finished.score[kept]),
        pa.array(finished.best[kept]),
        pa.array(area),
        pa.array(perimeter),
        pa.array(finished.edge[kept]),
        pa.array(finished.nodata[kept]),
        pa.array(shapely.to_wkb(shapes, byte_order=1), pa.binary()),
    ]
    multi = bool((shapely.get_type_id(shapes) == shapely.GeometryType.MULTIPOLYGON).any())
    return pa.record_batch(columns, schema=SCHEMA), finished.first[kept], multi
