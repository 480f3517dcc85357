"""Buildings: footprints, walls seen at a slant, and their exact outlines."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from shapely import unary_union
from shapely.affinity import affine_transform
from shapely.geometry import Polygon, box

from weft_geo.datasets.synthetic.canvas import Canvas, LocalGrid
from weft_geo.datasets.synthetic.layout import Layout, Parcel, Span
from weft_geo.datasets.synthetic.roofs import Part, furnish_flat_roof, roof_colour, roof_shape

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
        (8, 15), (6, 10), (2.8, 6), {"bar": 5, "ell": 3, "tee": 1}, {"gable": 4, "hip": 4, "flat": 1}, {"tiles": 6, "metal": 4}
    ),
    "villa": BuildingKind(
        (12, 20), (9, 13), (3, 7), {"bar": 2, "ell": 4, "tee": 3, "step": 2}, {"hip": 6, "gable": 2, "flat": 2}, {"tiles": 7, "metal": 2}
    ),
    "block": BuildingKind(
        (9, 18), (7, 12), (3, 14), {"bar": 5, "ell": 2, "step": 3, "court": 1}, {"flat": 8, "shed": 1, "hip": 1}, {"concrete": 7, "metal": 2}
    ),
    "shack": BuildingKind(
        (4, 9), (3, 6), (2.2, 3), {"bar": 7, "ell": 2, "step": 1}, {"shed": 4, "gable": 5, "flat": 1}, {"metal": 8, "thatch": 1}
    ),
    "shed": BuildingKind((4, 8), (3, 5), (2.2, 3), {"bar": 1}, {"shed": 3, "gable": 2}, {"metal": 5, "tiles": 1}),
    "barn": BuildingKind((15, 40), (8, 14), (3.5, 6), {"bar": 6, "ell": 1}, {"gable": 6, "shed": 1}, {"metal": 7, "tiles": 2}),
    "hall": BuildingKind(
        (25, 65), (16, 34), (5, 11), {"bar": 5, "ell": 2, "step": 3, "court": 0.5}, {"gable": 4, "flat": 5}, {"metal": 6, "membrane": 4}
    ),
}  # fmt: skip


def _choose(rng: np.random.Generator, weights: dict[str, float]) -> str:
    """Draw a key by its weight."""
    shares = np.asarray(list(weights.values()), float)
    return list(weights)[int(rng.choice(len(shares), p=shares / shares.sum()))]


def footprint(rng: np.random.Generator, form: str, length_m: float, width_m: float) -> list[Part]:
    """Compose a footprint of overlapping rectangles: bar, ell, tee, step or court."""
    la, lb = length_m / 2, width_m / 2
    if form == "ell":
        wa, wb = la * rng.uniform(0.35, 0.55), lb * rng.uniform(0.5, 0.65)
        side, end = rng.choice([-1, 1], 2)
        return [Part(0, side * (lb - wb), la, wb), Part(end * (la - wa), 0, wa, lb)]
    if form == "tee":
        wa, wb = la * rng.uniform(0.3, 0.45), lb * rng.uniform(0.5, 0.65)
        return [Part(0, -(lb - wb), la, wb), Part(la * rng.uniform(-0.3, 0.3), 0, wa, lb)]
    if form == "step":
        cut = rng.uniform(0.4, 0.6) * 2 * la
        shift = rng.uniform(0.15, 0.4) * lb
        first = Part(-la + cut / 2, -shift / 2, cut / 2 + 0.05, lb - shift / 2)
        return [first, Part(cut / 2, shift / 2, la - cut / 2 + 0.05, lb - shift / 2)]
    if form == "court" and min(la, lb) > 4:
        depth = min(la, lb) * rng.uniform(0.25, 0.38)
        bars = [Part(0, s * (lb - depth), la, depth) for s in (-1, 1)]
        return bars + [Part(s * (la - depth), 0, depth, lb) for s in (-1, 1)]
    return [Part(0, 0, la, lb)]


def outline(parts: list[Part], x_px: float, y_px: float, angle: float, gsd_m: float) -> Polygon:
    """Union of the parts as one polygon in pixel coordinates (x = column, y = row)."""
    boxes = [
        box(
            p.along_m - p.half_along_m,
            p.across_m - p.half_across_m,
            p.along_m + p.half_along_m,
            p.across_m + p.half_across_m,
        )
        for p in parts
    ]
    cos, sin = math.cos(angle) / gsd_m, math.sin(angle) / gsd_m
    return affine_transform(unary_union(boxes), [cos, -sin, sin, cos, x_px, y_px])


def fits(canvas: Canvas, polygon: Polygon) -> Polygon | None:
    """Clip an outline to the canvas; None where what remains is empty, in pieces, or a sliver."""
    height, width = canvas.shape
    inside = polygon.intersection(box(0, 0, width, height))
    if not isinstance(inside, Polygon) or inside.is_empty:
        return None
    core = inside.buffer(-1.6)
    if (
        not isinstance(core, Polygon)
        or core.is_empty
        or inside.area < 0.15 * polygon.area
        or core.area < 0.2 * inside.area
    ):
        return None
    return inside


def _draw_walls(
    rng: np.random.Generator, canvas: Canvas, grid: LocalGrid, parts: list[Part], lean_m: tuple[float, float]
) -> None:
    """Show the walls of a building seen from the side: the ground outline lies `lean_m` (along, across) from the roof's."""
    steps = max(1, math.ceil(math.hypot(*lean_m) / canvas.gsd_m))
    swept = np.full(grid.along_m.shape, -1e4, np.float32)
    for step in range(1, steps + 1):
        share = step / steps
        moved = [
            Part(p.along_m + share * lean_m[0], p.across_m + share * lean_m[1], p.half_along_m, p.half_across_m)
            for p in parts
        ]
        for p in moved:
            from_end = np.float32(p.half_along_m) - np.abs(grid.along_m - np.float32(p.along_m))
            from_side = np.float32(p.half_across_m) - np.abs(grid.across_m - np.float32(p.across_m))
            np.maximum(swept, np.minimum(from_end, from_side), out=swept)
    tone = np.float32([190, 184, 174]) * np.float32(rng.uniform(0.45, 0.85)) + rng.normal(0, 6, 3).astype(np.float32)
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
    polygon = fits(canvas, outline(parts, x, y, angle, canvas.gsd_m))
    if polygon is None:
        return None
    eaves = rng.uniform(*kind.eaves)
    reach = math.hypot(*size_m) / 2 + CLEARANCE_PX * canvas.gsd_m + eaves * math.hypot(*lean)
    grid = canvas.local_grid(x, y, angle, reach)
    if grid is None:
        return None
    style, material = _choose(rng, kind.styles), _choose(rng, kind.materials)
    pitch = (
        0.0
        if style == "flat"
        else rng.uniform(0.12, 0.35)
        if material in ("metal", "membrane")
        else rng.uniform(0.35, 0.75)
    )
    if style == "flat" and material in ("tiles", "thatch"):
        material = "concrete"
    shape = roof_shape(grid, parts, style, pitch)
    claimed = shape.inside_m > -CLEARANCE_PX * canvas.gsd_m
    if (canvas.taken[grid.window] & claimed).any():
        return None
    canvas.taken[grid.window] |= claimed
    cos, sin = math.cos(angle), math.sin(angle)
    if eaves * math.hypot(*lean) > canvas.gsd_m:
        _draw_walls(
            rng,
            canvas,
            grid,
            parts,
            (-eaves * (lean[0] * cos + lean[1] * sin), -eaves * (lean[1] * cos - lean[0] * sin)),
        )
    cover = canvas.coverage(shape.inside_m)
    canvas.paint(grid, cover, roof_colour(rng, canvas, grid, shape, angle, material, pitch))
    canvas.raise_to(grid, cover, eaves + shape.rise_m)
    if style == "flat":
        furnish_flat_roof(rng, canvas, grid, shape, parts, eaves)
    return polygon


