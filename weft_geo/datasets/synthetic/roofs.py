"""What a roof looks like from above: its planes, the light on them, and its material."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from weft_geo.datasets.synthetic.canvas import Canvas, LocalGrid, rgb
from weft_geo.datasets.synthetic.footprints import Part
from weft_geo.datasets.synthetic.noise import FloatArray
from weft_geo.datasets.synthetic.palette import ROOF_COLOURS

# Rise per metre along and across the roof's frame for each plane: level, facing +along, -along, +across, -across.
PLANES = ((0.0, 0.0), (-1.0, 0.0), (1.0, 0.0), (0.0, -1.0), (0.0, 1.0))


@dataclass(frozen=True)
class RoofShape:
    """Geometry of a roof over a window of pixels.

    Attributes:
        inside_m: float32 [h, w], distance to the outline, positive inside.
        rise_m: float32 [h, w], height above the eaves.
        plane: int8 [h, w], index into PLANES.
        part: int8 [h, w], which part of the building is on top.
    """

    inside_m: FloatArray
    rise_m: FloatArray
    plane: NDArray[np.int8]
    part: NDArray[np.int8]


def roof_shape(grid: LocalGrid, parts: list[Part], style: str, pitch: float) -> RoofShape:
    """Raise a roof over the parts; where two parts meet, the higher plane shows.

    Args:
        grid: Window in the building's frame.
        parts: Rectangles whose union is the outline.
        style: `flat`, `gable`, `hip` or `shed` (one plane, at 0.4 of the pitch).
        pitch: Rise per metre.
    """
    shape = grid.along_m.shape
    inside, rise = np.full(shape, -1e4, np.float32), np.full(shape, -1e4, np.float32)
    plane, top = np.zeros(shape, np.int8), np.zeros(shape, np.int8)
    for index, part in enumerate(parts):
        a, b = grid.along_m - np.float32(part.along_m), grid.across_m - np.float32(part.across_m)
        from_end, from_side = np.float32(part.half_along_m) - np.abs(a), np.float32(part.half_across_m) - np.abs(b)
        within = np.minimum(from_end, from_side)
        np.maximum(inside, within, out=inside)
        if style == "flat":
            up, facing = np.zeros(shape, np.float32), np.zeros(shape, np.int8)
        elif style == "shed":
            up, facing = (b + np.float32(part.half_across_m)) * np.float32(pitch * 0.4), np.full(shape, 4, np.int8)
        else:
            to_ends, to_sides = np.where(a > 0, np.int8(1), np.int8(2)), np.where(b > 0, np.int8(3), np.int8(4))
            if style == "hip":
                up, facing = within * np.float32(pitch), np.where(from_end < from_side, to_ends, to_sides)
            elif part.half_along_m >= part.half_across_m:
                up, facing = from_side * np.float32(pitch), to_sides
            else:
                up, facing = from_end * np.float32(pitch), to_ends
        higher = (within > -0.5) & (up > rise)
        np.copyto(rise, up, where=higher)
        np.copyto(plane, facing, where=higher)
        np.copyto(top, np.int8(index), where=higher)
    return RoofShape(inside, np.maximum(rise, 0), plane, top)


@dataclass(frozen=True)
class _Surface:
    """What a material needs to know: where the eaves run, how far the pixels resolve, and noise to be uneven with."""

    rng: np.random.Generator
    gsd_m: float
    sideways_m: FloatArray
    downhill_m: FloatArray
    rise_m: FloatArray
    medium: FloatArray
    fine: FloatArray

    def sheets(self, coordinate_m: FloatArray, width_m: float, spread: float) -> FloatArray:
        """Brightness of sheets laid side by side, each a little different from the next."""
        index = np.floor(coordinate_m / np.float32(width_m)).astype(np.int32) % 64
        return np.asarray(np.asarray(self.rng.normal(1, spread, 64), np.float32)[index], np.float32)

    def ribs(self, coordinate_m: FloatArray, spacing_m: float) -> FloatArray:
        """Regular ribs, -1 … 1, never finer than the pixels can show."""
        return np.asarray(np.sin(coordinate_m * np.float32(2 * math.pi / max(spacing_m, 2.4 * self.gsd_m))), np.float32)


def _metal(s: _Surface) -> FloatArray:
    texture = s.sheets(s.sideways_m, s.rng.uniform(0.7, 1.2), s.rng.uniform(0.01, 0.06))
    texture *= s.sheets(s.downhill_m, s.rng.uniform(2.2, 3.5), 0.02)
    return np.asarray(texture + 0.05 * s.ribs(s.sideways_m, 0.3) + 0.015 * s.fine + 0.025 * s.medium, np.float32)


def _tiles(s: _Surface) -> FloatArray:
    ridge = np.clip(1 - (s.rise_m.max() - s.rise_m) / np.float32(0.15), 0, 1)
    return np.asarray(1 + 0.05 * s.ribs(s.downhill_m, 0.35) + 0.06 * s.fine + 0.05 * s.medium + 0.1 * ridge, np.float32)


def _thatch(s: _Surface) -> FloatArray:
    return 1 + 0.12 * s.fine + 0.08 * s.medium


def _membrane(s: _Surface) -> FloatArray:
    return (1 + 0.015 * s.fine + 0.02 * s.medium) * s.sheets(s.sideways_m, s.rng.uniform(4, 9), 0.015)


def _concrete(s: _Surface) -> FloatArray:
    stains = np.clip(s.medium[::-1, ::-1] - np.float32(1.1), 0, 1)
    return np.asarray(1 + 0.03 * s.fine + s.rng.uniform(0.04, 0.1) * s.medium - 0.15 * stains, np.float32)


MATERIALS: dict[str, Callable[[_Surface], FloatArray]] = {
    "metal": _metal,
    "tiles": _tiles,
    "thatch": _thatch,
    "membrane": _membrane,
    "concrete": _concrete,
}


def _base_colours(rng: np.random.Generator, material: str, parts: int) -> FloatArray:
    """One colour a part, float32 [parts, 3]: mostly the same with small differences, sometimes a patchwork."""
    colours = np.asarray(ROOF_COLOURS[material], np.float32)
    patchwork = rng.random() < 0.3
    picks = np.minimum(rng.exponential(len(colours) / 2.5, parts), len(colours) - 1).astype(int)
    if not patchwork:
        picks[:] = picks[0]
    brightness = rng.uniform(0.82, 1.1) * rng.normal(1, 0.04, (parts, 1))
    return np.asarray((colours[picks] * brightness + rng.normal(0, 4, 3)).astype(np.float32), np.float32)


def roof_colour(
    rng: np.random.Generator,
    canvas: Canvas,
    grid: LocalGrid,
    shape: RoofShape,
    angle: float,
    material: str,
    pitch: float,
) -> FloatArray:
    """Colour the roof: material, light on each plane, weathering and edges.

    Args:
        rng: Source of randomness.
        canvas: Gives the sun and the noise.
        grid: Window in the building's frame.
        shape: The roof's geometry.
        angle: Direction of the building's axis, radians.
        material: One of MATERIALS.
        pitch: Rise per metre of its planes.

    Returns:
        float32 [3, h, w].
    """
    h, w = shape.inside_m.shape
    cos, sin = math.cos(angle), math.sin(angle)
    slopes = [((a * cos - b * sin) * pitch, (a * sin + b * cos) * pitch) for a, b in PLANES]
    light = np.array([canvas.sun.shade(x, y) for x, y in slopes], np.float32)
    ridge_along = shape.plane >= 3
    medium = canvas.noise.patch(rng, "medium", h, w)
    surface = _Surface(
        rng,
        canvas.gsd_m,
        np.where(ridge_along, grid.along_m, grid.across_m),
        np.where(ridge_along, grid.across_m, grid.along_m),
        shape.rise_m,
        medium,
        canvas.noise.patch(rng, "fine", h, w),
    )
    texture = np.asarray(MATERIALS[material](surface), np.float32)
    texture *= light[shape.plane]
    texture -= np.float32(rng.uniform(0, 0.15)) * np.clip(1 - shape.inside_m / np.float32(0.35), 0, 1)
    base = _base_colours(rng, material, int(shape.part.max()) + 1)
    colour: FloatArray = np.ascontiguousarray(base.T)[:, shape.part] * texture
    if material == "metal" and rng.random() < 0.45:
        rust = np.clip((medium + np.float32(rng.uniform(-1.6, 0.4))) * np.float32(0.6), 0, 0.85)
        colour += rust * (rgb(132, 92, 68)[:, None, None] * texture - colour)
    return colour
