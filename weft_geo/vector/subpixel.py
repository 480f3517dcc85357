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

import numpy as np
import numpy.typing as npt

from weft_geo.vector.crossings import NEAREST
from weft_geo.vector.outline import ACROSS, Bools, Ints, connected
from weft_geo.vector.rings import Floats, Rings, following, link_rings, preceding

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
    row, col = corners["row"].astype(np.int64), corners["col"].astype(np.int64)
    component = corners["component"].astype(np.int64)
    crossing_row, crossing_col = crossings["row"].astype(np.int64), crossings["col"].astype(np.int64)
    pitch = int(max(row.max(), col.max())) + 2
    place = row * pitch + col

    order = np.lexsort((place, owner[component]))
    twice = (np.diff(owner[component][order]) == 0) & (np.diff(place[order]) == 0)
    one, other = order[:-1][twice], order[1:][twice]
    doubled, passes = np.unique(place[one], return_counts=True)
    # Where two objects cross over one corner neither can pass, and the parts of both stay apart.
    passable = _among(place, doubled[passes == 1]) if join else np.zeros(len(place), dtype=bool)
    through = passable[one]
    label = connected(len(owner), component[one[through]], component[other[through]])
    rings = link_rings(label[component], row, col, corners["kind"], joined=passable)
    of_label = np.empty(int(label.max()) + 1, dtype=np.int64)
    of_label[label] = owner

    corner, step, ring_start = _unit_edges(rings)
    before = preceding(ring_start)
    across = step[:, 0] == 0
    low = corner + np.minimum(step, 0)
    known, where = np.unique(
        (crossing_row * pitch + crossing_col) * 2 + (crossings["kind"] - ACROSS), return_index=True
    )
    wanted = (low[:, 1] * pitch + low[:, 0]) * 2 + ~across
    offset, soft = _look_up(known, crossings["offset"][where], wanted)
    loss, _ = _look_up(known, crossings["loss"][where], wanted)
    turn = step[before, 0] * step[:, 1] - step[before, 1] * step[:, 0]
    lost = np.where(soft & soft[before], loss + loss[before], 0.0)
    free = soft & np.repeat(alone[of_label[rings.component]], np.diff(ring_start))
    offset = _with_area_back(offset, corner, step, turn, lost, free, ring_start)
    shift = offset[:, None] * np.column_stack([across, ~across])
    points = corner + step / 2 + shift

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
    extra = corner + np.where(along[:, None], shift + shift[before], 0.0)
    inserted = angular | rim
    start = np.append(0, np.cumsum(1 + inserted))
    out = np.empty((start[-1], 2))
    out[start[:-1][inserted]] = extra[inserted]
    out[start[1:] - 1] = points
    begin = start[ring_start]
    if not meet:  # with several classes, a neighbour may need the point
        out, begin = _without_straight(out, begin)
    placed = Rings(rings.points, begin, rings.component, rings.area_px)
    return out, placed, of_label[rings.component]


def _with_area_back(
    offset: Floats, corner: Ints, step: Ints, turn: Ints, lost: Floats, free: Bools, ring_start: Ints
) -> Floats:
    """Offsets of the crossings with every ring moved outwards by what its chords have cut off.

    Args:
        offset: [n] of the crossing on each pixel edge.
        corner: [n, 2] where the edge begins.
        step: [n, 2] the edge.
        turn: [n] at its beginning, 1 where the outline is convex and −1 where it is concave.
        lost: [n] area that the chord over a turn cuts off (or adds, where concave), square pixels.
        free: [n] the crossing may move.
        ring_start: [rings + 1] first edge of each ring.

    Returns:
        [n] offsets. A move by d adds Σ gain · d + Σ turn · d² / 2 to a ring's area, of which d follows.
    """
    across = step[:, 0] == 0
    points = corner + step / 2 + offset[:, None] * np.column_stack([across, ~across])
    span = points[following(ring_start)] - points[preceding(ring_start)]
    gain = np.where(free, (span * step).sum(axis=1) / 2, 0.0)
    gains, losses, turns = (
        np.add.reduceat(np.rint(some * FINE).astype(np.int64), ring_start[:-1]) / FINE
        for some in (gain, turn * lost, turn * (lost > 0))
    )
    move = 2 * losses / np.maximum(gains + np.sqrt(np.maximum(gains**2 + 2 * turns * losses, 0.0)), 1 / FINE)
    move = np.repeat(np.rint(move * FINE) / FINE, np.diff(ring_start))
    outward = np.where(across, step[:, 1], -step[:, 0])
    return np.where(free, np.clip(offset + move * outward, -NEAREST, NEAREST), offset)


def _without_straight(points: Floats, begin: Ints) -> tuple[Floats, Ints]:
    """Rings without the points at which they do not turn."""
    step = points[following(begin)] - points
    before = step[preceding(begin)]
    turns = before[:, 0] * step[:, 1] != before[:, 1] * step[:, 0]
    return points[turns], np.append(0, np.cumsum(np.add.reduceat(turns, begin[:-1], dtype=np.int64)))


def _unit_edges(rings: Rings) -> tuple[Ints, Ints, Ints]:
    """Every ring, one pixel edge at a time: where each starts, its step [n, 2], and the first one of each ring."""
    span = rings.points[following(rings.offsets)] - rings.points
    length = np.abs(span).sum(axis=1)
    start = np.append(0, np.cumsum(length))
    edge = np.repeat(np.arange(len(length)), length)
    step = np.sign(span)[edge]
    return rings.points[edge] + step * (np.arange(start[-1]) - start[edge])[:, None], step, start[rings.offsets]


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
