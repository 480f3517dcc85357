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

from weft_geo.vector.ground import Floats, Ground, lay, metric_frame
from weft_geo.vector.outline import Bools, Ints
from weft_geo.vector.polygons import MULTIPOLYGON, POLYGON, Polygons, Shapes

LEAST_IOU = 0.85
NEARLY, ROUGHLY = np.radians(4), np.radians(15)
"""A wall nearly has a direction, and is given it; or roughly, which tells a building from a crooked thing."""
LEAST_MAIN, LEAST_SHARE = 0.4, 0.03
"""Shares of an outline's length: in roughly the first direction, and in a further one for it to be a direction."""
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
    rings = [_open_ring(ring) for ring in shapely.get_rings(polygon)]
    corners = [_straight_stretches(ring, tolerance_m) for ring in rings]
    walls = np.vstack([np.diff(ring[[*cuts, cuts[0]]], axis=0) for ring, cuts in zip(rings, corners, strict=True)])
    normals, direction = _directions(walls, tolerance_m)
    if not len(normals) or _roundness(rings[0][corners[0]]) > MOST_ROUND:
        return None
    origin = rings[0].mean(axis=0)
    new, done = [], 0
    for ring, cuts in zip(rings, corners, strict=True):
        lines = _lines(ring - origin, cuts, direction[done : done + len(cuts)], normals)
        done += len(cuts)
        corner = _merge_steps(lines, normals, tolerance_m)
        if corner is None:
            return None
        new.append(corner + origin)
    result = shapely.Polygon(new[0], new[1:])
    # Two directions that differ little may cross far from where the walls meet.
    spike = shapely.distance(shapely.points(np.vstack(new)), shapely.boundary(polygon)).max()
    return result if spike <= FARTHEST * tolerance_m and shapely.is_valid(result) else None


def _open_ring(ring: shapely.LinearRing) -> Floats:
    """Points of a ring, not closed, from the one farthest from its middle, which is a corner if there are any."""
    points = shapely.get_coordinates(ring)[:-1]
    far = int(((points - points.mean(axis=0)) ** 2).sum(axis=1).argmax())
    return np.roll(points, -far, axis=0)


def _straight_stretches(ring: Floats, tolerance_m: float) -> list[int]:
    """Places in a ring where straight stretches begin (Douglas and Peucker)."""
    closed = np.vstack([ring, ring[:1]])
    middle = int(((ring - ring[0]) ** 2).sum(axis=1).argmax())
    kept, stack = {0, middle}, [(0, middle), (middle, len(ring))]
    while stack:
        begin, end = stack.pop()
        if end - begin < 2:
            continue
        base = closed[end] - closed[begin]
        offset = closed[begin + 1 : end] - closed[begin]
        away = np.abs(base[0] * offset[:, 1] - base[1] * offset[:, 0]) / max(float(np.hypot(*base)), 1e-12)
        worst = int(away.argmax())
        if away[worst] > tolerance_m:
            split = begin + 1 + worst
            kept.add(split)
            stack += [(begin, split), (split, end)]
    return sorted(kept)


def _directions(walls: Floats, tolerance_m: float) -> tuple[Floats, Ints]:
    """The directions of an object's walls.

    Args:
        walls: [n, 2] straight stretches of the outline, as steps.
        tolerance_m: how far an outline may stray from a straight wall.

    Returns:
        [2 m, 2] unit normals: of each direction, and of that at a right angle to it. [n] which of them each wall
        takes. No directions at all if the first is not that of most walls.
    """
    length = np.hypot(*walls.T)
    angle = np.arctan2(walls[:, 1], walls[:, 0])
    main = [_strongest(angle, length)]
    away = _away(angle, main[0])
    if length[np.abs(away) <= ROUGHLY].sum() < LEAST_MAIN * length.sum():
        return np.zeros((0, 2)), np.zeros(0, dtype=np.int64)
    family = np.zeros(len(walls), dtype=np.int64)
    while True:
        oblique = (np.abs(away) > NEARLY) & (length * np.abs(np.sin(away)) > 1.5 * tolerance_m)
        if not oblique.any():
            break
        found = _strongest(angle[oblique], length[oblique])
        joins = oblique & (np.abs(_away(angle, found)) <= NEARLY)
        if length[joins].sum() < LEAST_SHARE * length.sum():
            break
        family[joins], away[joins] = len(main), _away(angle, found)[joins]
        main.append(found)
    turned = np.array(main)
    axis = np.rint((angle - away - turned[family]) / (np.pi / 2)).astype(np.int64) % 2
    facing = turned[:, None] + np.array([np.pi / 2, 0.0])
    return np.stack([np.cos(facing), np.sin(facing)], axis=-1).reshape(-1, 2), 2 * family + axis


def _roundness(shell: Floats) -> float:
    """Area over that of a circle of the same length: 1 for a circle, 0.91 for a hexagon, 0.79 for a square."""
    after = np.roll(shell, -1, axis=0)
    area = abs(float((shell[:, 0] * after[:, 1] - shell[:, 1] * after[:, 0]).sum())) / 2
    return 4 * np.pi * area / float(np.hypot(*(after - shell).T).sum()) ** 2


def _away(angle: Floats, main: Floats | float) -> Floats:
    """Angles from the nearest of a direction and those at right angles to it, radians within ±π/4."""
    return np.asarray((angle - main + np.pi / 4) % (np.pi / 2) - np.pi / 4)


def _strongest(angle: Floats, length: Floats) -> float:
    """The direction, modulo 90°, that most walls nearly have, by squared lengths: long walls are the best known."""
    away = _away(angle[:, None], angle[None])
    near = np.abs(away) <= NEARLY
    best = int((near * length[:, None] ** 2).sum(axis=0).argmax())
    return float(angle[best] + np.average(away[:, best], weights=near[:, best] * length**2))


def _lines(ring: Floats, cuts: list[int], direction: Ints, normals: Floats) -> list[_Line]:
    """One line for each straight stretch of a ring."""
    lines: list[_Line] = []
    closed = np.vstack([ring, ring[:1]])
    for begin, end, facing in zip(cuts, [*cuts[1:], len(ring)], direction.tolist(), strict=True):
        chain = closed[begin : end + 1]
        weight = np.hypot(*np.diff(chain, axis=0).T)
        away = chain @ normals[facing]
        at = float((weight * (away[:-1] + away[1:])).sum() / 2 / max(weight.sum(), 1e-12))
        lines.append(_Line(facing, at, float(np.hypot(*(chain[-1] - chain[0])))))
    return lines


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
