"""The land itself: fields, yards, streets, walls and water."""

from __future__ import annotations

import math

import numpy as np

from weft_geo.datasets.synthetic.canvas import Canvas, Colour
from weft_geo.datasets.synthetic.layout import Layout
from weft_geo.datasets.synthetic.noise import FloatArray
from weft_geo.datasets.synthetic.palette import PAVING, TARMAC, Country

GROUND_KINDS = ("yard", "grass", "soil", "crops")
MIX_LEVELS = 16


def _pick(rng: np.random.Generator, colours: tuple[Colour, ...], spread: float = 8.0) -> FloatArray:
    """One of the colours, varied in brightness and a little in hue."""
    colour = np.asarray(colours[int(rng.integers(len(colours)))], np.float32)
    return colour + np.float32(rng.normal(0, spread)) + rng.normal(0, spread / 4, 3).astype(np.float32)


def land(rng: np.random.Generator, layout: Layout, country: Country) -> FloatArray:
    """Make the table of parcel colours: float32 [parcels, 3 + 3 + 4].

    Columns: the parcel's colour, a second colour it is mottled with, the share of the second, the strength of rows,
    the direction of rows (0 or 1), the strength of fine texture.
    """
    weights = np.asarray(layout.settlement.ground, float)
    table = np.zeros((len(layout.parcels), 10), np.float32)
    for parcel in layout.parcels:
        kind = GROUND_KINDS[int(rng.choice(4, p=weights / weights.sum()))]
        grass, soil = _pick(rng, country.grass), _pick(rng, country.soil)
        first, second, share, rows, grain = grass, soil, rng.uniform(-1.4, 0.4), 0.0, rng.uniform(0.07, 0.14)
        if kind == "yard":
            first, share, grain = _pick(rng, PAVING if rng.random() < 0.5 else country.soil), rng.uniform(-1, 0.6), 0.04
            second = soil if rng.random() < 0.5 else grass
        elif kind == "soil":
            first, second, rows = soil, grass, rng.choice([0.0, 0.06])
        elif kind == "crops":
            first, rows = _pick(rng, country.crops), rng.uniform(0.0, 0.2)
            share = rng.uniform(-2, 0)
        table[parcel.number] = [*first, *second, share, rows, float(rng.integers(2)), grain]
    return table


def paint_land(rng: np.random.Generator, layout: Layout, table: FloatArray, canvas: Canvas) -> None:
    """Fill every parcel with its two mottled colours, rows of plants or furrows, and grain."""
    noise, parcel = canvas.noise, layout.parcel_of
    share, rows, direction, grain = (np.ascontiguousarray(table[:, i])[parcel] for i in (6, 7, 8, 9))
    mix = np.clip((noise.medium * 0.6 + noise.broad * 0.5 + share) * 0.9 + 0.3, 0, 1)
    level = parcel * np.int32(MIX_LEVELS) + (mix * np.float32(MIX_LEVELS - 0.01)).astype(np.int32)
    steps = np.linspace(0, 1, MIX_LEVELS, dtype=np.float32)[None, :, None]
    shades = (table[:, None, 0:3] * (1 - steps) + table[:, None, 3:6] * steps).reshape(-1, 3)
    period = np.float32(2 * math.pi / max(rng.uniform(0.9, 2.6), 3.2 * canvas.gsd_m))
    wave = np.sin(np.where(direction > 0, layout.u, layout.v) * period + noise.broad * np.float32(0.4))
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
        _blend(canvas, line * np.float32(0.7), np.float32([225, 222, 210]))
    canvas.taken |= edge > -np.float32(1.0)


def _blend(canvas: Canvas, cover: FloatArray, colour: FloatArray, texture: FloatArray | None = None) -> None:
    """Lay one colour over the whole canvas."""
    for band in range(3):
        target = canvas.rgb[band]
        value = colour[band] if texture is None else colour[band] * texture
        target += cover * (value - target)


def paint_walls(rng: np.random.Generator, layout: Layout, canvas: Canvas) -> None:
    """Raise walls, fences or hedges along some parcels' boundaries."""
    chosen = rng.random(len(layout.parcels)) < rng.choice([0.0, 0.15, 0.5], p=[0.4, 0.4, 0.2])
    if not chosen.any():
        return
    thickness = np.float32(rng.uniform(0.12, 0.3))
    hedge = rng.random() < 0.3
    cover = canvas.coverage(thickness * (3 if hedge else 1) - layout.boundary_m) * chosen[layout.parcel_of]
    cover *= (layout.street_m > 0.3) & ~(canvas.taken & (layout.street_m > 2))
    colour = np.float32([70, 88, 50]) if hedge else np.float32([184, 178, 170]) + np.float32(rng.normal(0, 16))
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
