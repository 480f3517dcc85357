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


class RollingBand:
    """The rows in which windows still overlap; finished rows leave at the top.

    Memory is ``4 · classes · window · width`` bytes, whatever the height of the raster.

    Args:
        grid: The windows.
        classes: Number of classes, K.
    """

    def __init__(self, grid: WindowGrid, classes: int) -> None:
        self._grid = grid
        self._row_weights = axis_weights(grid.rows)
        self._col_weights = axis_weights(grid.cols)
        self._sums = np.zeros((classes, grid.rows.inside, grid.cols.length), np.uint32)
        self._row = 0

    @staticmethod
    def bytes_needed(grid: WindowGrid, classes: int) -> int:
        """Bytes the band holds, the rows being emitted (levels and float32) included."""
        finished = max(grid.rows.finished(i) - start for i, start in enumerate(grid.rows.starts))
        return classes * grid.cols.length * (4 * grid.rows.inside + 8 * finished)

    def add(self, col: int, probability: NDArray[np.float32]) -> None:
        """Adds one window of the current row of windows.

        Args:
            col: Index of the window's column.
            probability: float ``[K, h, w]`` in [0, 1], at least as large as the part of the window in the raster.
        """
        rows, cols = self._grid.rows, self._grid.cols
        left = cols.starts[col]
        inside = probability[:, : rows.inside, : cols.inside]
        levels = np.rint(np.clip(inside, 0, 1) * np.float32(LEVELS)).astype(np.uint32)
        weight = self._row_weights[self._row][:, None] * self._col_weights[col][None, :]
        self._sums[:, :, left : left + cols.inside] += levels * weight

    def finish_row(self) -> NDArray[np.float32]:
        """Ends the current row of windows.

        Returns:
            float32 ``[K, rows, width]`` probabilities of the rows that no later window touches, top first.
        """
        rows = self._grid.rows
        count = rows.finished(self._row) - rows.starts[self._row]
        levels = (self._sums[:, :count] + (UNIT * UNIT // 2)) // (UNIT * UNIT)
        kept = rows.inside - count
        self._sums[:, :kept] = self._sums[:, count:]
        self._sums[:, kept:] = 0
        self._row += 1
        return levels.astype(np.float32) / np.float32(LEVELS)
