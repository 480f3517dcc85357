"""Finished objects to rows of the layer: outlined, cleaned, measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute
import shapely

from weft_geo.vector.clean import drop_small, exact_measures, simplify
from weft_geo.vector.export import SCHEMA
from weft_geo.vector.finished import Finished
from weft_geo.vector.ground import Ground
from weft_geo.vector.options import VectorOptions
from weft_geo.vector.outline import ACROSS, Ints
from weft_geo.vector.overlaps import PLAIN_FIELDS
from weft_geo.vector.polygons import MULTIPOLYGON, Polygons, Shapes
from weft_geo.vector.regularize import regularize
from weft_geo.vector.rings import link_rings
from weft_geo.vector.subpixel import subpixel_rings

WAITING_SCHEMA = pa.schema([*SCHEMA, *PLAIN_FIELDS])


@dataclass(frozen=True)
class Rows:
    """Some objects as rows.

    Attributes:
        batch: of `SCHEMA`, ids still 0; with `PLAIN_FIELDS` behind when outlines are simplified or regularised.
        first: [rows] row × width + column of each object's first pixel.
        multi: whether there is a MultiPolygon.
        rise: how many rows a new outline begins above its object's first pixel, at most.
    """

    batch: pa.RecordBatch
    first: Ints
    multi: bool
    rise: float


def describe(
    finished: Finished, shape: tuple[int, int], ground: Ground, options: VectorOptions, classes: Sequence[str]
) -> Rows | None:
    """Rows for some finished objects.

    Args:
        finished: whole objects (and whole groups of them, when they are simplified or regularised).
        shape: (height, width) of the raster.
        ground: where the pixels lie.
        options: how to outline and clean.
        classes: names of the classes 1…K.

    Returns:
        The rows; None if no object is left.
    """
    polygons = _outline(finished, shape, options, len(classes))
    polygons, kept = drop_small(polygons, ground, options)
    if not polygons.count:
        return None
    columns = _attributes(finished, np.flatnonzero(kept), classes)
    first = finished.first[kept]
    if not options.has_new_outlines:
        return _rows(columns, polygons, ground, first)

    _, group = np.unique(finished.group[kept], return_inverse=True)
    shapes = polygons.to_shapely()
    new = shapes.copy()
    if options.simplify_m:
        nodes = None
        if options.outline == "pixel":
            nodes = np.column_stack([finished.marks["col"], finished.marks["row"]]).astype(np.int64)
        new = simplify(polygons, group, ground, options.simplify_m, nodes)
    if options.regularize:
        alone = np.bincount(group)[group] == 1
        square = regularize(polygons, ground, shape, options.simplify_m, alone)
        new = np.where(np.array([item is None for item in square]), new, square)
    return _waiting_rows(columns, polygons, shapes, new, group, ground, first, shape[1])


def _outline(finished: Finished, shape: tuple[int, int], options: VectorOptions, classes: int) -> Polygons:
    marks = finished.marks
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


def _attributes(finished: Finished, kept: Ints, classes: Sequence[str]) -> dict[str, pa.Array]:
    """The columns that do not depend on the outline."""
    return {
        "id": pa.array(np.zeros(len(kept), dtype=np.int64)),
        "class": pa.array(classes, pa.string()).take(pa.array(finished.value[kept].astype(np.int64) - 1)),
        "score": pa.array(finished.score[kept]),
        "score_max": pa.array(finished.best[kept]),
        "touches_edge": pa.array(finished.edge[kept]),
        "touches_nodata": pa.array(finished.nodata[kept]),
    }


def _rows(columns: dict[str, pa.Array], polygons: Polygons, ground: Ground, first: Ints) -> Rows:
    area, perimeter = exact_measures(polygons, polygons.measure(ground), ground)
    shapes = polygons.to_shapely(ground)
    wkb = pa.array(shapely.to_wkb(shapes, byte_order=1), pa.binary())
    columns = columns | {"area_m2": pa.array(area), "perimeter_m": pa.array(perimeter), "geometry": wkb}
    batch = pa.record_batch([columns[name] for name in SCHEMA.names], schema=SCHEMA)
    return Rows(batch, first, bool((shapely.get_type_id(shapes) == MULTIPOLYGON).any()), 0.0)


def _waiting_rows(
    columns: dict[str, pa.Array],
    polygons: Polygons,
    plain: Shapes,
    new: Shapes,
    group: Ints,
    ground: Ground,
    first: Ints,
    width: int,
) -> Rows:
    """Rows with the new outlines, and the plain ones beside, until it is known that none overlap."""
    rows = _rows(columns, Polygons.from_shapely(new), ground, first)
    old = _rows(columns, polygons, ground, first)
    changed = shapely.get_num_coordinates(new) != shapely.get_num_coordinates(plain)
    changed |= ~shapely.equals_exact(new, plain, 0.0, normalize=True)
    of_group = np.full(int(group.max()) + 1, np.iinfo(np.int64).max)
    np.minimum.at(of_group, group, first)
    top = first // width
    extra = [
        pa.compute.if_else(pa.array(changed), old.batch.column("geometry"), pa.nulls(len(new), pa.binary())),
        old.batch.column("area_m2"),
        old.batch.column("perimeter_m"),
        pa.array(of_group[group]),
        pa.array(top.astype(np.float64)),
        pa.array(np.maximum(shapely.bounds(new)[:, 3], shapely.bounds(plain)[:, 3])),
    ]
    batch = pa.record_batch([*rows.batch.columns, *extra], schema=WAITING_SCHEMA)
    return Rows(batch, first, rows.multi or old.multi, float((top - shapely.bounds(new)[:, 1]).max()))
