"""Strips to whole objects: components joined across strips, each handed on when its last row has passed.

Between strips the stitcher holds the runs of the last row, and the corners and sums of the objects those runs belong
to. Its memory therefore follows the outlines of the open objects and not the raster.

Three relations are kept apart. Pixels that share an edge make a *component*, which becomes one polygon. Components that
belong together (over corners too, with connectivity 8) make an *object*, which becomes one feature. Objects that touch
make a *group*, which is handed on together where the caller cleans shared edges.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from weft_geo.vector.outline import (
    ACROSS,
    ALONG,
    BOTTOM,
    END,
    Bools,
    Ints,
    Runs,
    connected,
    find_corners,
    find_runs,
    max_runs,
    run_at,
    sum_runs,
    touching,
)
from weft_geo.vector.subpixel import find_crossings

CORNER = np.dtype([("component", "i8"), ("row", "i4"), ("col", "i4"), ("kind", "u1"), ("offset", "f4")])
"""One mark of an outline: a corner, or (for sub-pixel outlines) a crossing, which alone has an offset."""
PART = np.dtype(
    [
        ("component", "i8"),
        ("value", "u1"),
        ("count", "i8"),
        ("first", "i8"),
        ("total", "f8"),
        ("best", "f8"),
        ("edge", "?"),
        ("nodata", "?"),
    ]
)
"""What one strip knows of one component; an object's figures are reduced from its parts."""


@dataclass(frozen=True)
class Strip:
    """What is known of some whole rows.

    Attributes:
        classes: uint8 [rows, width]; 0 is background.
        score: [rows, width] probabilities, or None where every object pixel counts as certain.
        scale: what `score` is divided by to lie in [0, 1].
        invalid: bool [rows, width] pixels without data, or None where all have some.
        probability: [K, rows, width] in the unit of `scale`, needed for sub-pixel outlines; None puts them halfway.
    """

    classes: npt.NDArray[np.uint8]
    score: npt.NDArray[np.generic] | None = None
    scale: float = 1.0
    invalid: Bools | None = None
    probability: npt.NDArray[np.generic] | None = None

    def rows(self, some: slice) -> Strip:
        """Some of the rows."""
        return Strip(
            self.classes[some],
            None if self.score is None else self.score[some],
            self.scale,
            None if self.invalid is None else self.invalid[some],
            None if self.probability is None else self.probability[:, some],
        )

    def copy(self) -> Strip:
        """The same in memory of its own."""
        return Strip(
            self.classes.copy(),
            None if self.score is None else self.score.copy(),
            self.scale,
            None if self.invalid is None else self.invalid.copy(),
            None if self.probability is None else self.probability.copy(),
        )


@dataclass(frozen=True)
class Finished:
    """Objects whose last row has passed, in the order of their first pixels.

    Attributes:
        corners: [n] `CORNER`; components numbered from 0 so that those of one object follow each other.
        owner: [components] object of each component.
        group: [objects] objects with the same number touch.
        value: [objects] class, 1…K.
        first: [objects] row × width + column of the first pixel.
        count: [objects] number of pixels.
        score: [objects] mean score.
        best: [objects] greatest score.
        edge: [objects] has a pixel on the raster's rim.
        nodata: [objects] has a pixel with an invalid one among its eight neighbours.
    """

    corners: npt.NDArray[np.void]
    owner: Ints
    group: Ints
    value: npt.NDArray[np.uint8]
    first: Ints
    count: Ints
    score: npt.NDArray[np.float64]
    best: npt.NDArray[np.float64]
    edge: Bools
    nodata: Bools


@dataclass
class _Unit:
    """What is handed on together: one object or one group, as long as it is open."""

    corners: list[npt.NDArray[np.void]]
    parts: list[npt.NDArray[np.void]]


