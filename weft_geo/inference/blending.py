"""Window weights that sum to one at every pixel, and the rolling band in which windows are blended.

Everything is an integer, so the sum does not depend on the order, size or number of windows, and nothing is ever
divided by accumulated weights: a constant stays that constant up to the last corner.

Along an axis, let ``R_i`` rise from 0 to 128 over the pixels that window ``i`` shares with the one before it, with
``R_0 = 128`` everywhere and ``R_n = 0``. Window ``i`` weighs ``R_i − R_{i+1}``. The sum telescopes to 128, whatever the
overlaps are. Starts and ends of the windows increase, hence ``R_i ≥ R_{i+1}`` and no weight is negative. In two
dimensions the weight is the product, and the sum 16384.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from weft_geo.geo.windows import WindowAxis, WindowGrid
from weft_geo.inference.columns import ColumnBlock

UNIT = 128
"""Sum of the weights along one axis."""

LEVELS = 65_000
"""Probability 1 as an integer. Any threshold of up to three decimals is a whole number of levels, so ``p ≥ threshold``
is as exact after blending as before; and 65,000 × 128² still fits 32 bits."""


def axis_weights(axis: WindowAxis) -> NDArray[np.uint32]:
    """Weight of each window at each of its pixels along one axis.

    Returns:
        ``[windows, axis.inside]``; over all windows that hold a pixel the weights sum to ``UNIT``.
    """
    starts = np.asarray(axis.starts, np.int64)[:, None]
    pixel = starts + np.arange(axis.inside)
    rise = _ramp(pixel[1:], starts[1:], starts[:-1] + axis.inside)
    fall = _ramp(pixel[:-1], starts[1:], starts[:-1] + axis.inside)
    weights = np.full(pixel.shape, UNIT, np.int64)
    weights[1:] = rise
    weights[:-1] -= fall
    return weights.astype(np.uint32)


def _ramp(pixel: NDArray[np.int64], begin: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rises from 0 before ``begin`` to ``UNIT`` from ``end`` on; a step if they are the same pixel."""
    span = end - begin
    climbing = (2 * (pixel - begin) + 1) * UNIT // np.maximum(2 * span, 1)
    return np.where(pixel < begin, 0, np.where(pixel >= end, UNIT, np.clip(climbing, 0, UNIT)))


def to_levels(probability: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Probabilities of any shape, clipped to [0, 1], in units of 1 / ``LEVELS``; what NaN becomes is not defined."""
    scaled = np.clip(probability, 0, 1)
    scaled *= np.float32(LEVELS)
    np.rint(scaled, out=scaled)
    with np.errstate(invalid="ignore"):
        return scaled.astype(np.uint16)


class RollingBand:
    """The rows in which windows still overlap; finished rows leave at the top.

    Memory is ``4 · classes · window · width`` bytes, whatever the height of the raster.

    Args:
        grid: The windows.
        block: The columns to blend.
        classes: Number of classes, K.
    """

    def __init__(self, grid: WindowGrid, block: ColumnBlock, classes: int) -> None:
        self._grid = grid
        self._block = block
        self._row_weights = axis_weights(grid.rows)
        self._col_weights = axis_weights(grid.cols)
        self._sums = np.zeros((classes, grid.rows.inside, block.width), np.uint32)
        self._row = 0
        self._weights: dict[bytes, NDArray[np.uint32]] = {}
        self._weighted = np.empty((classes, grid.rows.inside, grid.cols.inside), np.uint32)

    @staticmethod
    def bytes_needed(grid: WindowGrid, width: int, classes: int) -> int:
        """Bytes the band holds, and those of two lots of finished rows and of one while it is made."""
        finished = max(grid.rows.finished(i) - start for i, start in enumerate(grid.rows.starts))
        return classes * width * (4 * grid.rows.inside + (4 + 3 * 2) * finished)

    def add(self, col: int, levels: NDArray[np.uint16]) -> None:
        """Adds one window of the current row of windows.

        Args:
            col: Index of the window's column.
            levels: ``[K, h, w]``, what ``to_levels`` gives; at least as large as the part of the window in the raster.
        """
        rows, cols = self._grid.rows, self._grid.cols
        left = cols.starts[col] - self._block.origin
        part = levels[:, : rows.inside, : cols.inside]
        np.multiply(part, self._weight(col), out=self._weighted, dtype=np.uint32)
        self._sums[:, :, left : left + cols.inside] += self._weighted

    def finish_row(self) -> NDArray[np.uint16]:
        """Ends the current row of windows.

        Returns:
            uint16 ``[K, rows, width]`` probabilities in units of 1 / ``LEVELS``: of the rows that no later window
            touches, top first, and of the columns that the block owns.
        """
        rows = self._grid.rows
        count = rows.finished(self._row) - rows.starts[self._row]
        sums = self._sums[:, :count, self._block.owned] + np.uint32(UNIT * UNIT // 2)
        sums //= np.uint32(UNIT * UNIT)
        kept = rows.inside - count
        self._sums[:, :kept] = self._sums[:, count:]
        self._sums[:, kept:] = 0
        self._row += 1
        self._weights.clear()
        return sums.astype(np.uint16)

    def carry(self) -> NDArray[np.uint32]:
        """What the windows so far have added to the rows that are not finished: right after ``finish_row``."""
        rows = self._grid.rows
        kept = rows.finished(self._row - 1) - rows.starts[self._row - 1]
        return self._sums[:, : rows.inside - kept].copy()

    def restore(self, row: int, carry: NDArray[np.uint32]) -> None:
        """Takes up where another band was when ``carry`` was taken from it.

        Args:
            row: Rows of windows that were finished.
            carry: What it gave.
        """
        self._row = row
        self._sums[:, : carry.shape[1]] = carry

    def _weight(self, col: int) -> NDArray[np.uint32]:
        """The weights of a window; all windows but those at the sides have the same in a row."""
        across = self._col_weights[col]
        key = across.tobytes()
        if key not in self._weights:
            self._weights[key] = self._row_weights[self._row][:, None] * across[None, :]
        return self._weights[key]
