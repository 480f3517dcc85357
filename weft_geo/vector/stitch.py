"""Strips to whole objects: components joined across strips, each handed on when its last row has passed.

Between strips the stitcher holds the runs of the last row, and the marks and sums of the objects those runs belong
to. Its memory therefore follows the outlines of the open objects and not the raster.

Three relations are kept apart. Pixels that share an edge make a *component*, which becomes one polygon. Components that
belong together (over marks too, with connectivity 8) make an *object*, which becomes one feature. Objects that touch
make a *group*, which is handed on together where the caller cleans shared edges.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from weft_geo.vector.arrays import Bools, Ints
from weft_geo.vector.finished import Finished, bring_together
from weft_geo.vector.marks import Table, corner_marks, crossing_marks, measure_parts
from weft_geo.vector.outline import Runs, connected, find_runs, touching
from weft_geo.vector.strip import Strip


@dataclass
class _Unit:
    """What is handed on together: one object or one group, as long as it is open."""

    marks: list[Table]
    parts: list[Table]


class Stitcher:
    """Joins strips, pushed from top to bottom.

    Args:
        width: of the raster, pixels.
        height: of the raster, pixels.
        connectivity: 4 or 8.
        grouped: hand on touching objects (of any class) together.
        threshold: of the probabilities, when sub-pixel outlines are wanted; None for pixel outlines.
    """

    def __init__(self, width: int, height: int, connectivity: int, grouped: bool, threshold: float | None) -> None:
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
        found = find_runs(strip.classes, first_row)
        runs = found.on(strip.columns).after(self._runs)
        upper, lower = touching(runs, self.width, int(self.connectivity == 8 or self.grouped))
        component, owner, unit = self._label(runs, upper, lower)
        open_runs = np.zeros(len(runs), dtype=bool) if last else runs.row == self.rows - 1

        shape = (self.height, self.width)
        parts = measure_parts(strip, self._invalid, first_row, shape, runs, found, component)
        marks = corner_marks(runs, held, upper, lower, component, open_runs)
        if self.threshold is not None:
            crossings = crossing_marks(strip, self._above, first_row, runs, component, self.threshold)
            marks = np.append(marks, crossings)
            self._above = strip.rows(slice(-1, None)).copy()
        self._invalid = np.zeros_like(self._invalid) if strip.invalid is None else strip.invalid[-1:].copy()

        n_units = int(unit.max()) + 1 if len(unit) else 0
        is_open, is_held = np.zeros(n_units, dtype=bool), np.zeros(n_units, dtype=bool)
        is_open[unit[component[open_runs]]] = True
        is_held[unit[component[:held]]] = True
        kept = is_open | is_held
        number, object_number = self._number(component[:held], owner, kept[unit])

        corner_unit, part_unit = unit[marks["component"]], unit
        stays, remains = kept[corner_unit], kept[part_unit]
        old_marks, old_parts = marks[stays], parts[remains]
        old_marks["component"] = number[old_marks["component"]]
        old_parts["component"] = number[old_parts["component"]]
        units = np.append(corner_unit[stays], part_unit[remains])
        closed = self._keep(old_marks, old_parts, units, unit[component[:held]], is_open)
        done = self._finish(marks[~stays], parts[~remains], owner, unit, closed, strip.scale)

        index = np.flatnonzero(open_runs)
        self._runs = runs.take(index)
        self._run_component = number[component[index]]
        self._run_object = object_number[component[index]]
        self._run_unit = (np.cumsum(is_open) - 1)[unit[component[index]]]
        return done

    def _finish(
        self,
        marks: Table,
        parts: Table,
        owner: Ints,
        unit: Ints,
        closed: list[_Unit],
        scale: float,
    ) -> Finished:
        """Objects that lie within the strip, and those of units that closed in it, as one lot."""
        n = len(owner)
        owners, groups = owner[parts["component"]], unit[parts["component"]]
        if closed:
            old_marks = np.concatenate([some for one in closed for some in one.marks])
            old_parts = np.concatenate([some for one in closed for some in one.parts])
            old_groups = np.repeat(np.arange(len(closed)), [sum(map(len, one.parts)) for one in closed])
            for rows in (old_marks, old_parts):
                rows["component"] = _root(self._component_root, rows["component"])
            old_owners = _root(self._object_root, old_parts["component"])
            for rows in (old_marks, old_parts):
                rows["component"] += n
            marks, parts = np.append(marks, old_marks), np.append(parts, old_parts)
            owners, groups = np.append(owners, old_owners + n), np.append(groups, old_groups + n)
        return bring_together(marks, parts, owners, groups, scale)

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
        marks: Table,
        parts: Table,
        unit: Ints,
        held_unit: Ints,
        is_open: Bools,
    ) -> list[_Unit]:
        """Add to the units that outlive the strip what it knows of them.

        Args:
            marks: by lasting numbers.
            parts: by lasting numbers.
            unit: [marks + parts] the unit each of them belongs to, here.
            held_unit: [runs of the row before] the unit of each, here.
            is_open: [units] has a run in the last row.

        Returns:
            The units that were open before and are no longer.
        """
        units: dict[int, _Unit] = {}
        for slot, here in dict(zip(self._run_unit.tolist(), held_unit.tolist(), strict=True)).items():
            into = units.setdefault(here, _Unit([], []))
            into.marks += self._units[slot].marks
            into.parts += self._units[slot].parts
        for here in np.flatnonzero(is_open).tolist():
            units.setdefault(here, _Unit([], []))
        for here, some in _split(marks, unit[: len(marks)]):
            units[here].marks.append(some)
        for here, some in _split(parts, unit[len(marks) :]):
            units[here].parts.append(some)
        self._units = [units.pop(here) for here in np.flatnonzero(is_open).tolist()]
        return list(units.values())


def _tie(label: Ints) -> tuple[Ints, Ints]:
    """Edges of a graph that joins all places with the same label."""
    _, first, inverse = np.unique(label, return_index=True, return_inverse=True)
    return np.arange(len(label)), first[inverse]


def _split(rows: Table, key: Ints) -> list[tuple[int, Table]]:
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