class Stitcher:
    """Joins strips, pushed from top to bottom.

    Args:
        width: of the raster, pixels.
        height: of the raster, pixels.
        connectivity: 4 or 8.
        grouped: hand on touching objects (of any class) together.
        threshold: of the probabilities, when sub-pixel outlines are wanted; None for pixel outlines.
    """

    def __init__(
        self,
        width: int,
        height: int,
        connectivity: int = 8,
        grouped: bool = False,
        threshold: float | None = None,
    ) -> None:
        self.width, self.height = width, height
        self.connectivity, self.grouped = connectivity, grouped
        self.threshold = threshold
        self.rows = 0
        self._above: Strip | None = None
        empty = np.zeros(0, dtype=np.int64)
        self._runs = Runs(empty, empty, empty, np.zeros(0, dtype=np.uint8))
        self._run_component = self._run_object = self._run_unit = empty
        self._units: list[_Unit] = []
        self._invalid = np.zeros((1, width), dtype=bool)
        # Numbers given to the components of open objects; each points at the number it was merged into.
        self._component_root = self._object_root = empty

    def push(self, strip: Strip) -> Finished:
        """Add some rows; the last rows of the raster close whatever is open.

        Returns:
            The objects that these rows closed.
        """
        first_row, last = self.rows, self.rows + len(strip.classes) == self.height
        self.rows += len(strip.classes)
        held = len(self._runs)
        fresh = find_runs(strip.classes, first_row)
        runs = fresh.after(self._runs)
        upper, lower = touching(runs, self.width, int(self.connectivity == 8 or self.grouped))
        component, owner, unit = self._label(runs, upper, lower)
        parts = self._measure(strip, runs, component, first_row)
        corners = self._corners(runs, upper, lower, component, last)
        if self.threshold is not None:
            corners = np.append(corners, self._crossings(strip, runs, component, first_row))

        open_runs = np.zeros(len(runs), dtype=bool) if last else runs.row == self.rows - 1
        n_units = int(unit.max()) + 1 if len(unit) else 0
        is_open, is_held = np.zeros(n_units, dtype=bool), np.zeros(n_units, dtype=bool)
        is_open[unit[component[open_runs]]] = True
        is_held[unit[component[:held]]] = True
        kept = is_open | is_held
        number, object_number = self._number(component[:held], owner, kept[unit])

        corner_unit, part_unit = unit[corners["component"]], unit
        stays, remains = kept[corner_unit], kept[part_unit]
        old_corners, old_parts = corners[stays], parts[remains]
        old_corners["component"] = number[old_corners["component"]]
        old_parts["component"] = number[old_parts["component"]]
        units = np.append(corner_unit[stays], part_unit[remains])
        closed = self._keep(old_corners, old_parts, units, unit[component[:held]], is_open)
        done = self._finish(corners[~stays], parts[~remains], owner, unit, closed)

        index = np.flatnonzero(open_runs)
        self._runs = runs.take(index)
        self._run_component = number[component[index]]
        self._run_object = object_number[component[index]]
        self._run_unit = (np.cumsum(is_open) - 1)[unit[component[index]]]
        return done

    def _finish(
        self,
        corners: npt.NDArray[np.void],
        parts: npt.NDArray[np.void],
        owner: Ints,
        unit: Ints,
        closed: list[_Unit],
    ) -> Finished:
        """Objects that lie within the strip, and those of units that closed in it, as one lot."""
        n = len(owner)
        owners, groups = owner[parts["component"]], unit[parts["component"]]
        if closed:
            old_corners = np.concatenate([some for one in closed for some in one.corners])
            old_parts = np.concatenate([some for one in closed for some in one.parts])
            old_groups = np.repeat(np.arange(len(closed)), [sum(map(len, one.parts)) for one in closed])
            for rows in (old_corners, old_parts):
                rows["component"] = _root(self._component_root, rows["component"])
            old_owners = _root(self._object_root, old_parts["component"])
            for rows in (old_corners, old_parts):
                rows["component"] += n
            corners, parts = np.append(corners, old_corners), np.append(parts, old_parts)
            owners, groups = np.append(owners, old_owners + n), np.append(groups, old_groups + n)
        return _reduce(corners, parts, owners, groups)

    def _label(self, runs: Runs, upper: Ints, lower: Ints) -> tuple[Ints, Ints, Ints]:
        """Components of all runs; objects and units of all components."""
        same = runs.value[upper] == runs.value[lower]
        edge = np.maximum(runs.start[upper], runs.start[lower]) < np.minimum(runs.end[upper], runs.end[lower])
        joined = same & edge
        a, b = _tie(self._run_component)
        component = connected(len(runs), np.append(upper[joined], a), np.append(lower[joined], b))
        n = int(component.max()) + 1 if len(component) else 0

        corner = same & ~edge if self.connectivity == 8 else np.zeros(len(same), dtype=bool)
        a, b = _tie(self._run_object)
        owner = connected(n, component[np.append(upper[corner], a)], component[np.append(lower[corner], b)])
        if not self.grouped:
            return component, owner, owner
        beside = np.flatnonzero((runs.row[1:] == runs.row[:-1]) & (runs.end[:-1] == runs.start[1:]))
        a, b = _tie(self._run_unit)
        c, d = _tie(owner)
        left = np.concatenate([component[upper], component[beside], component[a], c])
        right = np.concatenate([component[lower], component[beside + 1], component[b], d])
        return component, owner, connected(n, left, right)

    def _measure(self, strip: Strip, runs: Runs, component: Ints, first_row: int) -> npt.NDArray[np.void]:
        """One part for each component, the held ones included (their last row may touch nodata below it)."""
        held = len(self._runs)
        fresh = runs.take(slice(held, None))  # type: ignore[arg-type]
        n = int(component.max()) + 1 if len(component) else 0
        mine = component[held:]
        length = fresh.end - fresh.start
        parts = np.zeros(n, dtype=PART)
        parts["component"] = np.arange(n)
        parts["value"][component] = runs.value
        parts["count"] = np.bincount(mine, length, n)
        parts["first"] = self.width * self.height
        np.minimum.at(parts["first"], mine, fresh.row * self.width + fresh.start)
        if strip.score is None:
            parts["total"], parts["best"] = parts["count"], 1.0
        else:
            parts["total"] = np.bincount(mine, sum_runs(strip.score, fresh, first_row) / strip.scale, n)
            np.maximum.at(parts["best"], mine, max_runs(strip.score, fresh, first_row) / strip.scale)
        rim = (fresh.start == 0) | (fresh.end == self.width) | (fresh.row == 0) | (fresh.row == self.height - 1)
        parts["edge"][mine[rim]] = True
        parts["nodata"][component[self._beside_nodata(strip, runs, first_row)]] = True
        return parts

    def _beside_nodata(self, strip: Strip, runs: Runs, first_row: int) -> Bools:
        """Which runs have an invalid pixel among the neighbours of theirs, so far as these rows tell."""
        invalid = strip.invalid if strip.invalid is not None else np.zeros_like(strip.classes, dtype=bool)
        above, self._invalid = self._invalid, invalid[-1:].copy()
        if not (above.any() or invalid.any()):
            return np.zeros(len(runs), dtype=bool)
        rows = np.pad(np.concatenate([above, invalid]), 1)
        wide = rows[:, :-2] | rows[:, 1:-1] | rows[:, 2:]
        near = wide[:-2] | wide[1:-1] | wide[2:]
        return max_runs(near.view(np.uint8), runs, first_row - 1) > 0

    def _corners(self, runs: Runs, upper: Ints, lower: Ints, component: Ints, last: bool) -> npt.NDArray[np.void]:
        """Corners that these rows settle: the lower side of the last row waits for the next strip."""
        on_top, below = find_corners(runs, upper, lower)
        on_top[:, : len(self._runs)] = False
        if not last:
            below[:, runs.row == self.rows - 1] = False
        found = []
        for side, columns in enumerate((runs.start, runs.end)):
            for mask, kind, down in ((on_top[side], 0, 0), (below[side], BOTTOM, 1)):
                index = np.flatnonzero(mask)
                corners = np.empty(len(index), dtype=CORNER)
                corners["component"] = component[index]
                corners["row"] = runs.row[index] + down
                corners["col"] = columns[index]
                corners["kind"] = kind | (END if side else 0)
                corners["offset"] = 0
                found.append(corners)
        return np.concatenate(found)

    def _crossings(self, strip: Strip, runs: Runs, component: Ints, first_row: int) -> npt.NDArray[np.void]:
        """Crossings of the threshold on and between these rows, and between them and the row above."""
        assert self.threshold is not None
        none = np.zeros_like(strip.classes, dtype=bool)
        invalid = none if strip.invalid is None else strip.invalid
        above, self._above = self._above, strip.rows(slice(-1, None)).copy()
        if above is None:  # the rim of the raster counts as nodata
            above = Strip(np.zeros_like(strip.classes[:1]), invalid=~none[:1], probability=strip.probability)
        top = none[:1] if above.invalid is None else above.invalid
        probability = None
        if strip.probability is not None and above.probability is not None:
            probability = np.concatenate([above.probability[:, -1:], strip.probability], axis=1)
        classes = np.concatenate([above.classes, strip.classes])
        row, col, kind, offset = find_crossings(
            classes, probability, np.concatenate([top, invalid]), self.threshold * strip.scale
        )
        found = []
        for down, right in ((0, 0), (kind == ALONG, kind == ACROSS)):
            r, c = row - down, col - right
            mine = classes[r, c] != 0
            crossings = np.empty(int(mine.sum()), dtype=CORNER)
            crossings["component"] = component[run_at(runs, r[mine] + (first_row - 1), c[mine])]
            crossings["row"], crossings["col"] = row[mine] + (first_row - 1), col[mine]
            crossings["kind"], crossings["offset"] = kind[mine], offset[mine]
            found.append(crossings)
        return np.concatenate(found)

    def _number(self, held: Ints, owner: Ints, kept: Bools) -> tuple[Ints, Ints]:
        """Lasting numbers for the components that outlive a strip, and for their objects.

        Args:
            held: [runs of the row before] their component here.
            owner: [components] object of each.
            kept: [components] whether it needs a number.

        Returns:
            [components] number of each, and of its object; meaningless where not kept.
        """
        none = np.iinfo(np.int64).max
        number = np.full(len(owner), none)
        np.minimum.at(number, held, self._run_component)
        fresh = np.flatnonzero(kept & (number == none))
        number[fresh] = len(self._component_root) + np.arange(len(fresh))
        owner_number = np.full(len(owner), none)
        np.minimum.at(owner_number, owner[kept], number[kept])
        np.minimum.at(owner_number, owner[held], self._run_object)

        self._component_root = np.append(self._component_root, number[fresh])
        self._component_root[self._run_component] = number[held]
        self._object_root = np.append(self._object_root, number[fresh])
        self._object_root[number[kept]] = owner_number[owner[kept]]
        self._object_root[self._run_object] = owner_number[owner[held]]
        return number, owner_number[owner]

    def _keep(
        self,
        corners: npt.NDArray[np.void],
        parts: npt.NDArray[np.void],
        unit: Ints,
        held_unit: Ints,
        is_open: Bools,
    ) -> list[_Unit]:
        """Add to the units that outlive the strip what it knows of them.

        Args:
            corners: by lasting numbers.
            parts: by lasting numbers.
            unit: [corners + parts] the unit each of them belongs to, here.
            held_unit: [runs of the row before] the unit of each, here.
            is_open: [units] has a run in the last row.

        Returns:
            The units that were open before and are no longer.
        """
        units: dict[int, _Unit] = {}
        for slot, here in dict(zip(self._run_unit.tolist(), held_unit.tolist(), strict=True)).items():
            into = units.setdefault(here, _Unit([], []))
            into.corners += self._units[slot].corners
            into.parts += self._units[slot].parts
        for here in np.flatnonzero(is_open).tolist():
            units.setdefault(here, _Unit([], []))
        for here, some in _split(corners, unit[: len(corners)]):
            units[here].corners.append(some)
        for here, some in _split(parts, unit[len(corners) :]):
            units[here].parts.append(some)
        self._units = [units.pop(here) for here in np.flatnonzero(is_open).tolist()]
        return list(units.values())


