"""Ships on the water."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from shapely.geometry import Polygon

from weft_geo.datasets.synthetic.canvas import Canvas, Colour, LocalGrid
from weft_geo.datasets.synthetic.footprints import Part, fit_into
from weft_geo.datasets.synthetic.noise import FloatArray
from weft_geo.datasets.synthetic.palette import SHIP_PAINT


@dataclass(frozen=True)
class Hull:
    """Outline of a ship: full amidships, pointed at the bow, slightly narrower aft. Lengths in metres.

    Attributes:
        half_length_m: Half the length.
        half_beam_m: Half the greatest width.
        bow: Share of the forward half over which it narrows.
    """

    half_length_m: float
    half_beam_m: float
    bow: float

    def half_width(self, along_m: FloatArray) -> FloatArray:
        """Half the width at a distance forward of midships."""
        forward = np.clip((along_m / self.half_length_m - 1 + self.bow) / self.bow, 0, 1)
        aft = np.clip((-along_m / self.half_length_m - 0.7) / 0.3, 0, 1)
        return np.asarray(self.half_beam_m * np.sqrt(1 - forward**2) * (1 - 0.25 * aft), np.float32)

    def outline(self, x_px: float, y_px: float, angle: float, gsd_m: float) -> Polygon:
        """The hull as a polygon in pixel coordinates."""
        stations = np.linspace(-self.half_length_m, self.half_length_m, 25, dtype=np.float32)
        sides = self.half_width(stations)
        along, across = np.concatenate([stations, stations[::-1]]), np.concatenate([sides, -sides[::-1]])
        cos, sin = math.cos(angle) / gsd_m, math.sin(angle) / gsd_m
        return Polygon(np.stack([x_px + along * cos - across * sin, y_px + along * sin + across * cos], axis=1))


def float_ships(
    rng: np.random.Generator, canvas: Canvas, water_m: FloatArray, axis: float, limit: int
) -> list[Polygon]:
    """Put ships and boats on the water.

    Args:
        rng: Source of randomness.
        canvas: What is drawn on.
        water_m: float32 [H, W], metres from the shore, positive on the water.
        axis: Direction of most ships, radians.
        limit: Ships to try.

    Returns:
        Hull outlines in pixels, clipped to the canvas, more than two pixels apart.
    """
    outlines: list[Polygon] = []
    free = water_m > 1
    rows, columns = np.nonzero(free)
    longest = max(7.0, min(120.0, 0.35 * min(canvas.shape) * canvas.gsd_m))
    for _ in range(limit if rows.size else 0):
        index = int(rng.integers(rows.size))
        x, y = float(columns[index]) + 0.5, float(rows[index]) + 0.5
        half_length = max(6 * canvas.gsd_m, float(np.exp(rng.uniform(math.log(6), math.log(longest)))) / 2)
        hull = Hull(half_length, max(half_length * rng.uniform(0.16, 0.3), 2.2 * canvas.gsd_m), rng.uniform(0.3, 0.8))
        angle = axis + rng.normal(0, 0.12) if rng.random() < 0.6 else rng.uniform(0, 2 * math.pi)
        grid = canvas.local_grid(x, y, angle, 1.6 * half_length)
        if grid is None:
            continue
        ends = np.float32(half_length) - np.abs(grid.along_m)
        inside = np.minimum(hull.half_width(grid.along_m) - np.abs(grid.across_m), ends)
        claimed = inside > -3 * canvas.gsd_m
        outline = fit_into(canvas.shape, hull.outline(x, y, angle, canvas.gsd_m))
        if outline is None or not free[grid.window][claimed].all():
            continue
        free[grid.window] &= ~claimed
        outlines.append(outline)
        _draw_ship(rng, canvas, grid, hull, inside)
    return outlines


def _draw_ship(rng: np.random.Generator, canvas: Canvas, grid: LocalGrid, hull: Hull, inside_m: FloatArray) -> None:
    """Draw a wake now and then, the hull, its deck, a deck house and cargo."""
    a, b = grid.along_m, grid.across_m
    length, beam = hull.half_length_m, hull.half_beam_m
    if rng.random() < 0.3:
        spread = np.float32(0.3 * beam + 0.1) + np.float32(0.25) * np.maximum(-a - np.float32(length), 0)
        foam = np.clip(1 - np.abs(b) / spread, 0, 1) * np.clip(0.8 + 0.3 * canvas.noise.fine[grid.window], 0, 1)
        canvas.paint(grid, np.where(a < 0, np.float32(0.35) * foam, 0).astype(np.float32), (205, 215, 215))
    cover = canvas.coverage(inside_m)
    paint = np.asarray(SHIP_PAINT[int(rng.integers(len(SHIP_PAINT)))], np.float32)
    canvas.paint(grid, cover, paint * np.float32(0.75))
    canvas.paint(grid, canvas.coverage(inside_m - np.float32(max(0.25, 0.12 * beam))), paint * np.float32(1.15))
    canvas.raise_to(grid, cover, 1 + 0.06 * length)
    if length > 20:
        hold = Part(0.1 * length, 0, 0.55 * length, 0.68 * beam).inside(a, b)
        row = np.floor((a + np.float32(length)) / np.float32(max(3.0, 0.12 * length))).astype(np.int32) % 64
        cargo = rng.uniform(70, 200, (3, 64)).astype(np.float32)[:, row]
        canvas.paint(grid, canvas.coverage(hold) * cover * np.float32(0.85), cargo)
    house = Part(-length * rng.uniform(0.5, 0.75), 0, 0.14 * length, 0.65 * beam).inside(a, b)
    white: Colour = (228, 228, 224)
    canvas.paint(grid, canvas.coverage(house) * cover, white)
    canvas.raise_to(grid, canvas.coverage(house) * cover, 2 + 0.16 * length)
