"""Sub-pixel outlines: marching squares at the threshold, object by object and strip by strip.

Every unit edge of a pixel outline parts two pixel centres, and the line between them crosses the threshold exactly
once (`weft_geo.vector.crossings`); that crossing is the vertex that marching squares puts there (Lorensen and Cline
1987, in two dimensions). So the sub-pixel outline is the pixel outline with each unit edge replaced by its crossing,
and it inherits its topology: as many objects, the same holes, none lost, none merged.

Chords cut corners off: a ring of marching squares is too small, and by about the same area whatever its size and
shape, since what it loses goes by how far it turns in all (half a pixel for a mask, two thirds of one for a smooth
probability). It gets that back: it is moved outwards by a small part of a pixel, the same all the way round, so that
straight walls stay straight. The outline of a mask then has the area of its pixels exactly.

Differs from contourpy in four places, where it has to: that move; pixels that meet at a corner alone are joined or
apart as the connectivity says (marching squares decides by the mean); the outline follows the raster's rim and the edge
of nodata instead of ending there; and where three or more classes meet, all outlines pass through the common corner,
so that neighbours share their edges.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from weft_geo.vector.arrays import Bools, Floats, Ints
from weft_geo.vector.crossings import NEAREST
from weft_geo.vector.outline import ACROSS, connected
from weft_geo.vector.rings import Rings, following, link_rings, preceding

FINE = 2.0**20
"""Parts of a pixel in which areas are summed and moves are made. Sums of integers do not depend on where a ring begins,
so outlines do not depend on the strips; and points on a straight line stay on one to the last bit."""


def subpixel_rings(
    corners: npt.NDArray[np.void],
    crossings: npt.NDArray[np.void],
    owner: Ints,
    shape: tuple[int, int],
    join: bool,
    meet: bool,
    alone: Bools,
) -> tuple[Floats, Rings, Ints]:
    """Sub-pixel outlines of whole objects (and, with several classes, of whole groups of touching ones).

    Args:
        corners: of the components.
        crossings: of the components, once for each side of an edge that is an object.
        owner: [components] object of each.
        shape: (height, width) of the raster.
        join: components of an object that meet at a corner are one polygon.
        meet: let the outlines of three or more classes pass through their common corner.
        alone: [objects] which touch no other; those that do keep the edges they share where they are.

    Returns:
        [n, 2] points (column, row), the rings with offsets into those points, and [rings] the object of each.
    """
    row, col, component = (corners[name].astype(np.int64) for name in ("row", "col", "component"))
    pitch = int(max(row.max(), col.max())) + 2
    doubled, passable, label = _pass_over_corners(row * pitch + col, component, owner, join)
    rings = link_rings(label[component], row, col, corners["kind"], joined=passable)
    of_label = np.empty(int(label.max()) + 1, dtype=np.int64)
    of_label[label] = owner
    object_of_ring = of_label[rings.component]

    edges = _Edges.of(rings)
    offset, loss, soft = _cross(edges, crossings, pitch)
    free = soft & np.repeat(alone[object_of_ring], np.diff(edges.ring_start))
    shift = edges.outwards(_with_area_back(edges, offset, loss, soft, free))
    extra, inserted = _between_crossings(edges, shift, soft, shape, doubled, pitch, meet)

    start = np.append(0, np.cumsum(1 + inserted))
    points = np.empty((start[-1], 2))
    points[start[:-1][inserted]] = extra[inserted]
    points[start[1:] - 1] = edges.corner + edges.step / 2 + shift
    begin = start[edges.ring_start]
    if not meet:  # with several classes, a neighbour may need the point
        points, begin = _without_straight(points, begin)
    return points, Rings(rings.points, begin, rings.component, rings.area_px), object_of_ring


@dataclass(frozen=True)
class _Edges:
    """Rings, one pixel edge at a time.

    Attributes:
        corner: [n, 2] where each edge begins, (column, row).
        step: [n, 2] the edge, of length 1.
        ring_start: [rings + 1] first edge of each ring.
    """

    corner: Ints
    step: Ints
    ring_start: Ints

    @classmethod
    def of(cls, rings: Rings) -> _Edges:
        """The edges between the corners of some rings."""
        span = rings.points[following(rings.offsets)] - rings.points
        length = np.abs(span).sum(axis=1)
        start = np.append(0, np.cumsum(length))
        edge = np.repeat(np.arange(len(length)), length)
        step = np.sign(span)[edge]
        corner = rings.points[edge] + step * (np.arange(start[-1]) - start[edge])[:, None]
        return cls(corner, step, start[rings.offsets])

    @cached_property
    def before(self) -> Ints:
        """[n] the edge that ends where each begins."""
        return preceding(self.ring_start)

    @cached_property
    def across(self) -> Bools:
        """[n] it parts two pixels of a row, not of a column."""
        return np.asarray(self.step[:, 0] == 0)

    @cached_property
    def turn(self) -> Ints:
        """[n] at its beginning, 1 where the outline is convex and −1 where it is concave."""
        step, before = self.step, self.step[self.before]
        return np.asarray(before[:, 0] * step[:, 1] - before[:, 1] * step[:, 0])

    def outwards(self, offset: Floats) -> Floats:
        """[n, 2] offsets along a row or a column as vectors."""
        return np.asarray(offset[:, None] * np.column_stack([self.across, ~self.across]))


def _pass_over_corners(place: Ints, component: Ints, owner: Ints, join: bool) -> tuple[Ints, Bools, Ints]:
    """Which components of an object become one polygon, because they meet at a corner.

    Args:
        place: [n] grid point of each corner.
        component: [n] of each corner.
        owner: [components] object of each.
        join: whether any do.

    Returns:
        Grid points at which an object meets itself; [n] the outline passes from one component to the other there; and
        [components] the polygon of each.
    """
    order = np.lexsort((place, owner[component]))
    twice = (np.diff(owner[component][order]) == 0) & (np.diff(place[order]) == 0)
    one, other = order[:-1][twice], order[1:][twice]
    doubled, passes = np.unique(place[one], return_counts=True)
    # Where two objects cross over one corner neither can pass, and the parts of both stay apart.
    passable = _among(place, doubled[passes == 1]) if join else np.zeros(len(place), dtype=bool)
    through = passable[one]
    return doubled, passable, connected(len(owner), component[one[through]], component[other[through]])


def _cross(edges: _Edges, crossings: npt.NDArray[np.void], pitch: int) -> tuple[Floats, Floats, Bools]:
    """The crossing on each edge: its offset from the edge's middle, what its chords lose, and whether there is one."""
    place = crossings["row"].astype(np.int64) * pitch + crossings["col"]
    known, where = np.unique(place * 2 + (crossings["kind"] - ACROSS), return_index=True)
    low = edges.corner + np.minimum(edges.step, 0)
    wanted = (low[:, 1] * pitch + low[:, 0]) * 2 + ~edges.across
    offset, soft = _look_up(known, crossings["offset"][where], wanted)
    loss, _ = _look_up(known, crossings["loss"][where], wanted)
    return offset, loss, soft


