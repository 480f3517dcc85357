"""One strip of a class map: its runs, how they touch, and the corners of their outlines.

A run is a stretch of one class in one row. Everything downstream of `find_runs` costs in proportion to the runs, not to
the pixels. The outline of a set of pixels is wholly given by its corners: along every grid line they pair up into the
edges, so no edge has to be followed here, and a strip needs to know nothing but the row above it.

Rows and columns count pixels from the top left; grid line i is the upper side of row i.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from weft_geo.vector.arrays import Bools, Ints

END, BOTTOM = 1, 2
"""Bits of a corner's kind: it closes a run (else opens one); it lies on the run's lower side (else on its upper)."""

ACROSS, ALONG = 4, 5
"""Kinds of a crossing of the threshold: between two pixels of a row, or of a column."""


@dataclass(frozen=True)
class Runs:
    """Runs in reading order.

    Attributes:
        row: [n] row of each run.
        start: [n] first column.
        end: [n] column after the last.
        value: [n] class, 1…K.
    """

    row: Ints
    start: Ints
    end: Ints
    value: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.row)

    def take(self, index: Ints | Bools) -> Runs:
        """The runs at some places."""
        return Runs(self.row[index], self.start[index], self.end[index], self.value[index])

    def on(self, columns: Ints | None) -> Runs:
        """The same runs on the raster, if they were found where only these of its columns are."""
        if columns is None or not len(self):
            return self
        return Runs(self.row, columns[self.start], columns[self.end - 1] + 1, self.value)

    def after(self, first: Runs) -> Runs:
        """These runs behind some others."""
        return Runs(
            np.concatenate([first.row, self.row]),
            np.concatenate([first.start, self.start]),
            np.concatenate([first.end, self.end]),
            np.concatenate([first.value, self.value]),
        )


def find_runs(classes: npt.NDArray[np.uint8], first_row: int) -> Runs:
    """Runs of non-zero classes.

    Args:
        classes: uint8 [rows, width]; 0 is background.
        first_row: row number of the strip's first row in the raster.

    Returns:
        The runs, rows counted in the raster.
    """
    rows, width = classes.shape
    if not classes.max(initial=0):
        empty = np.zeros(0, dtype=np.int64)
        return Runs(empty, empty, empty, np.zeros(0, dtype=np.uint8))
    step = np.empty((rows, width + 1), dtype=bool)
    np.not_equal(classes[:, 1:], classes[:, :-1], out=step[:, 1:width])
    np.not_equal(classes[:, 0], 0, out=step[:, 0])
    np.not_equal(classes[:, -1], 0, out=step[:, width])
    row, col = np.divmod(np.flatnonzero(step), width + 1)
    here = classes[row, np.minimum(col, width - 1)]
    before = classes[row, np.maximum(col - 1, 0)]
    opens = (here != 0) & (col < width)
    closes = (before != 0) & (col > 0)
    return Runs(row[opens] + first_row, col[opens], col[closes], here[opens])


def touching(runs: Runs, width: int, reach: int) -> tuple[Ints, Ints]:
    """Pairs of runs that touch between neighbouring rows.

    Args:
        runs: in reading order.
        width: of the raster.
        reach: 0 for runs that share an edge; 1 for those that share a corner as well.

    Returns:
        Indices of the upper and of the lower run of each pair.
    """
    pitch = width + 2
    base = (runs.row - (runs.row[0] if len(runs) else 0)) * pitch
    opens, closes = base + runs.start, base + runs.end
    first = np.searchsorted(closes, opens + (pitch - reach), side="right")
    last = np.searchsorted(opens, closes + (pitch + reach), side="left")
    number = np.maximum(last - first, 0)
    upper = np.repeat(np.arange(len(runs)), number)
    lower = np.arange(len(upper)) + np.repeat(first - (np.cumsum(number) - number), number)
    return upper, lower


def connected(count: int, left: Ints, right: Ints) -> Ints:
    """Label the connected components of a graph.

    Hooks each root to the smallest root it touches, then shortens all paths, until nothing changes (Shiloach and
    Vishkin 1982).

    Args:
        count: number of nodes.
        left: [m] one end of each edge.
        right: [m] the other end.

    Returns:
        [count] labels 0…k-1, numbered by the first node of each component.
    """
    root = np.arange(count)
    # A first round that takes any neighbour, which is quick and settles most; a root only ever points downwards.
    root[np.maximum(left, right)] = np.minimum(left, right)
    root = _shorten(root)
    while len(left):
        a, b = root[left], root[right]
        differ = a != b
        left, right, a, b = left[differ], right[differ], a[differ], b[differ]
        np.minimum.at(root, np.maximum(a, b), np.minimum(a, b))
        root = _shorten(root)
    numbers = np.cumsum(root == np.arange(count)) - 1
    return np.asarray(numbers[root])


def _shorten(root: Ints) -> Ints:
    while True:
        shorter = root[root]
        if np.array_equal(shorter, root):
            return root
        root = shorter


def find_corners(runs: Runs, upper: Ints, lower: Ints) -> tuple[Bools, Bools]:
    """Which ends of the runs are corners of the outline.

    Where a run starts (or ends) straight below another of its class, the outline passes without a corner; everywhere
    else there is one, convex or concave.

    Args:
        runs: in reading order.
        upper: upper runs of the touching pairs.
        lower: lower runs of the touching pairs.

    Returns:
        Two [2, n] masks, of the corners on the upper and on the lower side of each run: at its start, and at its end.
    """
    on_top, below = np.ones((2, len(runs)), dtype=bool), np.ones((2, len(runs)), dtype=bool)
    same = runs.value[upper] == runs.value[lower]
    for side, columns in enumerate((runs.start, runs.end)):
        straight = same & (columns[upper] == columns[lower])
        below[side, upper[straight]] = False
        on_top[side, lower[straight]] = False
    return on_top, below


def sum_runs(values: npt.NDArray[np.generic], runs: Runs, first_row: int) -> npt.NDArray[np.float64]:
    """Sum of a raster's values inside each run.

    Args:
        values: [rows, width] strip.
        runs: runs inside the strip.
        first_row: row number of the strip's first row.

    Returns:
        [n] sums.
    """
    bounds = _bounds(values, runs, first_row)
    return np.asarray(np.add.reduceat(values.reshape(-1), bounds, dtype=np.float64)[::2]) if len(runs) else np.zeros(0)


def max_runs(values: npt.NDArray[np.generic], runs: Runs, first_row: int) -> npt.NDArray[np.float64]:
    """Greatest of a raster's values inside each run; arguments as for `sum_runs`."""
    bounds = _bounds(values, runs, first_row)
    return np.asarray(np.maximum.reduceat(values.reshape(-1), bounds)[::2], float) if len(runs) else np.zeros(0)


def run_at(runs: Runs, row: Ints, col: Ints) -> Ints:
    """The run that some pixels lie in; each has to lie in one."""
    pitch = int(runs.end.max(initial=0)) + 1
    base = runs.row[0] if len(runs) else 0
    return np.searchsorted((runs.row - base) * pitch + runs.start, (row - base) * pitch + col, side="right") - 1


def _bounds(values: npt.NDArray[np.generic], runs: Runs, first_row: int) -> Ints:
    base = (runs.row - first_row) * values.shape[1]
    bounds = np.stack([base + runs.start, base + runs.end], axis=1).reshape(-1)
    return bounds[:-1] if len(bounds) and bounds[-1] == values.size else bounds
