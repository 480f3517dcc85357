"""Cleaning, in this order: holes, area filter, simplification, right angles. Objects are whole before any of it.

All tolerances are metres on the ground. Where coordinates are worked on, they are first laid into a local metric frame
(the linear map that the ground's metric gives at the middle of the objects), so a metre is a metre in any CRS.
"""

from __future__ import annotations

import numpy as np
import shapely

from weft_geo.vector.arrays import Bools, Floats, Ints, Shapes
from weft_geo.vector.ground import Ground, lay, metric_frame
from weft_geo.vector.options import VectorOptions
from weft_geo.vector.polygons import Measures, Polygons
from weft_geo.vector.rings import following


def drop_small(polygons: Polygons, ground: Ground, options: VectorOptions) -> tuple[Polygons, Bools]:
    """Fill small holes, then drop small objects.

    Returns:
        What is left, and [objects] which objects that is.
    """
    everything = np.ones(polygons.count, dtype=bool)
    if not (options.min_hole_m2 or options.min_area_m2) or not polygons.count:
        return polygons, everything
    measures = polygons.measure(ground)
    if options.min_hole_m2:
        ring_m2, far = measures.ring_m2, ~polygons.is_shell & measures.exact[polygons.owner]
        if far.any():
            ring_m2[far] = _hole_areas(polygons, far, ground)
        polygons = polygons.keep_rings(polygons.is_shell | (ring_m2 >= options.min_hole_m2))
        measures = polygons.measure(ground)
    if not options.min_area_m2:
        return polygons, everything
    keep = exact_measures(polygons, measures, ground)[0] >= options.min_area_m2
    return polygons.keep_objects(keep), keep


def _hole_areas(polygons: Polygons, chosen: Bools, ground: Ground) -> Floats:
    """Areas in m² of some holes, each measured where it lies and not at the centre of its object."""
    some = polygons.keep_rings(chosen)
    count = len(some.owner)
    # Read backwards, a hole runs as a shell does.
    start = some.ring_start[-1] - some.ring_start[::-1]
    shells = Polygons(some.points[::-1], start, np.ones(count, dtype=bool), np.arange(count), count)
    return exact_measures(shells, shells.measure(ground), ground)[0][::-1]


def exact_measures(polygons: Polygons, measures: Measures, ground: Ground) -> tuple[Floats, Floats]:
    """Area in m² and perimeter in m of every object; large ones edge by edge on the ellipsoid."""
    area, perimeter = measures.area_m2.copy(), measures.perimeter_m.copy()
    if measures.exact.any():
        for k, shape in zip(
            np.flatnonzero(measures.exact), polygons.keep_objects(measures.exact).to_shapely(ground), strict=True
        ):
            area[k], perimeter[k] = ground.exact(shape)
    return area, perimeter


def simplify(polygons: Polygons, group: Ints, ground: Ground, tolerance_m: float, nodes: Ints | None) -> Shapes:
    """Simplify groups of touching objects so that they keep the edges they share.

    Visvalingam and Whyatt's method on the coverage (shapely's `coverage_simplify`): a vertex goes when the triangle it
    makes with its neighbours has less area than the square of the tolerance, and no edge comes to cross another.

    Args:
        polygons: outlines of whole groups.
        group: [objects] objects with the same number touch.
        ground: where the pixels lie.
        tolerance_m: in metres.
        nodes: [m, 2] grid columns and rows where pixel outlines of different objects may meet; None if they have all
            their common points already, as sub-pixel outlines do.

    Returns:
        [objects] in pixel coordinates, with fewer points. A group that would not be valid with the digits that the
        layer has is left as it is.
    """
    several = np.bincount(group)[group] > 1
    if nodes is not None and several.any():
        polygons = _split_at(polygons, nodes, several)
    shapes = polygons.to_shapely()
    order = np.argsort(group, kind="stable")
    begin = np.flatnonzero(np.diff(group[order], prepend=-1))
    bounds = shapely.bounds(shapes)[order]
    low, high = np.minimum.reduceat(bounds[:, :2], begin), np.maximum.reduceat(bounds[:, 2:], begin)
    middle, reach = (low + high) / 2, (high - low).max(axis=1) / 2
    metrics = ground.metric(middle[:, 0], middle[:, 1], reach)
    for metric, some in zip(metrics, np.split(order, begin[1:]), strict=True):
        shapes[some] = _simplify_group(shapes[some], metric_frame(metric), tolerance_m, ground)
    return shapes


def _simplify_group(shapes: Shapes, frame: Floats, tolerance_m: float, ground: Ground) -> Shapes:
    flat = shapely.transform(shapes, lambda xy: lay(xy, frame))
    back = np.asarray(np.linalg.inv(frame), dtype=np.float64)
    # GEOS now and then drops a vertex on one side of a shared edge alone; a slightly smaller tolerance helps it out.
    for share in (1.0, 0.9, 0.7, 0.5):
        slim = shapely.coverage_simplify(flat, tolerance_m * share)
        if shapely.is_empty(slim).any():
            continue
        slim = shapely.transform(slim, lambda xy: _snap(lay(xy, back)))
        placed = shapely.transform(slim, ground.coordinates)
        if shapely.is_valid(placed).all() and (len(slim) == 1 or shapely.coverage_is_valid(placed)):
            return np.asarray(slim, dtype=object)
    return shapes


def _snap(points: Floats) -> Floats:
    """To 2⁻²⁰ pixel, which takes the rounding of the frame's map there and back away again."""
    return np.asarray(np.round(points * 2**20) / 2**20)


def _split_at(polygons: Polygons, nodes: Ints, chosen: Bools) -> Polygons:
    """Put a vertex on every straight edge of some objects where another object's corner lies on it."""
    points = np.rint(polygons.points).astype(np.int64)
    after = points[following(polygons.ring_start)]
    level = points[:, 1] == after[:, 1]
    pitch = int(max(points.max(), nodes.max(initial=0))) + 2
    along = np.where(level[:, None], points[:, ::-1], points)
    target = np.where(level, after[:, 0], after[:, 1])
    low, high = np.minimum(along[:, 1], target), np.maximum(along[:, 1], target)
    extra = np.zeros(len(points), dtype=np.int64)
    begin = np.zeros(len(points), dtype=np.int64)
    keys = [np.unique(nodes[:, 1] * pitch + nodes[:, 0]), np.unique(nodes[:, 0] * pitch + nodes[:, 1])]
    for straight, key in zip((level, ~level), keys, strict=True):
        first = np.searchsorted(key, along[straight, 0] * pitch + low[straight], side="right")
        last = np.searchsorted(key, along[straight, 0] * pitch + high[straight], side="left")
        extra[straight], begin[straight] = np.maximum(last - first, 0), first
    size = np.diff(polygons.ring_start)
    extra[~np.repeat(chosen[polygons.owner], size)] = 0

    start = np.append(0, np.cumsum(extra + 1))
    edge = np.repeat(np.arange(len(points)), extra + 1)
    step = np.arange(start[-1]) - start[edge]
    forward = target > along[:, 1]
    place = begin[edge] + np.where(forward[edge], step - 1, extra[edge] - step)
    out = polygons.points[edge]
    inserted = step > 0
    for straight, key, axis in zip((level, ~level), keys, (0, 1), strict=True):
        mine = inserted & straight[edge]
        out[mine, axis] = key[place[mine]] % pitch
    return Polygons(out, start[polygons.ring_start], polygons.is_shell, polygons.owner, polygons.count)
