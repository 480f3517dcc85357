"""The land itself: fields, yards, streets, walls and water."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from weft_geo.datasets.synthetic.canvas import Canvas, Colour, rgb
from weft_geo.datasets.synthetic.layout import Layout
from weft_geo.datasets.synthetic.noise import FloatArray
from weft_geo.datasets.synthetic.palette import PAVING, TARMAC, Country

MIX_LEVELS = 16


def _pick(rng: np.random.Generator, colours: tuple[Colour, ...], spread: float = 8.0) -> FloatArray:
    """One of the colours, varied in brightness and a little in hue: float32 [3]."""
    return np.asarray(_pick_many(rng, colours, 1, spread)[0], np.float32)


def _pick_many(rng: np.random.Generator, colours: tuple[Colour, ...], count: int, spread: float = 8.0) -> FloatArray:
    """Independent picks of `_pick`: float32 [count, 3]."""
    chosen = np.asarray(colours, np.float32)[rng.integers(len(colours), size=count)]
    brightness, hue = rng.normal(0, spread, (count, 1)), rng.normal(0, spread / 4, (count, 3))
    return (chosen + brightness + hue).astype(np.float32)


@dataclass(frozen=True)
class Land:
    """How each parcel looks; every array has one row a parcel.

    Attributes:
        first: float32 [P, 3], its colour.
        second: float32 [P, 3], the colour it is mottled with.
        share: float32 [P], how much of the second; 0 is about a third, -2 almost none.
        rows: float32 [P], strength of rows of plants or furrows.
        turned: bool [P], whether the rows run along the first axis.
        grain: float32 [P], strength of the finest texture.
    """

    first: FloatArray
    second: FloatArray
    share: FloatArray
    rows: FloatArray
    turned: NDArray[np.bool_]
    grain: FloatArray


def choose_land(rng: np.random.Generator, layout: Layout, country: Country) -> Land:
    """Decide for every parcel whether it is a yard, grass, bare soil or a crop, and how that looks."""
    count = len(layout.parcels)
    weights = np.asarray(layout.settlement.ground, float)
    kind = rng.choice(4, count, p=weights / weights.sum())
    yard, soil, crop = kind == 0, kind == 2, kind == 3
    first, second = _pick_many(rng, country.grass, count), _pick_many(rng, country.soil, count)
    share, rows = rng.uniform(-1.4, 0.4, count), np.zeros(count)
    first[soil], second[soil] = second[soil], first[soil]
    rows[soil] = rng.choice([0.0, 0.06], int(soil.sum()))
    first[crop] = _pick_many(rng, country.crops, int(crop.sum()))
    rows[crop] = rng.uniform(0.0, 0.2, int(crop.sum()))
    share[crop] -= 0.8
    paved = yard & (rng.random(count) < 0.5)
    second[yard & ~paved] = first[yard & ~paved]
    first[paved] = _pick_many(rng, PAVING, int(paved.sum()))
    first[yard & ~paved] = _pick_many(rng, country.soil, int((yard & ~paved).sum()))
    grain = np.where(yard, 0.04, rng.uniform(0.07, 0.14, count))
    return Land(
        first,
        second,
        share.astype(np.float32),
        rows.astype(np.float32),
        rng.random(count) < 0.5,
        grain.astype(np.float32),
    )


def paint_land(rng: np.random.Generator, layout: Layout, land: Land, canvas: Canvas) -> None:
    """Fill every parcel with its two mottled colours, rows of plants or furrows, and grain."""
    noise, parcel = canvas.noise, layout.parcel_of
    share, rows, turned, grain = land.share[parcel], land.rows[parcel], land.turned[parcel], land.grain[parcel]
    mix = np.clip((noise.medium * 0.6 + noise.broad * 0.5 + share) * 0.9 + 0.3, 0, 1)
    level = parcel * np.int32(MIX_LEVELS) + (mix * np.float32(MIX_LEVELS - 0.01)).astype(np.int32)
    steps = np.linspace(0, 1, MIX_LEVELS, dtype=np.float32)[None, :, None]
    shades = (land.first[:, None] * (1 - steps) + land.second[:, None] * steps).reshape(-1, 3)
    period = np.float32(2 * math.pi / max(rng.uniform(0.9, 2.6), 3.2 * canvas.gsd_m))
    wave = np.sin(np.where(turned, layout.u, layout.v) * period + noise.broad * np.float32(0.4))
    texture = 1 + rows * wave + grain * noise.fine + np.float32(0.05) * noise.medium + np.float32(0.05) * noise.broad
    if rng.random() < 0.6:  # a path, bank or hedge along the boundaries
        strength, reach = rng.uniform(-0.25, 0.2), rng.uniform(0.3, 0.9)
        texture += np.float32(strength) * np.clip(1 - layout.boundary_m / np.float32(reach), 0, 1)
    for band in range(3):
        np.multiply(np.ascontiguousarray(shades[:, band])[level], texture, out=canvas.rgb[band])


def paint_streets(rng: np.random.Generator, layout: Layout, country: Country, canvas: Canvas) -> None:
    """Lay the streets: tarmac with pavements and markings, or dirt with ruts and ragged edges."""
    paved = rng.random() < layout.settlement.paved
    noise = canvas.noise
    ragged = np.float32(0.1 if paved else 0.7) * (noise.medium + np.float32(0.5) * noise.broad)
    edge = -layout.street_m + ragged
    surface = _pick(rng, TARMAC if paved else country.soil, 10) + np.float32(0 if paved else 14)
    if rng.random() < (0.6 if paved else 0.3):  # verge or pavement
        verge = canvas.coverage(edge + np.float32(rng.uniform(0.8, 2.0))) * np.float32(rng.uniform(0.4, 0.9))
        _blend(canvas, verge, _pick(rng, PAVING if paved and rng.random() < 0.6 else country.soil))
    texture = 1 + np.float32(0.05) * noise.medium + np.float32(0.03 if paved else 0.06) * noise.fine
    if not paved:
        ruts = np.exp(-(((layout.centre_m - 0.8) / 0.35) ** 2))
        texture += np.float32(0.06) * ruts - np.float32(0.08) * np.clip(noise.medium - 1, 0, 2)
    cover = canvas.coverage(edge)
    _blend(canvas, cover, surface, texture)
    if paved and rng.random() < 0.5:
        dashes = (np.sin((layout.u + layout.v) * np.float32(2 * math.pi / 6)) > 0) | (rng.random() < 0.3)
        line = canvas.coverage(np.float32(0.1) - layout.centre_m) * dashes * (layout.street_m < -2)
        _blend(canvas, line * np.float32(0.7), rgb(225, 222, 210))
    canvas.taken |= edge > -np.float32(1.0)


def _blend(canvas: Canvas, cover: FloatArray, colour: FloatArray, texture: FloatArray | None = None) -> None:
    """Lay one colour over the whole canvas."""
    for band in range(3):
        target = canvas.rgb[band]
        value = colour[band] if texture is None else colour[band] * texture
        target += cover * (value - target)


def paint_walls(rng: np.random.Generator, layout: Layout, canvas: Canvas, water_m: FloatArray) -> None:
    """Raise walls, fences or hedges along some parcels' boundaries, on dry land."""
    chosen = rng.random(len(layout.parcels)) < rng.choice([0.0, 0.15, 0.5], p=[0.4, 0.4, 0.2])
    if not chosen.any():
        return
    thickness = np.float32(rng.uniform(0.12, 0.3))
    hedge = rng.random() < 0.3
    cover = canvas.coverage(thickness * (3 if hedge else 1) - layout.boundary_m) * chosen[layout.parcel_of]
    cover *= (layout.street_m > 0.3) & ~(canvas.taken & (layout.street_m > 2)) & (water_m < -1)
    colour = rgb(70, 88, 50) if hedge else rgb(184, 178, 170) + np.float32(rng.normal(0, 16))
    _blend(canvas, cover * np.float32(0.9), colour, 1 + np.float32(0.15 if hedge else 0.03) * canvas.noise.fine)
    np.maximum(canvas.height_m, np.where(cover > 0.5, np.float32(rng.uniform(0.6, 1.8)), 0), out=canvas.height_m)


