"""New outlines that would run into another object give way to plainer ones: right-angled to simplified, those to plain.

A simplified outline stands if it meets no plain and no simplified outline outside its group of touching objects (within
which edges are shared already); one that does not stand takes its group along. A right-angled outline stands if it
meets none of either, and no right-angled outline of a larger object. So objects that were apart stay apart.
Each rule looks at an object and its neighbours alone: the order and the strips in which objects come do not matter, and
no decision ever has to be taken back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute
import shapely

from weft_geo.vector.arrays import Bools, Ints, Shapes

MEASURES = ("geometry", "area_m2", "perimeter_m")
STAGES = ("simple", "square")
WAITING_FIELDS = [
    *(
        pa.field(f"{stage}_{name}", pa.binary() if name == "geometry" else pa.float64())
        for stage in STAGES
        for name in MEASURES
    ),
    pa.field("group", pa.int64()),
    pa.field("top", pa.float64()),
    pa.field("bottom", pa.float64()),
]
"""Beside each object while it waits: its simplified and its right-angled outline with their measures (null where there
is none), the first pixel of its group, the row of its own first pixel, and the last row that any outline reaches."""


@dataclass
class _Window:
    """The objects that later ones may still meet."""

    plain: Shapes = field(default_factory=lambda: np.zeros(0, dtype=object))
    simple: Shapes = field(default_factory=lambda: np.zeros(0, dtype=object))
    square: Shapes = field(default_factory=lambda: np.zeros(0, dtype=object))
    group: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    size: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    bottom: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    def add(self, batch: pa.RecordBatch) -> None:
        """Objects at the end."""
        self.plain = np.append(self.plain, _shapes(batch.column("geometry")))
        self.simple = np.append(self.simple, _shapes(batch.column("simple_geometry")))
        self.square = np.append(self.square, _shapes(batch.column("square_geometry")))
        self.group = np.append(self.group, np.asarray(batch.column("group")))
        self.size = np.append(self.size, np.asarray(batch.column("area_m2")))
        self.bottom = np.append(self.bottom, np.asarray(batch.column("bottom")))

    def keep(self, which: Bools) -> None:
        """Some objects only."""
        self.plain, self.simple, self.square = self.plain[which], self.simple[which], self.square[which]
        self.group, self.size, self.bottom = self.group[which], self.size[which], self.bottom[which]

    def meetings(self, new: Shapes, others: Shapes, held: int) -> tuple[Ints, Ints]:
        """Pairs of objects of different groups, not both among the first `held`, whose outlines touch or overlap.

        Args:
            new: [objects] outlines, some missing.
            others: [objects] outlines, some missing.
            held: how many objects were compared with each other before.
        """
        mine, theirs = np.flatnonzero(~shapely.is_missing(new)), np.flatnonzero(~shapely.is_missing(others))
        left, right = shapely.STRtree(others[theirs]).query(new[mine], predicate="intersects")
        one, other = mine[left], theirs[right]
        fresh = (self.group[one] != self.group[other]) & ((one >= held) | (other >= held))
        return one[fresh], other[fresh]


def without_overlaps(batches: Iterable[pa.RecordBatch], rise: float) -> Bools:
    """Decide which outline each object takes.

    Holds no more objects at once than one batch and those that the sweep line crosses.

    Args:
        batches: in the order of the first pixels, with `WAITING_FIELDS`.
        rise: how many rows an outline may begin above its object's first pixel, at most.

    Returns:
        [objects, 2] whether the simplified and whether the right-angled outline stands, if there is one.
    """
    window = _Window()
    groups = [window.group]
    not_simple, not_square = [window.group], [window.group]
    for batch in batches:
        held = len(window.group)
        window.add(batch)
        groups.append(window.group[held:])
        for others in (window.plain, window.simple):
            not_simple.append(np.unique(window.group[window.meetings(window.simple, others, held)[0]]))
            not_square.append(np.unique(window.group[window.meetings(window.square, others, held)[0]]))
        one, other = window.meetings(window.square, window.square, held)
        weaker = window.size[one] < window.size[other]
        weaker |= (window.size[one] == window.size[other]) & (window.group[one] > window.group[other])
        not_square.append(np.unique(window.group[one[weaker]]))
        window.keep(window.bottom >= batch.column("top")[-1].as_py() - rise)
    every = np.concatenate(groups)
    return np.stack([~np.isin(every, np.concatenate(fallen)) for fallen in (not_simple, not_square)], axis=1)


def choose(batch: pa.RecordBatch, stands: Bools, schema: pa.Schema) -> pa.RecordBatch:
    """A batch with the outlines that were decided on.

    Args:
        batch: with `WAITING_FIELDS`.
        stands: [rows, 2] as `without_overlaps` gives it.
        schema: of the result, without those fields.
    """
    columns = []
    for name in schema.names:
        column = batch.column(name)
        if name in MEASURES:
            for stage, good in zip(STAGES, stands.T, strict=True):
                new = batch.column(f"{stage}_{name}")
                column = pa.compute.if_else(pa.array(good & np.asarray(new.is_valid())), new, column)
        columns.append(column)
    return pa.record_batch(columns, schema=schema)


def _shapes(column: pa.Array) -> Shapes:
    return np.asarray(shapely.from_wkb(column.to_numpy(zero_copy_only=False)), dtype=object)