def _tie(label: Ints) -> tuple[Ints, Ints]:
    """Edges of a graph that joins all places with the same label."""
    _, first, inverse = np.unique(label, return_index=True, return_inverse=True)
    return np.arange(len(label)), first[inverse]


def _split(rows: npt.NDArray[np.void], key: Ints) -> list[tuple[int, npt.NDArray[np.void]]]:
    """The rows of each key, as arrays of their own."""
    order = np.argsort(key, kind="stable")
    keys, begin = np.unique(key[order], return_index=True)
    stop = np.append(begin[1:], len(order))
    return [(int(k), rows[order[a:b]]) for k, a, b in zip(keys, begin, stop[: len(keys)], strict=True)]


def _root(roots: Ints, numbers: Ints) -> Ints:
    """Follow numbers to what they were merged into."""
    while True:
        further = roots[numbers]
        if np.array_equal(further, numbers):
            return numbers
        numbers = further


def _reduce(corners: npt.NDArray[np.void], parts: npt.NDArray[np.void], owner: Ints, group: Ints) -> Finished:
    """Bring the parts of each object together and put the objects in order.

    Args:
        corners: of whole objects.
        parts: of whole objects.
        owner: [parts] any number that tells the objects apart.
        group: [parts] any number that tells the groups apart.
    """
    component, where = np.unique(parts["component"], return_inverse=True)
    n = len(component)
    first = np.full(n, np.iinfo(np.int64).max)
    np.minimum.at(first, where, parts["first"])
    some_part = np.empty(n, dtype=np.int64)
    some_part[where] = np.arange(len(parts))
    _, owner = np.unique(owner, return_inverse=True)
    m = int(owner.max()) + 1 if len(owner) else 0
    object_first = np.full(m, np.iinfo(np.int64).max)
    np.minimum.at(object_first, owner, parts["first"])
    rank = np.empty(m, dtype=np.int64)
    rank[np.argsort(object_first)] = np.arange(m)
    owner = rank[owner]
    of_component = owner[some_part]
    component_order = np.lexsort((first, of_component))
    component_rank = np.empty(n, dtype=np.int64)
    component_rank[component_order] = np.arange(n)
    corners["component"] = component_rank[np.searchsorted(component, corners["component"])]
    value, groups = np.zeros(m, dtype=np.uint8), np.zeros(m, dtype=np.int64)
    value[owner], groups[owner] = parts["value"], group
    count = np.bincount(owner, parts["count"], m)
    best = np.zeros(m)
    np.maximum.at(best, owner, parts["best"])
    return Finished(
        corners=corners,
        owner=of_component[component_order],
        group=groups,
        value=value,
        first=np.sort(object_first),
        count=count.astype(np.int64),
        score=np.bincount(owner, parts["total"], m) / np.maximum(count, 1),
        best=best,
        edge=np.bincount(owner, parts["edge"], m) > 0,
        nodata=np.bincount(owner, parts["nodata"], m) > 0,
    )
