"""Finished objects to rows of the layer: outlined, cleaned, measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import shapely

from weft_geo.vector.arrays import Ints, Shapes
from weft_geo.vector.clean import drop_small, exact_measures, simplify
from weft_geo.vector.export import SCHEMA
from weft_geo.vector.finished import Finished
from weft_geo.vector.ground import Ground
from weft_geo.vector.options import VectorOptions
from weft_geo.vector.outline import ACROSS
from weft_geo.vector.overlaps import MEASURES, WAITING_FIELDS
from weft_geo.vector.polygons import MULTIPOLYGON, Polygons
from weft_geo.vector.regularize import regularize
from weft_geo.vector.rings import link_rings
from weft_geo.vector.subpixel import subpixel_rings

WAITING_SCHEMA = pa.schema([*SCHEMA, *WAITING_FIELDS])


@dataclass(frozen=True)
class Rows:
    """Some objects as rows.

    Attributes:
        batch: of `SCHEMA`, ids still 0; with `WAITING_FIELDS` behind when outlines are simplified or regularised.
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
    simple = square = np.full(polygons.count, None, dtype=object)
    if options.simplify_m:
        nodes = None
        if options.outline == "pixel":
            nodes = np.column_stack([finished.marks["col"], finished.marks["row"]]).astype(np.int64)
        simple = simplify(polygons, group, ground, options.simplify_m, nodes)
    if options.regularize:
        alone = np.bincount(group)[group] == 1
        square = regularize(polygons, ground, shape, options.simplify_m, alone)
    return _waiting_rows(columns, polygons, [simple, square], group, ground, first, shape[1])


def _outline(finished: Finished, shape: tuple[int, int], options: VectorOptions, classes: int) -> Polygons:
    marks = finished.marks
    corners = marks[marks["kind"] < ACROSS]
    if options.outline == "subpixel":
        crossings = marks[marks["kind"] >= ACROSS]
        join, meet = options.connectivity == 8, classes > 1
        _, group, members = np.unique(finished.group, return_inverse=True, return_counts=True)
        # Sub-pixel outlines of one class share no edges, even where two of them meet at a corner.
        alone = (members[group] == 1) | (not meet)
        points, rings, owner = subpixel_rings(corners, crossings, finished.owner, shape, join, meet, alone)
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
    outline, multi = _measured(polygons, ground)
    columns = columns | outline
    batch = pa.record_batch([columns[name] for name in SCHEMA.names], schema=SCHEMA)
    return Rows(batch, first, multi, 0.0)


def _measured(polygons: Polygons, ground: Ground) -> tuple[dict[str, pa.Array], bool]:
    """The columns that depend on the outline, and whether there is a MultiPolygon."""
    area, perimeter = exact_measures(polygons, polygons.measure(ground), ground)
    shapes = polygons.to_shapely(ground)
    wkb = pa.array(shapely.to_wkb(shapes, byte_order=1), pa.binary())
    outline = {"geometry": wkb, "area_m2": pa.array(area), "perimeter_m": pa.array(perimeter)}
    return outline, bool((shapely.get_type_id(shapes) == MULTIPOLYGON).any())


def _waiting_rows(
    columns: dict[str, pa.Array],
    polygons: Polygons,
    stages: list[Shapes],
    group: Ints,
    ground: Ground,
    first: Ints,
    width: int,
) -> Rows:
    """Rows with the plain outlines, and the new ones beside, until it is known that none overlap."""
    rows = _rows(columns, polygons, ground, first)
    top, rise = first // width, 0.0
    extra: list[pa.Array] = []
    multi = rows.multi
    bottom = polygons.bounds()[1][:, 1]
    for new in stages:
        there = ~shapely.is_missing(new)
        place = pa.array(np.where(there, np.cumsum(there) - 1, 0), mask=~there)
        if not there.any():
            extra += [pa.nulls(len(new), WAITING_SCHEMA.field(len(SCHEMA) + k).type) for k in range(len(MEASURES))]
            continue
        outline, some = _measured(Polygons.from_shapely(new[there]), ground)
        extra += [outline[name].take(place) for name in MEASURES]
        multi |= some
        bounds = shapely.bounds(new[there])
        bottom[there] = np.maximum(bottom[there], bounds[:, 3])
        rise = max(rise, float((top[there] - bounds[:, 1]).max()))
    of_group = np.full(int(group.max()) + 1, np.iinfo(np.int64).max)
    np.minimum.at(of_group, group, first)
    extra += [pa.array(of_group[group]), pa.array(top.astype(np.float64)), pa.array(bottom)]
    batch = pa.record_batch([*rows.batch.columns, *extra], schema=WAITING_SCHEMA)
    return Rows(batch, first, multi, rise)
