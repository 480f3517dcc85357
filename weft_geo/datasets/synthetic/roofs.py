"""What a roof looks like from above: its planes, its material and what stands on it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from weft_geo.datasets.synthetic.canvas import Canvas, LocalGrid
from weft_geo.datasets.synthetic.noise import FloatArray
from weft_geo.datasets.synthetic.palette import PAINT, ROOF_COLOURS

# Rise per metre along and across the roof's frame for each plane: level, facing +along, -along, +across, -across.
PLANES = ((0.0, 0.0), (-1.0, 0.0), (1.0, 0.0), (0.0, -1.0), (0.0, 1.0))


@dataclass(frozen=True)
class Part:
    """An upright rectangle of a building in the building's frame; all values in metres."""

    along_m: float
    across_m: float
    half_along_m: float
    half_across_m: float


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
        style: `flat`, `gable`, `hip` or `shed` (one plane).
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
        facing_a, facing_b = np.where(a > 0, np.int8(1), np.int8(2)), np.where(b > 0, np.int8(3), np.int8(4))
        along_ridge = part.half_along_m >= part.half_across_m
        if style == "flat":
            up, facing = np.zeros(shape, np.float32), np.zeros(shape, np.int8)
        elif style == "hip":
            up, facing = within * np.float32(pitch), np.where(from_end < from_side, facing_a, facing_b)
        elif style == "gable":
            up = (from_side if along_ridge else from_end) * np.float32(pitch)
            facing = facing_b if along_ridge else facing_a
        else:
            up = (b + np.float32(part.half_across_m)) * np.float32(pitch * 0.4)
            facing = np.full(shape, 4, np.int8)
        up = np.where(within > -0.5, up, np.float32(-1e4))
        higher = up > rise
        rise, plane, top = (
            np.where(higher, up, rise),
            np.where(higher, facing, plane),
            np.where(higher, np.int8(index), top),
        )
    return RoofShape(inside, np.maximum(rise, 0), plane, top)


