"""Rows of an open raster, without the blocks that a sparse file leaves out."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from weft_geo.geo.raster import Raster
from weft_geo.vector.arrays import Bools, Ints


class RowReader:
    """Reads rows of some bands of a raster.

    What a sparse GeoTIFF leaves out is 0. Where 0 is background and no nodata, columns that have nothing else in the
    rows asked for, nor in the row above, need not be looked at: a country whose towns are mapped is mostly that.

    Args:
        raster: as `weft_geo.geo.raster.open_raster` gives it.
        bands: 1-based band numbers.
    """

    def __init__(self, raster: Raster, bands: tuple[int, ...]) -> None:
        self._raster, self._bands, info = raster, bands, raster.info
        integers = np.dtype(info.dtype).kind in "iub"
        # The first band's nodata stands for all; only where it is the background may others declare what they like.
        self._background_only = integers and not info.masked and (info.nodata == 0 or raster.all_valid)
        self._stored = raster.stored_blocks(bands) if self._background_only else None
        if self._stored is not None and self._stored.all():
            self._stored = None

    def __call__(self, top: int, rows: int) -> tuple[npt.NDArray[Any], Bools | None, Ints | None]:
        """Read some rows.

        Args:
            top: the first row.
            rows: how many.

        Returns:
            Values [bands, rows, width]; their validity [rows, width], None if all are valid; and [width] the column
            of each, None if no column is left out (see `weft_geo.vector.strip.Strip`).
        """
        width = self._raster.info.width
        if self._stored is not None:
            spans = self._spans(self._stored, top, rows)
            columns = [np.arange(left, right) for left, right in spans]
            values = [self._raster.read(self._bands, top, left, rows, right - left) for left, right in spans]
            nothing = np.zeros((len(self._bands), rows, 0), self._raster.info.dtype)
            return np.concatenate([nothing, *values], axis=2), None, np.concatenate([np.zeros(0, np.int64), *columns])
        some = self._raster.read(self._bands, top, 0, rows, width)
        valid = None if self._background_only else self._raster.valid(top, 0, rows, width, some)
        return some, valid, None

    def _spans(self, stored: Bools, top: int, rows: int) -> list[tuple[int, int]]:
        """First column and the one after the last of each stretch of stored blocks, one more on either side."""
        high, wide = self._raster.info.block_shape
        there = stored[max(top - 1, 0) // high : (top + rows - 1) // high + 1].any(axis=0)
        edges = np.flatnonzero(np.diff(there, prepend=False, append=False))
        return [
            (max(int(first) * wide - 1, 0), min(int(last) * wide + 1, self._raster.info.width))
            for first, last in edges.reshape(-1, 2)
        ]
