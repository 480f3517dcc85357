"""Buildings: where they stand, their walls seen at a slant, and their exact outlines."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from shapely.geometry import Polygon

from weft_geo.datasets.synthetic.canvas import Canvas, LocalGrid, rgb
from weft_geo.datasets.synthetic.footprints import Part, fit_into, footprint, outline
from weft_geo.datasets.synthetic.layout import Layout, Parcel, Span
from weft_geo.datasets.synthetic.roofs import roof_colour, roof_shape
from weft_geo.datasets.synthetic.rooftop import furnish

# Free ground around every building, in pixels: objects stay apart when their outlines are rasterised.
CLEARANCE_PX = 2.5


@dataclass(frozen=True)
class BuildingKind:
    """Dimensions (metres) and habits of a kind of building; weights need not sum to one."""

    length: Span
    width: Span
    eaves: Span
    forms: dict[str, float]
    styles: dict[str, float]
    materials: dict[str, float]


BUILDING_KINDS: dict[str, BuildingKind] = {
    "house": BuildingKind(
        length=(8, 15),
        width=(6, 10),
        eaves=(2.8, 6),
        forms={"bar": 5, "ell": 3, "tee": 1},
        styles={"gable": 4, "hip": 4, "flat": 1},
        materials={"tiles": 6, "metal": 4},
    ),
    "villa": BuildingKind(
        length=(12, 20),
        width=(9, 13),
        eaves=(3, 7),
        forms={"bar": 2, "ell": 4, "tee": 3, "step": 2},
        styles={"hip": 6, "gable": 2, "flat": 2},
        materials={"tiles": 7, "metal": 2},
    ),
    "block": BuildingKind(
        length=(9, 18),
        width=(7, 12),
        eaves=(3, 14),
        forms={"bar": 5, "ell": 2, "step": 3, "court": 1},
        styles={"flat": 8, "shed": 1, "hip": 1},
        materials={"concrete": 7, "metal": 2},
    ),
    "shack": BuildingKind(
        length=(4, 10),
        width=(3, 7),
        eaves=(2.2, 3),
        forms={"bar": 7, "ell": 2, "step": 1},
        styles={"shed": 4, "gable": 5, "flat": 1},
        materials={"metal": 9, "thatch": 1},
    ),
    "shed": BuildingKind(
        length=(4, 8),
        width=(3, 5),
        eaves=(2.2, 3),
        forms={"bar": 1},
        styles={"shed": 3, "gable": 2},
        materials={"metal": 5, "tiles": 1},
    ),
    "barn": BuildingKind(
        length=(15, 40),
        width=(8, 14),
        eaves=(3.5, 6),
        forms={"bar": 6, "ell": 1},
        styles={"gable": 6, "shed": 1},
        materials={"metal": 7, "tiles": 2},
    ),
    "hall": BuildingKind(
        length=(25, 65),
        width=(16, 34),
        eaves=(5, 11),
        forms={"bar": 5, "ell": 2, "step": 3, "court": 0.5},
        styles={"gable": 4, "flat": 5},
        materials={"metal": 6, "membrane": 4},
    ),
}


def _choose(rng: np.random.Generator, weights: dict[str, float]) -> str:
    """Draw a key by its weight."""
    left = rng.random() * sum(weights.values())
    for name, weight in weights.items():
        left -= weight
        if left < 0:
            return name
    return name


def _draw_walls(
    rng: np.random.Generator, canvas: Canvas, grid: LocalGrid, parts: list[Part], lean_m: tuple[float, float]
) -> None:
    """Show the walls of a building seen from the side: its foot lies `lean_m` (along, across) from its roof."""
    steps = max(1, math.ceil(math.hypot(*lean_m) / canvas.gsd_m))
    swept = np.full(grid.along_m.shape, -1e4, np.float32)
    for step in range(1, steps + 1):
        a = grid.along_m - np.float32(step / steps * lean_m[0])
        b = grid.across_m - np.float32(step / steps * lean_m[1])
        for part in parts:
            np.maximum(swept, part.inside(a, b), out=swept)
    tone = rgb(190, 184, 174) * np.float32(rng.uniform(0.45, 0.85)) + rng.normal(0, 6, 3).astype(np.float32)
    storeys = 1 + np.float32(0.12) * np.sin(swept * np.float32(3.0))
    canvas.paint(grid, canvas.coverage(swept), tone[:, None, None] * storeys)


def draw_building(
    rng: np.random.Generator,
    canvas: Canvas,
    kind: BuildingKind,
    place: tuple[float, float, float],
    size_m: tuple[float, float],
    lean: tuple[float, float],
) -> Polygon | None:
    """Draw one building where there is room.

    Args:
        rng: Source of randomness.
        canvas: What is drawn on.
        kind: Its kind.
        place: (column, row, direction of its axis).
        size_m: Length and width.
        lean: Metres that a point moves along (columns, rows) per metre of height, as the camera looks from a side.

    Returns:
        The outline of the roof, in pixels, clipped to the canvas; None where there was no room.
    """
    x, y, angle = place
    parts = footprint(rng, _choose(rng, kind.forms), *size_m)
    eaves, slant = rng.uniform(*kind.eaves), math.hypot(*lean)
    clearance_m = CLEARANCE_PX * canvas.gsd_m
    grid = canvas.local_grid(x, y, angle, math.hypot(*size_m) / 2 + clearance_m + eaves * slant)
    if grid is None:
        return None
    style, material = _choose(rng, kind.styles), _choose(rng, kind.materials)
    if style == "flat" and material in ("tiles", "thatch"):
        material = "concrete"
    pitch = rng.uniform(0.12, 0.35) if material in ("metal", "membrane") else rng.uniform(0.35, 0.75)
    shape = roof_shape(grid, parts, style, pitch)
    claimed = shape.inside_m > -clearance_m
    if (canvas.taken[grid.window] & claimed).any():
        return None
    polygon = fit_into(canvas.shape, outline(parts, x, y, angle, canvas.gsd_m))
    if polygon is None:
        return None
    canvas.taken[grid.window] |= claimed
    cos, sin = math.cos(angle), math.sin(angle)
    if eaves * slant > canvas.gsd_m:
        foot = (-eaves * (lean[0] * cos + lean[1] * sin), -eaves * (lean[1] * cos - lean[0] * sin))
        _draw_walls(rng, canvas, grid, parts, foot)
    cover = canvas.coverage(shape.inside_m)
    canvas.paint(grid, cover, roof_colour(rng, canvas, grid, shape, angle, material, pitch))
    canvas.raise_to(grid, cover, eaves + shape.rise_m)
    if style == "flat":
        furnish(rng, canvas, grid, shape.inside_m, parts, eaves)
    return polygon


def build_up(rng: np.random.Generator, canvas: Canvas, layout: Layout, limit: int) -> list[Polygon]:
    """Build on the parcels of a layout, in neighbourhoods that follow the broad noise.

    Args:
        rng: Source of randomness.
        canvas: What is drawn on.
        layout: Streets and parcels.
        limit: About how many buildings at most.

    Returns:
        Outlines in pixels, clipped to the canvas, at least CLEARANCE_PX apart from each other.
    """
    settlement = layout.settlement
    tilt = rng.uniform(0.05, 0.35) if rng.random() < 0.45 else 0.0
    direction = rng.uniform(0, 2 * math.pi)
    lean = (tilt * math.cos(direction), tilt * math.sin(direction))
    number = layout.parcel_of.ravel()
    pixels = np.bincount(number, minlength=len(layout.parcels))
    appeal = np.bincount(number, canvas.noise.broad.ravel(), len(layout.parcels)) / np.maximum(pixels, 1)
    appeal += rng.normal(0, 0.5, appeal.shape) + np.array([0.8 * abs(p.street_side) for p in layout.parcels])
    polygons: list[Polygon] = []
    for index in np.argsort(-appeal).tolist():
        if len(polygons) >= limit:
            break
        if pixels[index] == 0 or rng.random() > settlement.built:
            continue
        parcel = layout.parcels[index]
        kind = BUILDING_KINDS[_choose(rng, settlement.buildings)]
        tries = (_build_on(rng, canvas, layout, parcel, kind, lean, shrink) for shrink in (1.0, 0.85, 0.7))
        polygon = next((p for p in tries if p is not None), None)
        if polygon is not None:
            polygons.append(polygon)
            if settlement.packed < 0.6 and rng.random() < 0.45:  # an outbuilding on what is left of the parcel
                small = BUILDING_KINDS["house" if "hall" in settlement.buildings else "shed"]
                extra = _build_on(rng, canvas, layout, parcel, small, lean)
                polygons += [extra] if extra is not None else []
    return polygons


def _build_on(
    rng: np.random.Generator,
    canvas: Canvas,
    layout: Layout,
    parcel: Parcel,
    kind: BuildingKind,
    lean: tuple[float, float],
    shrink: float = 1.0,
) -> Polygon | None:
    """Choose a place and a size (times `shrink`) on a parcel and draw there; one try."""
    gap = CLEARANCE_PX * canvas.gsd_m / 2 + rng.uniform(0, 0.6)
    room_u, room_v = parcel.u[1] - parcel.u[0] - 2 * gap, parcel.v[1] - parcel.v[0] - 2 * gap
    length, width = rng.uniform(*kind.length), rng.uniform(*kind.width)
    if rng.random() < layout.settlement.packed:
        length, width = (min(1.4 * kind.length[1], rng.uniform(0.75, 1) * room) for room in (room_u, room_v))
    length, width = shrink * length, shrink * width
    turned = (length > room_u) if length <= max(room_u, room_v) else room_v > room_u
    size_u, size_v = (width, length) if turned else (length, width)
    size_u, size_v = min(size_u, room_u), min(size_v, room_v)
    if min(size_u, size_v) < max(2.0, 5 * canvas.gsd_m):
        return None
    free_u, free_v = (room_u - size_u) / 2, (room_v - size_v) / 2
    towards = parcel.street_side * rng.uniform(0.2, 0.9) if parcel.street_side else rng.uniform(-1, 1)
    place = layout.locate(sum(parcel.u) / 2 + towards * free_u, sum(parcel.v) / 2 + rng.uniform(-1, 1) * free_v)
    if place is None:
        return None
    angle = place[2] + rng.normal(0, layout.settlement.yaw) + (math.pi / 2 if turned else 0)
    size = (size_v, size_u) if turned else (size_u, size_v)
    cos, sin = math.cos(angle) / canvas.gsd_m, math.sin(angle) / canvas.gsd_m
    for a, b in ((0, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)):  # cheap look at the corners before drawing anything
        along, across = a * size[0] / 2, b * size[1] / 2
        if canvas.is_taken(place[0] + along * cos - across * sin, place[1] + along * sin + across * cos):
            return None
    return draw_building(rng, canvas, kind, (place[0], place[1], angle), size, lean)