def _with_area_back(edges: _Edges, offset: Floats, loss: Floats, soft: Bools, free: Bools) -> Floats:
    """Offsets of the crossings with every ring moved outwards by what its chords have cut off.

    Args:
        edges: of the rings.
        offset: [n] of the crossing on each.
        loss: [n] its part of the area that a chord over a turn cuts off (or adds, where concave), square pixels.
        soft: [n] there is a crossing.
        free: [n] it may move.

    Returns:
        [n] offsets. A move by d adds Σ gain · d + Σ turn · d² / 2 to a ring's area, of which d follows.
    """
    ring_start, turn, before = edges.ring_start, edges.turn, edges.before
    lost = np.where(soft & soft[before], loss + loss[before], 0.0)
    points = edges.corner + edges.step / 2 + edges.outwards(offset)
    span = points[following(ring_start)] - points[before]
    gain = np.where(free, (span * edges.step).sum(axis=1) / 2, 0.0)
    gains, losses, turns = (
        np.add.reduceat(np.rint(some * FINE).astype(np.int64), ring_start[:-1]) / FINE
        for some in (gain, turn * lost, turn * (lost > 0))
    )
    move = 2 * losses / np.maximum(gains + np.sqrt(np.maximum(gains**2 + 2 * turns * losses, 0.0)), 1 / FINE)
    move = np.repeat(np.rint(move * FINE) / FINE, np.diff(ring_start))
    outward = np.where(edges.across, edges.step[:, 1], -edges.step[:, 0])
    return np.where(free, np.clip(offset + move * outward, -NEAREST, NEAREST), offset)


