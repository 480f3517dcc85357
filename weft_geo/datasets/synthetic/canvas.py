"""The sheet a synthetic scene is drawn on: colour, height above the ground, and what is already taken."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from weft_geo.datasets.synthetic.noise import FloatArray, NoiseBank

Colour = tuple[float, float, float]


def rgb(red: float, green: float, blue: float) -> FloatArray:
    """A colour as float32 [3], for arithmetic."""
    return np.array([red, green, blue], np.float32)


@dataclass(frozen=True)
class Sun:
    """Where the light comes from.

    Attributes:
        x: Component towards the sun along columns (to the right), unit length together with `y`.
        y: Component towards the sun along rows (downwards).
        elevation: Height of the sun over the horizon, radians.
    """

    x: float
    y: float
    elevation: float

    def shade(self, slope_x: float, slope_y: float) -> float:
        """Brightness of a plane, relative to a level one.

        Args:
            slope_x: Rise per metre along columns.
            slope_y: Rise per metre along rows.

        Returns:
            Lambert's cosine divided by that of level ground, softened by sky light and kept within 0.5 … 1.4.
        """
        sin_e, cos_e = math.sin(self.elevation), math.cos(self.elevation)
        facing = (sin_e - (slope_x * self.x + slope_y * self.y) * cos_e) / math.sqrt(1 + slope_x**2 + slope_y**2)
        return min(1.4, max(0.5, 0.35 + 0.65 * facing / sin_e))


@dataclass
class LocalGrid:
    """A window of the canvas with coordinates in an object's own rotated frame.

    Attributes:
        window: Row and column slices into the canvas.
        along_m: float32 [h, w], metres along the object's axis, measured at pixel centres.
        across_m: float32 [h, w], metres across it.
    """

    window: tuple[slice, slice]
    along_m: FloatArray
    across_m: FloatArray


@dataclass
class Canvas:
    """The scene while it is being drawn.

    Attributes:
        gsd_m: Ground sampling distance, metres per pixel.
        sun: The light.
        noise: Texture to borrow from.
        rgb: float32 [3, H, W], 0 … 255, colour without shadows.
        height_m: float32 [H, W], metres above the ground.
        taken: bool [H, W], where nothing more may be built.
    """

    gsd_m: float
    sun: Sun
    noise: NoiseBank
    rgb: FloatArray
    height_m: FloatArray = field(init=False)
    taken: NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        """Start with level and free ground."""
        self.height_m = np.zeros(self.shape, np.float32)
        self.taken = np.zeros(self.shape, bool)

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.rgb.shape[1], self.rgb.shape[2]

    def is_taken(self, x_px: float, y_px: float) -> bool:
        """Whether the pixel at a place is taken; outside the canvas nothing is."""
        row, column = math.floor(y_px), math.floor(x_px)
        return 0 <= row < self.shape[0] and 0 <= column < self.shape[1] and bool(self.taken[row, column])

    def local_grid(self, x_px: float, y_px: float, angle: float, reach_m: float) -> LocalGrid | None:
        """Cut the window around an object.

        Args:
            x_px: Column of the object's origin; pixel c spans c … c + 1.
            y_px: Row of the origin.
            angle: Direction of the object's axis, radians from the column axis towards the row axis.
            reach_m: Half the side of the window, metres.

        Returns:
            The grid, or None where the window lies outside the canvas.
        """
        reach = reach_m / self.gsd_m + 1
        top, bottom = max(0, math.floor(y_px - reach)), min(self.shape[0], math.ceil(y_px + reach))
        left, right = max(0, math.floor(x_px - reach)), min(self.shape[1], math.ceil(x_px + reach))
        if top >= bottom or left >= right:
            return None
        dy = ((np.arange(top, bottom, dtype=np.float32) + 0.5 - y_px) * self.gsd_m)[:, None]
        dx = ((np.arange(left, right, dtype=np.float32) + 0.5 - x_px) * self.gsd_m)[None, :]
        cos, sin = np.float32(math.cos(angle)), np.float32(math.sin(angle))
        return LocalGrid((slice(top, bottom), slice(left, right)), dx * cos + dy * sin, dy * cos - dx * sin)

    def coverage(self, inside_m: FloatArray) -> FloatArray:
        """Turn a distance to an edge (metres, positive inside) into the covered share of each pixel, 0 … 1."""
        cover: FloatArray = np.clip(inside_m / np.float32(self.gsd_m) + np.float32(0.5), 0, 1)
        return cover

    def paint(self, grid: LocalGrid, cover: FloatArray, colour: FloatArray | Colour) -> None:
        """Lay a colour over the window.

        Args:
            grid: The window.
            cover: float32 [h, w], opacity 0 … 1.
            colour: One RGB value, or float32 [3, h, w].
        """
        rows, columns = grid.window
        target = self.rgb[:, rows, columns]
        source = np.asarray(colour, np.float32)
        target += cover * ((source[:, None, None] if source.ndim == 1 else source) - target)

    def raise_to(self, grid: LocalGrid, cover: FloatArray, height_m: FloatArray | float) -> None:
        """Set the height of the window's pixels that are at least half covered, where that lifts them."""
        rows, columns = grid.window
        target = self.height_m[rows, columns]
        np.copyto(target, np.maximum(target, np.float32(height_m)), where=cover >= 0.5)