def _sheets(rng: np.random.Generator, coordinate: FloatArray, width_m: float, spread: float) -> FloatArray:
    """Brightness of sheets laid side by side, each a little different from the next."""
    index = np.floor(coordinate / np.float32(width_m)).astype(np.int32) % 64
    return rng.normal(1, spread, 64).astype(np.float32)[index]


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

    Returns:
        float32 [3, h, w].
    """
    h, w = shape.inside_m.shape
    cos, sin = math.cos(angle), math.sin(angle)
    light = np.float32(
        [canvas.sun.shade((sa * cos - sb * sin) * pitch, (sa * sin + sb * cos) * pitch) for sa, sb in PLANES]
    )
    colours = ROOF_COLOURS[material]
    chosen = np.asarray(colours[min(int(rng.exponential(len(colours) / 2.5)), len(colours) - 1)], np.float32)
    base = chosen * np.float32(rng.uniform(0.82, 1.1)) + rng.normal(0, 4, 3).astype(np.float32)
    medium = canvas.noise.patch(rng, "medium", h, w)
    fine = canvas.noise.patch(rng, "fine", h, w)
    ridge_along = shape.plane >= 3
    sideways = np.where(ridge_along, grid.along_m, grid.across_m)
    downhill = np.where(ridge_along, grid.across_m, grid.along_m)
    texture = light[shape.plane] * rng.normal(1, 0.04, 16).astype(np.float32)[shape.part]
    rust = None
    if material == "metal":
        texture = texture * _sheets(rng, sideways, rng.uniform(0.7, 1.2), rng.uniform(0.01, 0.06))
        texture = texture * _sheets(rng, downhill, rng.uniform(2.2, 3.5), 0.02)
        texture += np.float32(0.05) * np.sin(sideways * np.float32(2 * math.pi / max(0.3, 2.4 * canvas.gsd_m)))
        texture += np.float32(0.015) * fine + np.float32(0.025) * medium
        if rng.random() < 0.45:
            rust = np.clip((medium + np.float32(rng.uniform(-1.6, 0.4))) * np.float32(0.6), 0, 0.85)
    elif material == "tiles":
        texture += np.float32(0.05) * np.sin(downhill * np.float32(2 * math.pi / max(0.35, 2.4 * canvas.gsd_m)))
        texture += np.float32(0.06) * fine + np.float32(0.05) * medium
        texture += np.float32(0.1) * np.clip(1 - (shape.rise_m.max() - shape.rise_m) / 0.15, 0, 1)
    elif material == "thatch":
        texture += np.float32(0.12) * fine + np.float32(0.08) * medium
    elif material == "membrane":
        texture += np.float32(0.015) * fine + np.float32(0.02) * medium
        texture = texture * _sheets(rng, sideways, rng.uniform(4, 9), 0.015)
    else:
        texture += np.float32(0.03) * fine + np.float32(rng.uniform(0.04, 0.1)) * medium
        texture -= np.float32(0.15) * np.clip(canvas.noise.patch(rng, "medium", h, w) - np.float32(1.1), 0, 1)
    edge = np.clip(1 - shape.inside_m / np.float32(0.35), 0, 1)
    texture -= np.float32(rng.uniform(0, 0.15)) * edge
    colour = base[:, None, None] * texture
    if rust is not None:
        colour += rust * (np.float32([132, 92, 68])[:, None, None] * texture - colour)
    return colour


def furnish_flat_roof(
    rng: np.random.Generator, canvas: Canvas, grid: LocalGrid, shape: RoofShape, parts: list[Part], eaves_m: float
) -> None:
    """Put a parapet, a stair house, water tanks, solar panels and clutter on a level roof."""
    cover = canvas.coverage(shape.inside_m)
    if rng.random() < 0.6:
        thickness = np.float32(rng.uniform(0.2, 0.5))
        rim = cover * canvas.coverage(thickness - shape.inside_m)
        paint = np.asarray(PAINT[int(rng.integers(len(PAINT)))], np.float32)
        canvas.paint(grid, rim * np.float32(0.9), (float(paint[0]), float(paint[1]), float(paint[2])))
        canvas.raise_to(grid, rim, eaves_m + rng.uniform(0.3, 1.0))
    for part in parts[:2]:
        size = min(part.half_along_m, part.half_across_m)
        if size < 1.8:
            continue
        if rng.random() < 0.5:  # stair house
            ha, hb = (
                rng.uniform(1.0, max(1.1, 0.45 * part.half_along_m)),
                rng.uniform(0.9, max(1.0, 0.45 * part.half_across_m)),
            )
            a0 = part.along_m + rng.choice([-1, 1]) * (part.half_along_m - ha - 0.1)
            b0 = part.across_m + rng.choice([-1, 1]) * (part.half_across_m - hb - 0.1)
            inside = np.minimum(ha - np.abs(grid.along_m - a0), hb - np.abs(grid.across_m - b0)).astype(np.float32)
            box = canvas.coverage(inside) * cover
            tone = rng.uniform(130, 215)
            canvas.paint(grid, box, (tone, tone * 0.98, tone * 0.94))
            canvas.raise_to(grid, box, eaves_m + 2.4)
        for _ in range(int(rng.integers(0, 4))):
            _put_thing(rng, canvas, grid, part, cover, eaves_m)


def _put_thing(
    rng: np.random.Generator, canvas: Canvas, grid: LocalGrid, part: Part, cover: FloatArray, eaves_m: float
) -> None:
    """Put one tank, solar panel or odd box on a level roof."""
    a = grid.along_m - np.float32(part.along_m + rng.uniform(-0.7, 0.7) * part.half_along_m)
    b = grid.across_m - np.float32(part.across_m + rng.uniform(-0.7, 0.7) * part.half_across_m)
    kind = rng.random()
    if kind < 0.4:
        thing = canvas.coverage(np.float32(rng.uniform(0.5, 0.9)) - np.sqrt(a * a + b * b)) * cover
        tanks = ((40, 44, 48), (30, 120, 98), (58, 98, 158), (210, 206, 196))
        canvas.paint(grid, thing, tanks[int(rng.integers(4))])
        canvas.raise_to(grid, thing, eaves_m + 1.5)
    elif kind < 0.6:
        thing = (
            canvas.coverage(np.minimum(np.float32(rng.uniform(0.8, 2)) - np.abs(a), np.float32(0.8) - np.abs(b)))
            * cover
        )
        canvas.paint(grid, thing, (44, 54, 84))
        canvas.raise_to(grid, thing, eaves_m + 0.5)
    else:
        ha, hb = rng.uniform(0.3, 1.4), rng.uniform(0.3, 1.0)
        thing = canvas.coverage(np.minimum(np.float32(ha) - np.abs(a), np.float32(hb) - np.abs(b))) * cover
        tone = rng.uniform(60, 220)
        canvas.paint(grid, thing, (tone, tone * rng.uniform(0.85, 1.05), tone * rng.uniform(0.8, 1.05)))
        canvas.raise_to(grid, thing, eaves_m + rng.uniform(0, 1))