def build_up(rng: np.random.Generator, canvas: Canvas, layout: Layout, limit: int) -> list[Polygon]:
    """Build on the parcels of a layout.

    Args:
        rng: Source of randomness.
        canvas: What is drawn on.
        layout: Streets and parcels.
        limit: No more buildings than this.

    Returns:
        Outlines in pixels, clipped to the canvas, at least CLEARANCE_PX apart from each other.
    """
    settlement = layout.settlement
    tilt = rng.uniform(0.05, 0.35) if rng.random() < 0.45 else 0.0
    direction = rng.uniform(0, 2 * math.pi)
    lean = (tilt * math.cos(direction), tilt * math.sin(direction))
    polygons: list[Polygon] = []
    for index in rng.permutation(len(layout.parcels)):
        if len(polygons) >= limit:
            break
        parcel = layout.parcels[int(index)]
        if rng.random() > settlement.built:
            continue
        kind = BUILDING_KINDS[_choose(rng, settlement.buildings)]
        polygon = _build_on(rng, canvas, layout, parcel, kind, lean)
        if polygon is not None:
            polygons.append(polygon)
            if rng.random() < 0.35:  # an outbuilding on what is left of the parcel
                small = BUILDING_KINDS["shed" if settlement.buildings.get("hall", 0) == 0 else "house"]
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
) -> Polygon | None:
    """Choose a place and a size on a parcel and draw there; one try."""
    gap = CLEARANCE_PX * canvas.gsd_m / 2 + rng.uniform(0, 0.6)
    room_u, room_v = parcel.u[1] - parcel.u[0] - 2 * gap, parcel.v[1] - parcel.v[0] - 2 * gap
    length, width = rng.uniform(*kind.length), rng.uniform(*kind.width)
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
    return draw_building(rng, canvas, kind, (place[0], place[1], angle), size, lean)
