"""Cars on the streets and ships on the water."""

from __future__ import annotations

import math

import numpy as np
from shapely.geometry import Polygon

from weft_geo.datasets.synthetic.buildings import fits
from weft_geo.datasets.synthetic.canvas import Canvas
from weft_geo.datasets.synthetic.layout import Layout
from weft_geo.datasets.synthetic.noise import FloatArray
from weft_geo.datasets.synthetic.palette import CAR_PAINT


def park_cars(rng: np.random.Generator, canvas: Canvas, layout: Layout, limit: int) -> None:
    """Put cars on streets, near their edges and along them. Cars are scenery: they are no objects of the truth."""
    rows, columns = np.nonzero((layout.street_m < 0.5) & (layout.street_m > -2.0) & (canvas.height_m == 0))
    if rows.size == 0 or canvas.gsd_m > 1.5:
        return
    for index in rng.integers(0, rows.size, int(rng.integers(0, limit + 1))):
        x, y = float(columns[index]) + 0.5, float(rows[index]) + 0.5
        along_u = _runs_along_u(layout, int(rows[index]), int(columns[index]))
        angle = layout.angle + (0 if along_u else math.pi / 2) + rng.normal(0, 0.06)
        half_length, half_width = rng.uniform(1.9, 2.6), rng.uniform(0.8, 1.0)
        grid = canvas.local_grid(x, y, angle, 3.2)
        if grid is None:
            continue
        a, b = grid.along_m, grid.across_m
        body = canvas.coverage(np.minimum(half_length - np.abs(a), half_width - np.abs(b)).astype(np.float32))
        paint = np.asarray(CAR_PAINT[int(rng.integers(len(CAR_PAINT)))], np.float32) * np.float32(
            rng.uniform(0.85, 1.05)
        )
        canvas.paint(grid, body, (float(paint[0]), float(paint[1]), float(paint[2])))
        for start, stop in ((0.35, 0.95), (-1.6, -1.1)):
            glass = np.minimum(np.minimum(a - start, stop - a), half_width - 0.15 - np.abs(b)).astype(np.float32)
            canvas.paint(grid, canvas.coverage(glass) * np.float32(0.8), (48, 54, 60))
        canvas.raise_to(grid, body, 1.5)


def _runs_along_u(layout: Layout, row: int, column: int) -> bool:
    """Whether the street at a pixel runs along the first axis: its edge distance changes along the second."""
    height, width = layout.street_m.shape
    step = 4
    cos, sin = math.cos(layout.angle), math.sin(layout.angle)
    ahead = (min(max(round(row + step * sin), 0), height - 1), min(max(round(column + step * cos), 0), width - 1))
    aside = (min(max(round(row + step * cos), 0), height - 1), min(max(round(column - step * sin), 0), width - 1))
    here = layout.street_m[row, column]
    return bool(abs(layout.street_m[ahead] - here) < abs(layout.street_m[aside] - here))


def _hull_half_width(a: FloatArray, half_length: float, half_beam: float, bow: float) -> FloatArray:
    """Half the beam at a distance `a` from midships: full amidships, pointed at the bow, slightly narrower aft."""
    forward = np.clip((a - half_length * (1 - bow)) / (half_length * bow), 0, 1)
    aft = np.clip((-a - 0.7 * half_length) / (0.3 * half_length), 0, 1)
    return (half_beam * np.sqrt(1 - forward**2) * (1 - 0.25 * aft)).astype(np.float32)


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
        Hull outlines in pixels, clipped to the canvas.
    """
    hulls: list[Polygon] = []
    free = water_m > 1
    for _ in range(limit):
        rows, columns = np.nonzero(free)
        if rows.size == 0:
            break
        index = int(rng.integers(rows.size))
        x, y = float(columns[index]) + 0.5, float(rows[index]) + 0.5
        longest = min(120.0, 0.35 * min(canvas.shape) * canvas.gsd_m)
        half_length = max(6 * canvas.gsd_m, float(np.exp(rng.uniform(math.log(6), math.log(max(7.0, longest))))) / 2)
        half_beam = half_length * rng.uniform(0.16, 0.3)
        angle = axis + rng.normal(0, 0.12) if rng.random() < 0.6 else rng.uniform(0, 2 * math.pi)
        bow = rng.uniform(0.3, 0.8)
        grid = canvas.local_grid(x, y, angle, 1.6 * half_length)
        if grid is None:
            continue
        a, b = grid.along_m, grid.across_m
        beam = _hull_half_width(a, half_length, half_beam, bow)
        inside = np.minimum(beam - np.abs(b), half_length - np.abs(a))
        claimed = inside > -3 * canvas.gsd_m
        stations = np.linspace(-half_length, half_length, 25, dtype=np.float32)
        sides = _hull_half_width(stations, half_length, half_beam, bow)
        ring = np.concatenate([np.stack([stations, sides], 1), np.stack([stations, -sides], 1)[::-1]]) / canvas.gsd_m
        cos, sin = math.cos(angle), math.sin(angle)
        hull = fits(
            canvas,
            Polygon(np.stack([x + ring[:, 0] * cos - ring[:, 1] * sin, y + ring[:, 0] * sin + ring[:, 1] * cos], 1)),
        )
        if hull is None or not free[grid.window][claimed].all():
            continue
        free[grid.window] &= ~claimed
        hulls.append(hull)
        if rng.random() < 0.3:  # wake
            wake = np.clip(1 - np.abs(b) / (0.3 * half_beam + 0.25 * np.maximum(-a - half_length, 0) + 0.1), 0, 1) * (
                a < 0
            )
            canvas.paint(
                grid,
                (0.35 * wake * np.clip(0.8 + 0.3 * canvas.noise.fine[grid.window], 0, 1)).astype(np.float32),
                (205, 215, 215),
            )
        cover = canvas.coverage(inside)
        tone = np.asarray(
            ((150, 84, 66), (104, 110, 114), (196, 196, 192), (62, 92, 74), (72, 78, 96))[int(rng.integers(5))],
            np.float32,
        )
        canvas.paint(grid, cover, tuple((tone * np.float32(0.75)).tolist()))
        deck = canvas.coverage(inside - np.float32(max(0.25, 0.12 * half_beam)))
        canvas.paint(grid, deck, tuple((tone * np.float32(rng.uniform(1.0, 1.3))).tolist()))
        canvas.raise_to(grid, cover, 1 + 0.06 * half_length)
        house_at = -half_length * rng.uniform(0.5, 0.75)
        house = np.minimum(0.14 * half_length - np.abs(a - house_at), 0.65 * half_beam - np.abs(b)).astype(np.float32)
        canvas.paint(grid, canvas.coverage(house) * cover, (228, 228, 224))
        canvas.raise_to(grid, canvas.coverage(house) * cover, 2 + 0.16 * half_length)
        if half_length > 20:  # cargo
            row = np.floor((a + half_length) / np.float32(max(3.0, 0.12 * half_length))).astype(np.int32)
            hold = canvas.coverage(
                np.minimum(0.68 * half_beam - np.abs(b), 0.55 * half_length - np.abs(a - 0.1 * half_length))
            )
            cargo = rng.uniform(70, 200, (64, 3)).astype(np.float32)[row % 64]
            canvas.paint(
                grid,
                (hold * cover * np.float32(0.85)).astype(np.float32),
                np.ascontiguousarray(cargo.transpose(2, 0, 1)),
            )
    return hulls
