"""Trees and bushes: a few crowns drawn once per scene and stamped wherever something may grow."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from weft_geo.datasets.synthetic.canvas import Canvas
from weft_geo.datasets.synthetic.noise import FloatArray, fractal_noise
from weft_geo.datasets.synthetic.palette import Country


@dataclass(frozen=True)
class Crown:
    """A tree from above.

    Attributes:
        cover: float32 [s, s], opacity.
        colour: float32 [3, s, s].
        height_m: float32 [s, s].
    """

    cover: FloatArray
    colour: FloatArray
    height_m: FloatArray


def draw_crown(rng: np.random.Generator, canvas: Canvas, country: Country, radius_m: float, palm: bool) -> Crown:
    """Draw a crown of the given radius (metres): a lobed, lit, leafy dome, or a star of palm leaves."""
    reach = max(2, math.ceil(1.35 * radius_m / canvas.gsd_m))
    size = 2 * reach
    axis = ((np.arange(size, dtype=np.float32) + 0.5 - reach) * canvas.gsd_m) / radius_m
    dx, dy = axis[None, :], axis[:, None]
    distance, bearing = np.sqrt(dx * dx + dy * dy), np.arctan2(dy, dx)
    lumps = fractal_noise(rng, size, size, max(2.0, size / 3), 1.0, 0.85)
    if palm:
        leaves = np.abs(np.cos(bearing * np.float32(rng.integers(4, 7)) + np.float32(rng.uniform(0, 6)) + distance))
        rim = 0.25 + 0.75 * leaves**2 + 0.06 * lumps
    else:
        rim = (
            0.85
            + 0.09 * np.cos(bearing * np.float32(rng.integers(2, 5)) + np.float32(rng.uniform(0, 6)))
            + 0.12 * lumps
        )
    inside = rim - distance
    cover = np.clip(inside * radius_m / canvas.gsd_m * 0.8 + 0.5, 0, 1) * np.float32(0.97)
    dome = np.sqrt(np.clip(1 - distance**2, 0, 1))
    lit = (dx * np.float32(canvas.sun.x) + dy * np.float32(canvas.sun.y)) * np.float32(0.28)
    shading = 0.8 + 0.22 * dome + lit + (0.2 if palm else 0.16) * lumps
    leaf = np.asarray(country.leaves[int(rng.integers(len(country.leaves)))], np.float32)
    leaf = leaf * np.float32(rng.uniform(0.85, 1.2)) + rng.normal(0, 5, 3).astype(np.float32)
    colour = leaf[:, None, None] * np.clip(shading, 0.35, 1.7)
    tall = np.float32(radius_m * rng.uniform(0.9, 1.6))
    return Crown(cover.astype(np.float32), colour.astype(np.float32), tall * (np.float32(0.4) + np.float32(0.6) * dome))


def _stamp(canvas: Canvas, crown: Crown, x: int, y: int, brightness: float) -> None:
    """Lay a crown with its window's corner at (x, y), cut at the canvas."""
    size = crown.cover.shape[0]
    height, width = canvas.shape
    top, left, bottom, right = max(0, y), max(0, x), min(height, y + size), min(width, x + size)
    if top >= bottom or left >= right:
        return
    part = (slice(top - y, bottom - y), slice(left - x, right - x))
    rows, columns = slice(top, bottom), slice(left, right)
    cover = crown.cover[part]
    target = canvas.rgb[:, rows, columns]
    target += cover * (crown.colour[:, part[0], part[1]] * np.float32(brightness) - target)
    ground = canvas.height_m[rows, columns]
    np.copyto(ground, np.maximum(ground, crown.height_m[part]), where=cover > 0.5)


def plant(rng: np.random.Generator, canvas: Canvas, country: Country, keep_off: FloatArray, limit: int) -> None:
    """Plant trees in clusters on open land; some crowns hang over roofs and streets.

    Args:
        rng: Source of randomness.
        canvas: What is drawn on; trees mostly keep off what is taken.
        country: Gives density and colours.
        keep_off: float32 [H, W], positive where nothing grows at all (water).
        limit: No more stamps than this.
    """
    height, width = canvas.shape
    area_m2 = height * width * canvas.gsd_m**2
    biggest = rng.uniform(2.2, 5.5)
    crowns = [
        draw_crown(rng, canvas, country, radius, palm=rng.random() < 0.15)
        for radius in np.concatenate([rng.uniform(0.6, 1.6, 6), rng.uniform(1.5, biggest, 8)])
    ]
    wanted = int(min(limit, rng.uniform(0.2, 2.2) * country.tree_density * area_m2 / 100))
    threshold, overhang = rng.normal(0.0, 0.7), rng.uniform(0.0, 0.12)
    xs, ys = rng.integers(0, width, 5 * wanted), rng.integers(0, height, 5 * wanted)
    chance = rng.random(5 * wanted)
    grows = canvas.noise.broad[ys, xs] + 0.5 * rng.standard_normal(5 * wanted) > threshold
    free = (~canvas.taken[ys, xs] | (chance < overhang)) & (keep_off[ys, xs] < 0)
    for x, y in list(zip(xs[grows & free].tolist(), ys[grows & free].tolist(), strict=True))[:wanted]:
        crown = (
            crowns[int(min(len(crowns) - 1, rng.exponential(5)))]
            if rng.random() < 0.5
            else crowns[int(rng.integers(14))]
        )
        half = crown.cover.shape[0] // 2
        _stamp(canvas, crown, x - half, y - half, rng.uniform(0.85, 1.15))
