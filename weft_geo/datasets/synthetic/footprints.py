"""The plan of a building: overlapping rectangles, and their union as an exact outline."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from shapely import unary_union
from shapely.affinity import affine_transform
from shapely.geometry import Polygon, box

from weft_geo.datasets.synthetic.noise import FloatArray


@dataclass(frozen=True)
class Part:
    """An upright rectangle of a building in the building's frame; all values in metres."""

    along_m: float
    across_m: float
    half_along_m: float
    half_across_m: float

    def inside(self, along_m: FloatArray, across_m: FloatArray) -> FloatArray:
        """Distance to the nearest edge, metres, positive inside (outside: the larger of the two axis distances)."""
        from_end = np.float32(self.half_along_m) - np.abs(along_m - np.float32(self.along_m))
        from_side = np.float32(self.half_across_m) - np.abs(across_m - np.float32(self.across_m))
        return np.asarray(np.minimum(from_end, from_side), np.float32)


def footprint(rng: np.random.Generator, form: str, length_m: float, width_m: float) -> list[Part]:
    """Compose a plan of the given form: bar, ell, tee, step (two shifted halves) or court (a ring round a yard)."""
    la, lb = length_m / 2, width_m / 2
    if form == "ell":
        wa, wb = la * rng.uniform(0.35, 0.55), lb * rng.uniform(0.5, 0.65)
        side, end = rng.choice([-1, 1], 2)
        return [Part(0, side * (lb - wb), la, wb), Part(end * (la - wa), 0, wa, lb)]
    if form == "tee":
        wa, wb = la * rng.uniform(0.3, 0.45), lb * rng.uniform(0.5, 0.65)
        return [Part(0, -(lb - wb), la, wb), Part(la * rng.uniform(-0.3, 0.3), 0, wa, lb)]
    if form == "step":
        cut = rng.uniform(0.4, 0.6) * length_m
        shift = rng.uniform(0.15, 0.4) * lb
        first = Part(-la + cut / 2, -shift / 2, cut / 2 + 0.05, lb - shift / 2)
        return [first, Part(cut / 2, shift / 2, la - cut / 2 + 0.05, lb - shift / 2)]
    if form == "court" and min(la, lb) > 4:
        depth = min(la, lb) * rng.uniform(0.25, 0.38)
        bars = [Part(0, s * (lb - depth), la, depth) for s in (-1, 1)]
        return bars + [Part(s * (la - depth), 0, depth, lb) for s in (-1, 1)]
    return [Part(0, 0, la, lb)]


def outline(parts: list[Part], x_px: float, y_px: float, angle: float, gsd_m: float) -> Polygon:
    """Union of the parts as one polygon in pixel coordinates (x = column, y = row)."""
    boxes = [
        box(
            part.along_m - part.half_along_m,
            part.across_m - part.half_across_m,
            part.along_m + part.half_along_m,
            part.across_m + part.half_across_m,
        )
        for part in parts
    ]
    union = boxes[0] if len(boxes) == 1 else unary_union(boxes)
    cos, sin = math.cos(angle) / gsd_m, math.sin(angle) / gsd_m
    return affine_transform(union, [cos, -sin, sin, cos, x_px, y_px])


def fit_into(shape: tuple[int, int], polygon: Polygon) -> Polygon | None:
    """Clip an outline to an image.

    Args:
        shape: (height, width) of the image in pixels.
        polygon: An outline in pixel coordinates.

    Returns:
        What lies in the image; None where that is empty, in pieces, or so thin that pixels would tear it.
    """
    height, width = shape
    left, top, right, bottom = polygon.bounds
    if left >= 0 and top >= 0 and right <= width and bottom <= height:
        return polygon
    inside = polygon.intersection(box(0, 0, width, height))
    if not isinstance(inside, Polygon) or inside.is_empty or inside.area < 0.15 * polygon.area:
        return None
    unbroken, core = inside.buffer(-0.75), inside.buffer(-1.6)
    if not isinstance(unbroken, Polygon) or not isinstance(core, Polygon) or core.area < 0.2 * inside.area:
        return None
    lost = inside.area - unbroken.buffer(0.75, join_style="mitre").area  # corners beyond a neck
    return inside if lost < 0.2 else None
