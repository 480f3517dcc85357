"""Right angles for objects that have them, buildings above all.

Each object is turned so that its dominant direction lies along the axes. Its outline is cut into straight stretches
(Douglas and Peucker), each stretch becomes a horizontal or a vertical line at the mean place of the outline it stands
for, short steps are merged away, and the crossings of neighbouring lines are the new corners. So walls lie in the
middle of the stair-steps rather than on their outer or inner side, and areas stay.

An object keeps its plain outline when it is not rectilinear in the first place (a circle), when the result is not
valid, when it agrees with the plain outline by an IoU under 0.85, when it touches another object (they keep the edges
they share), and when its new outline would overlap another object (see `weft_geo.vector.overlaps`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from weft_geo.vector.ground import Floats, Ground, lay, metric_frame
from weft_geo.vector.outline import Bools
from weft_geo.vector.polygons import MULTIPOLYGON, POLYGON, Polygons, Shapes

LEAST_IOU = 0.85
LEAST_ALIGNMENT = 0.5
"""Length-weighted mean of exp(4iφ) over the straight stretches: 1 for right angles, 0 for a circle."""


@dataclass
class _Line:
    """A line along an axis of the turned frame: all points whose coordinate number `axis` is `at`."""

    axis: int
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
    angle, alignment = _dominant_direction(rings, corners)
    if alignment < LEAST_ALIGNMENT:
        return None
    origin = rings[0].mean(axis=0)
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, -sin], [sin, cos]])
    new = []
    for ring, cuts in zip(rings, corners, strict=True):
        square = _cross(_merge_steps(_lines(lay(ring - origin, turn.T), cuts), tolerance_m))
        if square is None:
            return None
        new.append(lay(square, turn) + origin)
    result = shapely.Polygon(new[0], new[1:])
    return result if shapely.is_valid(result) else None


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


def _dominant_direction(rings: list[Floats], corners: list[list[int]]) -> tuple[float, float]:
    """Angle of the walls modulo 90°, radians, and how far the outline keeps to it, 0…1."""
    walls = np.vstack([np.diff(ring[[*cuts, cuts[0]]], axis=0) for ring, cuts in zip(rings, corners, strict=True)])
    length = np.hypot(*walls.T)
    phase = np.exp(4j * np.arctan2(walls[:, 1], walls[:, 0]))
    # Squared lengths: the direction is that of the long walls, which are the best known.
    angle = np.angle((length**2 * phase).sum()) / 4
    return float(angle), float(np.real((length * phase).sum() * np.exp(-4j * angle)) / length.sum())


def _lines(ring: Floats, cuts: list[int]) -> list[_Line]:
    """One line for each straight stretch of a ring that is turned along the axes."""
    lines: list[_Line] = []
    closed = np.vstack([ring, ring[:1]])
    for begin, end in zip(cuts, [*cuts[1:], len(ring)], strict=True):
        chain = closed[begin : end + 1]
        steps = np.diff(chain, axis=0)
        weight = np.hypot(*steps.T)
        span = np.abs(chain[-1] - chain[0])
        axis = int(span[0] > span[1])  # a horizontal line holds its y
        at = float((weight * (chain[:-1, axis] + chain[1:, axis])).sum() / 2 / max(weight.sum(), 1e-12))
        lines.append(_Line(axis, at, float(span.max())))
    return lines


def _merge_steps(lines: list[_Line], tolerance_m: float) -> list[_Line]:
    """Alternating lines, with steps shorter than the tolerance taken out, the shortest first."""
    merged: list[_Line] = []
    for line in lines:
        if merged and merged[-1].axis == line.axis:
            merged[-1] = _mean(merged[-1], line)
        else:
            merged.append(line)
    while len(merged) > 1 and merged[0].axis == merged[-1].axis:
        merged[0] = _mean(merged[0], merged.pop())
    while len(merged) > 4:
        n = len(merged)
        length = [abs(merged[k - 1].at - merged[(k + 1) % n].at) for k in range(n)]
        shortest = int(np.argmin(length))
        if length[shortest] >= tolerance_m:
            break
        merged = merged[shortest:] + merged[:shortest]
        merged = [*merged[2:-1], _mean(merged[-1], merged[1])]
        # The joined line now stands last; its neighbours are of the other axis on both sides.
    return merged


def _mean(one: _Line, other: _Line) -> _Line:
    weight = one.weight + other.weight
    at = (one.at * one.weight + other.at * other.weight) / max(weight, 1e-12)
    return _Line(one.axis, at, weight)


def _cross(lines: list[_Line]) -> Floats | None:
    """The crossings of neighbouring lines, or None where they make no ring."""
    if len(lines) < 4 or len(lines) % 2:
        return None
    points = np.empty((len(lines), 2))
    for k, line in enumerate(lines):
        following = lines[(k + 1) % len(lines)]
        points[k, line.axis], points[k, following.axis] = line.at, following.at
    return points
