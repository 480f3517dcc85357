"""Fractal noise, the raw material of every texture in a synthetic scene."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


def _double(grid: FloatArray) -> FloatArray:
    """Upsample by two with a linear filter; a grid of [h, w] becomes [2h - 2, 2w - 2]."""
    rows = np.empty((2 * grid.shape[0] - 2, grid.shape[1]), np.float32)
    rows[0::2] = 0.75 * grid[:-1] + 0.25 * grid[1:]
    rows[1::2] = 0.25 * grid[:-1] + 0.75 * grid[1:]
    out = np.empty((rows.shape[0], 2 * rows.shape[1] - 2), np.float32)
    out[:, 0::2] = 0.75 * rows[:, :-1] + 0.25 * rows[:, 1:]
    out[:, 1::2] = 0.25 * rows[:, :-1] + 0.75 * rows[:, 1:]
    return out


def fractal_noise(
    rng: np.random.Generator,
    height: int,
    width: int,
    coarsest_px: float,
    finest_px: float = 1.0,
    roughness: float = 0.6,
) -> FloatArray:
    """Draw smooth random noise with details between two sizes.

    Args:
        rng: Source of randomness.
        height: Rows of the field.
        width: Columns of the field.
        coarsest_px: Size of the largest structures, in pixels.
        finest_px: Size of the smallest structures, in pixels; 1 adds noise down to single pixels.
        roughness: Amplitude of one octave relative to the one twice as coarse.

    Returns:
        float32 [height, width], mean 0 and standard deviation 1 (0 where the field is a single pixel).
    """
    octaves = max(1, math.ceil(math.log2(max(2.0, coarsest_px))))
    detailed = max(1, octaves - round(math.log2(max(1.0, finest_px))))
    sizes = [(height + 2, width + 2)]
    for _ in range(octaves):
        sizes.append((math.ceil(sizes[-1][0] / 2) + 2, math.ceil(sizes[-1][1] / 2) + 2))
    grid = rng.standard_normal(sizes[-1], dtype=np.float32)
    amplitude = 1.0
    for step, (rows, columns) in enumerate(reversed(sizes[:-1]), start=1):
        grid = _double(grid)[:rows, :columns]
        amplitude *= roughness
        if step <= detailed:
            grid = grid + np.float32(amplitude) * rng.standard_normal(grid.shape, dtype=np.float32)
    field = grid[:height, :width]
    field = field - field.mean()
    spread = float(field.std())
    return np.ascontiguousarray(field / np.float32(spread)) if spread > 0 else field


class NoiseBank:
    """A few noise fields of a scene's size, drawn once, of which objects borrow random patches.

    Attributes:
        broad: Structures of tens of metres: illumination, moisture, where things grow.
        medium: Structures of a few metres: patches of grass, stains, rust.
        fine: Structures down to one pixel: leaves, gravel, grain.
    """

    def __init__(self, rng: np.random.Generator, height: int, width: int, gsd_m: float) -> None:
        self.broad = fractal_noise(rng, height, width, 60 / gsd_m, 6 / gsd_m, 0.55)
        self.medium = fractal_noise(rng, height, width, 8 / gsd_m, 2.0, 0.75)
        self.fine = fractal_noise(rng, height, width, 4, 1.0, 0.9)

    def patch(self, rng: np.random.Generator, name: str, height: int, width: int) -> FloatArray:
        """Borrow a random patch [height, width] of the field called `name`; it must not be larger than the scene."""
        field: FloatArray = getattr(self, name)
        top = int(rng.integers(0, field.shape[0] - height + 1))
        left = int(rng.integers(0, field.shape[1] - width + 1))
        return field[top : top + height, left : left + width]
