"""The straight walls in an outline, and the directions that they run in."""

from __future__ import annotations

import numpy as np
import shapely

from weft_geo.vector.arrays import Floats, Ints

NEARLY, ROUGHLY = np.radians(4), np.radians(15)
"""A wall nearly has a direction, and is given it; or roughly, which tells a building from a crooked thing."""
LEAST_MAIN, LEAST_SHARE = 0.4, 0.03
"""Shares of an outline's length: in roughly the first direction, and in a further one for it to be a direction."""
CANDIDATES = 64
"""How many of the longest walls are asked for a direction."""
ENDS = 1.5
"""What is left out at either end of a stretch when a wall is fitted to it, in tolerances."""


def open_ring(ring: shapely.LinearRing) -> Floats:
    """Points of a ring, not closed, from the one farthest from its middle, which is a corner if there are any."""
    points = shapely.get_coordinates(ring)[:-1]
    far = int(((points - points.mean(axis=0)) ** 2).sum(axis=1).argmax())
    return np.roll(points, -far, axis=0)


def straight_stretches(ring: Floats, tolerance_m: float) -> list[int]:
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


def fit_walls(ring: Floats, cuts: list[int], tolerance_m: float) -> tuple[Floats, Floats]:
    """A straight wall for each stretch of a ring, by least squares.

    The cuts lie a tolerance beside the true corners at worst, so the ends of a stretch take no part where the rest of
    it is long enough.

    Returns:
        [walls, 2] steps as long as the stretches, and [walls, 2] points on the walls.
    """
    closed = np.vstack([ring, ring[:1]])
    ends = np.append(cuts, len(ring))
    chord = np.diff(closed[ends], axis=0)
    long = np.maximum(np.hypot(*chord.T), 1e-12)
    of = np.repeat(np.arange(len(cuts)), np.diff(ends))
    step, place = np.diff(closed, axis=0), (closed[:-1] + closed[1:]) / 2
    every = np.hypot(*step.T)
    along = ((place - closed[ends[:-1]][of]) * chord[of]).sum(axis=1) / long[of]
    inner = every * ((along > ENDS * tolerance_m) & (along < long[of] - ENDS * tolerance_m))
    enough = np.add.reduceat(inner, cuts) > long / 2
    weight = np.where(enough[of], inner, every)
    total = np.maximum(np.add.reduceat(weight, cuts), 1e-12)
    middle = np.add.reduceat(place * weight[:, None], cuts) / total[:, None]
    (x, y), (dx, dy) = (place - middle[of]).T, step.T
    # The principal axis of the stretch, whose edges are lines and no points.
    cross = np.add.reduceat(weight * (x * y + dx * dy / 12), cuts)
    spread = np.add.reduceat(weight * (x * x - y * y + (dx * dx - dy * dy) / 12), cuts)
    angle = np.arctan2(2 * cross, spread) / 2
    way = np.column_stack([np.cos(angle), np.sin(angle)])
    return way * np.copysign(long, (way * chord).sum(axis=1))[:, None], middle


def find_directions(walls: Floats, tolerance_m: float) -> tuple[Floats, Ints]:
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


def roundness(shell: Floats) -> float:
    """Area over that of a circle of the same length: 1 for a circle, 0.91 for a hexagon, 0.79 for a square."""
    after = np.roll(shell, -1, axis=0)
    area = abs(float((shell[:, 0] * after[:, 1] - shell[:, 1] * after[:, 0]).sum())) / 2
    return 4 * np.pi * area / float(np.hypot(*(after - shell).T).sum()) ** 2


def _away(angle: Floats, main: Floats | float) -> Floats:
    """Angles from the nearest of a direction and those at right angles to it, radians within ±π/4."""
    return np.asarray((angle - main + np.pi / 4) % (np.pi / 2) - np.pi / 4)


def _strongest(angle: Floats, length: Floats) -> float:
    """The direction, modulo 90°, that most walls nearly have, by squared lengths: long walls are the best known."""
    longest = np.argsort(-length, kind="stable")[:CANDIDATES]
    away = _away(angle[:, None], angle[None, longest])
    near = np.abs(away) <= NEARLY
    best = int((near * length[:, None] ** 2).sum(axis=0).argmax())
    return float(angle[longest[best]] + np.average(away[:, best], weights=near[:, best] * length**2))