def paint_water(
    rng: np.random.Generator, layout: Layout, country: Country, canvas: Canvas, straight: bool
) -> FloatArray:
    """Flood a side of the scene, or a river through it.

    Args:
        rng: Source of randomness.
        layout: The scene's layout; a straight shore follows its grid.
        country: Gives the colour of the water.
        canvas: What is drawn on.
        straight: A quay along the grid instead of a natural shore.

    Returns:
        float32 [H, W], metres from the shore, positive on the water.
    """
    noise = canvas.noise
    reach = float(np.abs(layout.v).max())
    if straight:
        inside = layout.v - np.float32(rng.uniform(-0.5, 0.15) * reach)
    elif rng.random() < 0.5:
        inside = layout.v + 7 * noise.broad - np.float32(rng.uniform(-0.3, 0.3) * reach)
    else:
        width = rng.uniform(5, 30)
        inside = np.float32(width) - np.abs(layout.u + 5 * noise.broad - np.float32(rng.uniform(-0.4, 0.4) * reach))
    shore = _pick(rng, PAVING if straight else country.soil, 8) + np.float32(10)
    edge = inside if straight else inside + np.float32(0.8) * noise.medium
    _blend(
        canvas, canvas.coverage(edge + np.float32(rng.uniform(2, 9))) * np.float32(0.85), shore, 1 + 0.04 * noise.medium
    )
    colour = _pick(rng, country.water, 10)
    depth = np.clip(edge / np.float32(rng.uniform(6, 40)), 0, 1) * np.float32(-0.22) + np.float32(0.1)
    waves = np.float32(rng.uniform(0.01, 0.06))
    texture = 1 + depth + waves * noise.fine + np.float32(0.03) * noise.medium + np.float32(0.05) * noise.broad
    cover = canvas.coverage(edge)
    _blend(canvas, cover, colour, texture)
    canvas.height_m *= 1 - cover
    canvas.taken |= edge > -np.float32(3)
    return edge
