"""Right angles for objects that have them, buildings above all.

An outline is cut into straight stretches (Douglas and Peucker). The direction of the long ones, modulo 90°, is the
object's first; each stretch becomes a line in it or at a right angle to it, at the mean place of the outline it stands
for. Short steps are merged away, and the crossings of neighbouring lines are the new corners. So walls lie in the
middle of the stair-steps rather than on their outer or inner side, and areas stay.

Not every building has one direction only: a house at the bend of a street, houses that stand wall to wall, a plot that
is no rectangle. Walls that run otherwise, by more than the pixels can be blamed for, make a further direction with its
own right angles. Forced into the first one they would cost area.

An object keeps its plain outline when most of its walls run crookedly or it is round, when the result is not valid,
when it agrees with the plain outline by an IoU under 0.85, when it touches another object (they keep the edges they
share), and when its new outline would overlap another object (see `weft_geo.vector.overlaps`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from weft_geo.vector.arrays import Bools, Floats, Shapes
from weft_geo.vector.ground import Ground, lay, metric_frame
from weft_geo.vector.polygons import MULTIPOLYGON, POLYGON, Polygons
from weft_geo.vector.walls import find_directions, fit_walls, open_ring, roundness, straight_stretches

LEAST_IOU = 0.85
MOST_ROUND = 0.88
FARTHEST = 8.0
"""How far from the old outline a new corner may lie, in tolerances."""


@dataclass
class _Line:
    """All points at a distance `at` along a normal, that with the number `direction`."""

    direction: int
    at: float
    weight: float


def regularize(polygons: Polygons, ground: Ground, shape: tuple[int, int], least_m: float, chosen: Bools) -> Shapes:
    """Right-angled versions of some objects.

    Args:
        polygons: the plain outlines.
        ground: where the pixels lie.
        shape: (height, width) of the raster, which the new outlines do not leave.
        least_m: how far an outline may stray from a straight wall, metres; one and a half pixels at the least.
        chosen: [objects] those to look at.

    Returns:
        [objects] the new geometries in pixel coordinates; None where the plain outline should stay.
    """
    out = np.full(polygons.count, None, dtype=object)
    if not chosen.any():
        return out
    plain = polygons.to_shapely()
    metric = polygons.measure(ground).metric
    pixel_m = (metric[:, 0] * metric[:, 2] - metric[:, 1] ** 2) ** 0.25
    for k in np.flatnonzero(chosen):
        frame = metric_frame(metric[k])
        flat = shapely.transform(plain[k], lambda xy, frame=frame: lay(xy, frame))
        tolerance_m = max(least_m, 1.5 * float(pixel_m[k]))
        parts = [_regular_polygon(part, tolerance_m) for part in shapely.get_parts(flat)]
        if any(part is None for part in parts):
            continue
        new = parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)
        back = np.linalg.inv(frame)
        new = shapely.transform(new, lambda xy, back=back: lay(xy, back))
        if _is_sound(new, plain[k], ground):
            new = shapely.intersection(new, shapely.box(0, 0, shape[1], shape[0]))
            out[k] = new if _is_sound(new, plain[k], ground) else None
    return out


def _is_sound(new: shapely.Geometry, plain: shapely.Geometry, ground: Ground) -> bool:
    if shapely.get_type_id(new) not in (POLYGON, MULTIPOLYGON) or not shapely.is_valid(new):
        return False
    if not shapely.is_valid(shapely.transform(new, ground.coordinates)):
        return False
    shared = float(shapely.area(shapely.intersection(new, plain)))
    return shared > 0 and shared >= LEAST_IOU * (new.area + plain.area - shared)


def _regular_polygon(polygon: shapely.Polygon, tolerance_m: float) -> shapely.Polygon | None:
    rings = [open_ring(ring) for ring in shapely.get_rings(polygon)]
    cuts = [straight_stretches(ring, tolerance_m) for ring in rings]
    if roundness(rings[0][cuts[0]]) > MOST_ROUND:
        return None
    origin = rings[0].mean(axis=0)
    fits = [fit_walls(ring - origin, places, tolerance_m) for ring, places in zip(rings, cuts, strict=True)]
    walls, middles = (np.vstack(some) for some in zip(*fits, strict=True))
    normals, direction = find_directions(walls, tolerance_m)
    if not len(normals):
        return None
    away = (middles * normals[direction]).sum(axis=1)
    lines = [_Line(*some) for some in zip(direction.tolist(), away.tolist(), np.hypot(*walls.T).tolist(), strict=True)]
    new, done = [], 0
    for wall, _ in fits:
        corners = _merge_steps(lines[done : done + len(wall)], normals, tolerance_m)
        done += len(wall)
        if corners is None:
            return None
        new.append(corners + origin)
    result = shapely.Polygon(new[0], new[1:])
    # Two directions that differ little may cross far from where the walls meet.
    old = shapely.boundary(polygon)
    shapely.prepare(old)
    near = shapely.dwithin(old, shapely.points(np.vstack(new)), FARTHEST * tolerance_m).all()
    return result if near and shapely.is_valid(result) else None


def _merge_steps(lines: list[_Line], normals: Floats, tolerance_m: float) -> Floats | None:
    """Corners of the ring that some lines make when steps shorter than the tolerance are taken out, shortest first."""
    lines = _merge_parallel(lines)
    while len(lines) >= 3:
        corners = _cross(lines, normals)
        length = np.hypot(*(corners - np.roll(corners, 1, axis=0)).T)
        shortest = int(length.argmin())
        if length[shortest] >= tolerance_m or len(lines) == (4 if len(normals) == 2 else 3):
            return corners
        lines = _merge_parallel(lines[:shortest] + lines[shortest + 1 :])
    return None


def _merge_parallel(lines: list[_Line]) -> list[_Line]:
    """Neighbouring lines of one direction as one."""
    merged: list[_Line] = []
    for line in lines:
        if merged and merged[-1].direction == line.direction:
            merged[-1] = _mean(merged[-1], line)
        else:
            merged.append(line)
    while len(merged) > 1 and merged[0].direction == merged[-1].direction:
        merged[0] = _mean(merged[0], merged.pop())
    return merged


def _mean(one: _Line, other: _Line) -> _Line:
    weight = one.weight + other.weight
    at = (one.at * one.weight + other.at * other.weight) / max(weight, 1e-12)
    return _Line(one.direction, at, weight)


def _cross(lines: list[_Line], normals: Floats) -> Floats:
    """[n, 2] where each line crosses the next."""
    normal = normals[[line.direction for line in lines]]
    at = np.array([line.at for line in lines])
    (a, b), (c, d), later = normal.T, np.roll(normal, -1, axis=0).T, np.roll(at, -1)
    crossing = np.column_stack([at * d - later * b, a * later - c * at])
    return np.asarray(crossing / (a * d - b * c)[:, None])
