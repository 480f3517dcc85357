"""What stands on a level roof: parapet, stair house, water tanks, solar panels, odds and ends."""

from __future__ import annotations

import numpy as np

from weft_geo.datasets.synthetic.canvas import Canvas, LocalGrid
from weft_geo.datasets.synthetic.footprints import Part
from weft_geo.datasets.synthetic.noise import FloatArray
from weft_geo.datasets.synthetic.palette import PAINT, SOLAR_PANEL, TANKS


def furnish(
    rng: np.random.Generator,
    canvas: Canvas,
    grid: LocalGrid,
    inside_m: FloatArray,
    parts: list[Part],
    eaves_m: float,
) -> None:
    """Furnish a level roof.

    Args:
        rng: Source of randomness.
        canvas: What is drawn on.
        grid: Window in the building's frame.
        inside_m: float32 [h, w], distance to the roof's outline, positive inside.
        parts: The building's rectangles; the first two get furniture.
        eaves_m: Height of the roof above the ground.
    """
    cover = canvas.coverage(inside_m)
    if rng.random() < 0.6:
        rim = cover * canvas.coverage(np.float32(rng.uniform(0.2, 0.5)) - inside_m)
        canvas.paint(grid, rim * np.float32(0.9), PAINT[int(rng.integers(len(PAINT)))])
        canvas.raise_to(grid, rim, eaves_m + rng.uniform(0.3, 1.0))
    for part in parts[:2]:
        if min(part.half_along_m, part.half_across_m) < 1.8:
            continue
        if rng.random() < 0.5:
            _stair_house(rng, canvas, grid, part, cover, eaves_m)
        for _ in range(int(rng.integers(0, 4))):
            _thing(rng, canvas, grid, part, cover, eaves_m)


def _stair_house(
    rng: np.random.Generator, canvas: Canvas, grid: LocalGrid, part: Part, cover: FloatArray, eaves_m: float
) -> None:
    """Put a small box in a corner of the roof."""
    half_a = rng.uniform(1.0, max(1.1, 0.45 * part.half_along_m))
    half_b = rng.uniform(0.9, max(1.0, 0.45 * part.half_across_m))
    corner = Part(
        part.along_m + rng.choice([-1, 1]) * (part.half_along_m - half_a - 0.1),
        part.across_m + rng.choice([-1, 1]) * (part.half_across_m - half_b - 0.1),
        half_a,
        half_b,
    )
    box = canvas.coverage(corner.inside(grid.along_m, grid.across_m)) * cover
    tone = rng.uniform(130, 215)
    canvas.paint(grid, box, (tone, tone * 0.98, tone * 0.94))
    canvas.raise_to(grid, box, eaves_m + 2.4)


def _thing(
    rng: np.random.Generator, canvas: Canvas, grid: LocalGrid, part: Part, cover: FloatArray, eaves_m: float
) -> None:
    """Put one tank, solar panel or odd box somewhere on the roof."""
    along = part.along_m + rng.uniform(-0.7, 0.7) * part.half_along_m
    across = part.across_m + rng.uniform(-0.7, 0.7) * part.half_across_m
    kind = rng.random()
    if kind < 0.4:
        radius = np.float32(rng.uniform(0.5, 0.9))
        inside = radius - np.hypot(grid.along_m - np.float32(along), grid.across_m - np.float32(across))
        colour, height = TANKS[int(rng.integers(len(TANKS)))], 1.5
    elif kind < 0.6:
        inside = Part(along, across, rng.uniform(0.8, 2), 0.8).inside(grid.along_m, grid.across_m)
        colour, height = SOLAR_PANEL, 0.5
    else:
        inside = Part(along, across, rng.uniform(0.3, 1.4), rng.uniform(0.3, 1.0)).inside(grid.along_m, grid.across_m)
        tone = rng.uniform(60, 220)
        colour, height = (tone, tone * rng.uniform(0.85, 1.05), tone * rng.uniform(0.8, 1.05)), rng.uniform(0, 1)
    thing = canvas.coverage(inside) * cover
    canvas.paint(grid, thing, colour)
    canvas.raise_to(grid, thing, eaves_m + height)