def _between_crossings(
    edges: _Edges, shift: Floats, soft: Bools, shape: tuple[int, int], doubled: Ints, pitch: int, meet: bool
) -> tuple[Floats, Bools]:
    """Points that the outline needs between two crossings, where each edge begins.

    They are the corners of what has no crossings (the raster's rim, nodata), where an outline goes over from one to the
    other, and where classes meet.

    Args:
        edges: of the rings.
        shift: [n, 2] of the crossing on each from its middle.
        soft: [n] there is a crossing.
        shape: (height, width) of the raster.
        doubled: grid points at which an object meets itself.
        pitch: of the numbers of grid points.
        meet: pass through the common corner of three or more classes.

    Returns:
        [n, 2] points, and [n] which of them are needed.
    """
    corner, step, turn, before = edges.corner, edges.step, edges.turn, edges.before
    here = corner[:, 1] * pitch + corner[:, 0]
    single = ~_among(here, doubled)
    angular = single & ~soft & ~soft[before] & (turn != 0)
    rim = single & (soft != soft[before])
    if meet:
        common = single & _junctions(here, turn, soft & soft[before])
        angular, rim = angular | common, rim & ~common
    # Along nodata inside the raster, not past the pixel: the next one on the diagonal may be another object's.
    inside = ((corner > 0) & (corner < np.array(shape[::-1]))).all(axis=1)
    outward = np.where(soft, shift[:, 0] * step[:, 1] - shift[:, 1] * step[:, 0], 0)
    outward += np.where(soft[before], shift[before, 0] * step[before, 1] - shift[before, 1] * step[before, 0], 0)
    along = rim & ~(inside & (turn > 0) & (outward > 0))
    return corner + np.where(along[:, None], shift + shift[before], 0.0), angular | rim


def _without_straight(points: Floats, begin: Ints) -> tuple[Floats, Ints]:
    """Rings without the points at which they do not turn."""
    step = points[following(begin)] - points
    before = step[preceding(begin)]
    turns = before[:, 0] * step[:, 1] != before[:, 1] * step[:, 0]
    return points[turns], np.append(0, np.cumsum(np.add.reduceat(turns, begin[:-1], dtype=np.int64)))


def _junctions(place: Ints, turn: Ints, soft: Bools) -> Bools:
    """Which grid points have three or more classes around them; the background is one, and so is nodata.

    Args:
        place: [n] grid point of each passage of an outline.
        turn: [n] 1 where it turns around one pixel, 0 where it passes two, −1 where it leaves one out.
        soft: [n] the outline has crossings on both sides of the point.
    """
    _, number, passes = np.unique(place, return_inverse=True, return_counts=True)
    pixels = np.bincount(number, 2 - turn)
    hard = np.bincount(number, ~soft) > 0
    return np.asarray(((passes > 2) | ((passes == 2) & ((pixels < 4) | hard)))[number])


def _look_up(keys: Ints, values: npt.NDArray[np.float32], wanted: Ints) -> tuple[Floats, Bools]:
    """Values by sorted keys; 0 and False where there is none."""
    if not len(keys):
        return np.zeros(len(wanted)), np.zeros(len(wanted), dtype=bool)
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    there = keys[at] == wanted
    return np.where(there, values[at].astype(np.float64), 0.0), there


def _among(values: Ints, sorted_set: Ints) -> Bools:
    if not len(sorted_set):
        return np.zeros(len(values), dtype=bool)
    at = np.minimum(np.searchsorted(sorted_set, values), len(sorted_set) - 1)
    return np.asarray(sorted_set[at] == values)
