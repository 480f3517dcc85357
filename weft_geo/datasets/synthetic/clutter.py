"""Things that are no objects of the truth but look a little like them: cars, tarps, pads, piles."""

from __future__ import annotations

import math

import numpy as np

from weft_geo.datasets.synthetic.canvas import Canvas
from weft_geo.datasets.synthetic.footprints import Part
from weft_geo.datasets.synthetic.layout import Layout
from weft_geo.datasets.synthetic.noise import FloatArray
from weft_geo.datasets.synthetic.palette import CAR_PAINT, GLASS


def park_cars(rng: np.random.Generator, canvas: Canvas, layout: Layout, water_m: FloatArray, limit: int) -> None:
    """Put up to `limit` cars on dry streets, near their edges and along them."""
    beside = (layout.street_m < 0.5) & (layout.street_m > -2.0) & (canvas.height_m == 0) & (water_m < -2)
    rows, columns = np.nonzero(beside)
    if rows.size == 0:
        return
    for index in rng.integers(0, rows.size, int(rng.integers(0, limit + 1) * (0.2 + 0.8 * layout.settlement.paved))):
        row, column = int(rows[index]), int(columns[index])
        turn = 0.0 if _runs_along_u(layout, row, column) else math.pi / 2
        grid = canvas.local_grid(column + 0.5, row + 0.5, layout.angle + turn + rng.normal(0, 0.06), 3.2)
        if grid is None:
            continue
        car = Part(0, 0, rng.uniform(1.9, 2.6), rng.uniform(0.8, 1.0))
        body = canvas.coverage(car.inside(grid.along_m, grid.across_m))
        paint = np.asarray(CAR_PAINT[int(rng.integers(len(CAR_PAINT)))], np.float32)
        canvas.paint(grid, body, paint * np.float32(rng.uniform(0.85, 1.05)))
        for middle, half in ((0.65, 0.3), (-1.35, 0.25)):
            glass = Part(middle, 0, half, car.half_across_m - 0.15).inside(grid.along_m, grid.across_m)
            canvas.paint(grid, canvas.coverage(glass) * np.float32(0.8), GLASS)
        canvas.raise_to(grid, body, 1.5)


def _runs_along_u(layout: Layout, row: int, column: int) -> bool:
    """Whether the street at a pixel runs along the first axis: there the distance to its edge hardly changes."""
    height, width = layout.street_m.shape
    cos, sin = 4 * math.cos(layout.angle), 4 * math.sin(layout.angle)

    def change(down: float, right: float) -> float:
        there = (min(max(round(row + down), 0), height - 1), min(max(round(column + right), 0), width - 1))
        return abs(float(layout.street_m[there] - layout.street_m[row, column]))

    return change(sin, cos) < change(cos, -sin)


def scatter(rng: np.random.Generator, canvas: Canvas, layout: Layout, water_m: FloatArray, limit: int) -> None:
    """Lay up to `limit` flat things on free dry ground: concrete pads, tarps, piles of sand, bushes of any colour."""
    rows = rng.integers(0, canvas.shape[0], limit)
    columns = rng.integers(0, canvas.shape[1], limit)
    dry = (water_m[rows, columns] < -2) & ~canvas.taken[rows, columns]
    for row, column in zip(rows[dry].tolist(), columns[dry].tolist(), strict=True):
        size = float(np.exp(rng.uniform(math.log(0.3), math.log(2.8))))
        grid = canvas.local_grid(column + 0.5, row + 0.5, layout.angle + rng.normal(0, 0.3), 1.5 * size)
        if grid is None:
            continue
        if rng.random() < 0.5:
            inside = Part(0, 0, size, size * rng.uniform(0.3, 1)).inside(grid.along_m, grid.across_m)
        else:
            inside = np.float32(size) - np.hypot(grid.along_m, grid.across_m)
        inside = inside + np.float32(0.25 * size) * canvas.noise.medium[grid.window] * np.float32(rng.random())
        free = ~canvas.taken[grid.window]
        tone = rng.uniform(60, 225)
        tint = rng.normal(1, 0.05 if rng.random() < 0.85 else 0.3, 3)
        cover = canvas.coverage(inside) * free * np.float32(rng.uniform(0.5, 0.95))
        canvas.paint(grid, cover, np.clip(tone * tint, 20, 240).astype(np.float32))
        canvas.raise_to(grid, cover, rng.uniform(0, 0.25 * size))
