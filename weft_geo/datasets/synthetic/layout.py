"""Where things go: streets and parcels on a rotated and gently bent grid."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from weft_geo.datasets.synthetic.noise import FloatArray, fractal_noise

Span = tuple[float, float]


@dataclass(frozen=True)
class Settlement:
    """How a kind of place is parcelled and built. All lengths are metres.

    Attributes:
        lot_depth: Range of parcel sizes away from the street.
        lot_front: Range of parcel sizes along the street.
        street_gap: Range of distances between streets; a pair for each of the two directions.
        street_width: Range of street widths.
        bend: Standard deviation of the bending of the grid.
        built: Share of parcels with a building.
        packed: Share of buildings that fill their parcel.
        paved: Share of streets that are paved.
        ground: Weights of the ground kinds yard, grass, soil, crops.
        buildings: Weights of the building kinds (see buildings.BUILDING_KINDS).
        yaw: Standard deviation of a building's angle against its street, radians.
    """

    lot_depth: Span
    lot_front: Span
    street_gap: tuple[Span, Span]
    street_width: Span
    bend: float
    built: float
    packed: float
    paved: float
    ground: tuple[float, float, float, float]
    buildings: dict[str, float]
    yaw: float


SETTLEMENTS: dict[str, Settlement] = {
    "suburb": Settlement(
        lot_depth=(16, 28),
        lot_front=(12, 22),
        street_gap=((38, 60), (90, 180)),
        street_width=(5, 8),
        bend=6.0,
        built=0.9,
        packed=0.1,
        paved=0.8,
        ground=(2, 6, 2, 0),
        buildings={"house": 6, "villa": 2, "shed": 1},
        yaw=0.03,
    ),
    "town": Settlement(
        lot_depth=(11, 20),
        lot_front=(9, 18),
        street_gap=((28, 50), (60, 120)),
        street_width=(4, 8),
        bend=4.0,
        built=0.95,
        packed=0.5,
        paved=0.5,
        ground=(5, 2, 4, 0),
        buildings={"block": 6, "house": 3, "shed": 1},
        yaw=0.04,
    ),
    "informal": Settlement(
        lot_depth=(6, 12),
        lot_front=(6, 12),
        street_gap=((24, 40), (40, 80)),
        street_width=(2, 4),
        bend=5.0,
        built=0.85,
        packed=0.7,
        paved=0.1,
        ground=(3, 1, 6, 0),
        buildings={"shack": 8, "house": 2},
        yaw=0.1,
    ),
    "village": Settlement(
        lot_depth=(18, 34),
        lot_front=(16, 36),
        street_gap=((90, 220), (120, 260)),
        street_width=(3, 5),
        bend=14.0,
        built=0.85,
        packed=0.0,
        paved=0.15,
        ground=(1, 4, 3, 4),
        buildings={"house": 4, "shack": 3, "block": 2},
        yaw=0.15,
    ),
    "farmland": Settlement(
        lot_depth=(30, 80),
        lot_front=(30, 90),
        street_gap=((150, 400), (200, 400)),
        street_width=(3, 5),
        bend=12.0,
        built=0.5,
        packed=0.0,
        paved=0.3,
        ground=(0, 3, 3, 7),
        buildings={"house": 2, "barn": 3, "shack": 2},
        yaw=0.2,
    ),
    "industry": Settlement(
        lot_depth=(35, 70),
        lot_front=(30, 80),
        street_gap=((80, 150), (120, 240)),
        street_width=(7, 12),
        bend=2.0,
        built=0.8,
        packed=0.4,
        paved=0.9,
        ground=(7, 2, 2, 0),
        buildings={"hall": 6, "barn": 2, "shed": 1},
        yaw=0.01,
    ),
}


@dataclass(frozen=True)
class Parcel:
    """One piece of land between boundaries, in the bent frame (metres); `number` indexes the parcel map."""

    number: int
    u: Span
    v: Span
    street_side: int


@dataclass
class Layout:
    """The streets and parcels of one scene.

    Attributes:
        settlement: The kind of place.
        angle: Direction of the first axis, radians from columns towards rows.
        u: float32 [H, W], first coordinate of each pixel, metres.
        v: float32 [H, W], second coordinate.
        street_m: float32 [H, W], distance to the nearest street's edge, negative on it.
        centre_m: float32 [H, W], distance to the middle of the nearest street.
        boundary_m: float32 [H, W], distance to the nearest parcel boundary.
        parcel_of: int32 [H, W], number of each pixel's parcel.
        parcels: The parcels.
    """

    settlement: Settlement
    angle: float
    gsd_m: float
    u: FloatArray
    v: FloatArray
    street_m: FloatArray
    centre_m: FloatArray
    boundary_m: FloatArray
    parcel_of: NDArray[np.int32]
    parcels: list[Parcel]

    def locate(self, u: float, v: float) -> tuple[float, float, float] | None:
        """Find the pixel of a place in the bent frame.

        Returns:
            (column, row, local direction of the first axis), or None where the place is outside the scene.
        """
        height, width = self.u.shape
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        x, y = width / 2, height / 2
        for _ in range(6):
            row, column = min(max(int(y), 0), height - 1), min(max(int(x), 0), width - 1)
            off_u = (u - float(self.u[row, column])) / self.gsd_m - (x - column - 0.5) * cos - (y - row - 0.5) * sin
            off_v = (v - float(self.v[row, column])) / self.gsd_m + (x - column - 0.5) * sin - (y - row - 0.5) * cos
            x, y = x + off_u * cos - off_v * sin, y + off_u * sin + off_v * cos
        margin = 8 / self.gsd_m
        if not (-margin <= x <= width + margin and -margin <= y <= height + margin):
            return None
        return x, y, self._direction(x, y)

    def _direction(self, x: float, y: float) -> float:
        """Local direction of the first axis, from finite differences of `u` over about four metres."""
        height, width = self.u.shape
        if min(height, width) < 8:
            return self.angle
        step = int(min(max(2, round(2 / self.gsd_m)), (min(height, width) - 1) // 2))
        row = int(min(max(y, step), height - 1 - step))
        column = int(min(max(x, step), width - 1 - step))
        return math.atan2(
            float(self.u[row + step, column] - self.u[row - step, column]),
            float(self.u[row, column + step] - self.u[row, column - step]),
        )


def _split(rng: np.random.Generator, start: float, stop: float, size: Span) -> list[float]:
    """Cut start … stop into pieces of about the given sizes; returns the boundaries, ends included."""
    pieces = max(1, round((stop - start) / rng.uniform(*size)))
    inner = np.arange(1, pieces) + rng.uniform(-0.2, 0.2, pieces - 1)
    return [start, *(start + inner / pieces * (stop - start)).tolist(), stop]


def _streets(rng: np.random.Generator, reach: float, gap: Span, width: Span) -> list[Span]:
    """Place streets over -reach … reach; returns (middle, half width) in order."""
    streets, at = [], -reach + rng.uniform(0, gap[1])
    while at < reach:
        streets.append((at, rng.uniform(*width) / 2))
        at += rng.uniform(*gap)
    return streets


def _edges(streets: list[Span], reach: float, rng: np.random.Generator, size: Span) -> list[tuple[float, float, int]]:
    """Cut the land between streets into strips (start, stop, side on which a street lies: -1, 1 or 0)."""
    strips, start, behind = [], -reach, 0
    for middle, half in [*streets, (reach, 0.0)]:
        stop, ahead = middle - half, 1 if middle < reach else 0
        if stop > start:
            cuts = _split(rng, start, stop, size)
            for index, (low, high) in enumerate(itertools.pairwise(cuts)):
                first, last = index == 0, index == len(cuts) - 2
                strips.append((low, high, -1 if first and behind else (ahead if last else 0)))
        start, behind = middle + half, -1
    return strips


def _distance(ticks: FloatArray, points: list[float]) -> FloatArray:
    """Distance of every tick to the nearest of the points."""
    if not points:
        return np.full(ticks.shape, 1e4, np.float32)
    return np.asarray(
        np.abs(ticks[:, None] - np.asarray(points, np.float32)[None, :]).min(axis=1).astype(np.float32), np.float32
    )


def lay_out(rng: np.random.Generator, settlement: Settlement, height: int, width: int, gsd_m: float) -> Layout:
    """Lay streets and parcels over a scene of height x width pixels."""
    angle = float(rng.uniform(-math.pi / 4, math.pi / 4))
    cos, sin = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    dy = ((np.arange(height, dtype=np.float32) + 0.5 - height / 2) * gsd_m)[:, None]
    dx = ((np.arange(width, dtype=np.float32) + 0.5 - width / 2) * gsd_m)[None, :]
    bend = settlement.bend * rng.uniform(0.3, 1.3)
    u = dx * cos + dy * sin + np.float32(bend) * fractal_noise(rng, height, width, 180 / gsd_m, 60 / gsd_m, 0.35)
    v = dy * cos - dx * sin + np.float32(bend) * fractal_noise(rng, height, width, 180 / gsd_m, 60 / gsd_m, 0.35)

    reach = float(max(np.abs(u).max(), np.abs(v).max())) + 2 * gsd_m
    step = gsd_m / 2
    ticks = np.arange(-reach, reach + step, step, dtype=np.float32)
    u_index = ((u + np.float32(reach)) / np.float32(step)).astype(np.int32)
    v_index = ((v + np.float32(reach)) / np.float32(step)).astype(np.int32)

    u_streets = _streets(rng, reach, settlement.street_gap[0], settlement.street_width)
    v_streets = _streets(rng, reach, settlement.street_gap[1], settlement.street_width)
    street_m, centre_m = np.full((height, width), 1e4, np.float32), np.full((height, width), 1e4, np.float32)
    for streets, index in ((u_streets, u_index), (v_streets, v_index)):
        middle = _distance(ticks, [m for m, _ in streets])
        edge = np.full(ticks.shape, 1e4, np.float32)
        for m, half in streets:
            np.minimum(edge, np.abs(ticks - np.float32(m)) - np.float32(half), out=edge)
        np.minimum(street_m, edge[index], out=street_m)
        np.minimum(centre_m, middle[index], out=centre_m)

    columns = _edges(u_streets, reach, rng, settlement.lot_depth)
    starts = np.array([low for low, _, _ in columns], np.float32)
    column_of = np.maximum(np.searchsorted(starts, ticks, side="right") - 1, 0).astype(np.int32)
    parcel_table = np.zeros((len(columns), len(ticks)), np.int32)
    edge_table = np.zeros((len(columns), len(ticks)), np.float32)
    parcels: list[Parcel] = []
    for column, (low, high, side) in enumerate(columns):
        rows = _edges(v_streets, reach, rng, settlement.lot_front)
        row_starts = np.array([a for a, _, _ in rows], np.float32)
        row_of = np.maximum(np.searchsorted(row_starts, ticks, side="right") - 1, 0)
        parcel_table[column] = row_of + len(parcels)
        edge_table[column] = _distance(ticks, [a for a, _, _ in rows])
        parcels += [Parcel(len(parcels) + i, (low, high), (a, b), side) for i, (a, b, _) in enumerate(rows)]
    flat = column_of[u_index] * np.int32(len(ticks)) + v_index
    boundary = np.minimum(_distance(ticks, starts.tolist())[u_index], edge_table.ravel()[flat])
    return Layout(settlement, angle, gsd_m, u, v, street_m, centre_m, boundary, parcel_table.ravel()[flat], parcels)
