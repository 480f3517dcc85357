"""Reads a scene from top to bottom and cuts it into batches of normalised windows.

A band of rows as high as a window is kept; for the next row of windows it is shifted up and only the rows not yet seen
are read, so each pixel is read once.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from weft_geo.geo.aoi import AreaOfInterest
from weft_geo.geo.normalize import Normalizer
from weft_geo.geo.raster import Raster
from weft_geo.geo.windows import WindowGrid, reflect_index


@dataclass(frozen=True)
class Batch:
    """Windows of one row of the grid.

    Attributes:
        cols: Their columns in the grid.
        images: float32 ``[len(cols), C, h, w]``, as the model wants them.
    """

    cols: tuple[int, ...]
    images: NDArray[np.float32]


@dataclass(frozen=True)
class RowEnd:
    """A row of the grid has been cut, and no later window touches these rows of pixels.

    Attributes:
        wanted: ``[rows, width]``: pixels that hold an image and lie in the area of interest.
        skipped: Windows of the row without any such pixel.
    """

    wanted: NDArray[np.bool_]
    skipped: int


class StripReader:
    """Iterates over ``Batch`` and ``RowEnd`` items, row of windows by row of windows.

    Args:
        raster: The scene on the grid that the model sees.
        origin: (row, column) of the part to read.
        grid: The windows over that part.
        bands: 1-based band numbers in the model's order.
        normalizer: Turns stored values into the model's numbers.
        batch_size: Windows in a batch, at most.
        aoi: Area outside of which nothing is wanted; its corner is ``origin``.

    Attributes:
        read_seconds: Time spent in reading, so far.
    """

    def __init__(
        self,
        raster: Raster,
        origin: tuple[int, int],
        grid: WindowGrid,
        bands: tuple[int, ...],
        normalizer: Normalizer,
        batch_size: int,
        aoi: AreaOfInterest | None = None,
    ) -> None:
        self.read_seconds = 0.0
        self._raster = raster
        self._top, self._left = origin
        self._grid = grid
        self._bands = bands
        self._normalizer = normalizer
        self._batch_size = batch_size
        self._aoi = aoi
        shape = (grid.rows.inside, grid.cols.length)
        self._values: NDArray[Any] = np.zeros((len(bands), *shape), raster.info.dtype)
        self._valid = np.zeros(shape, bool)
        self._wanted = np.zeros(shape, bool)
        self._pad_rows = reflect_index(grid.rows.inside, grid.rows.window)[:, None]
        self._pad_cols = reflect_index(grid.cols.inside, grid.cols.window)[None, :]

    @staticmethod
    def bytes_needed(grid: WindowGrid, bands: int, itemsize: int, batch_size: int) -> int:
        """Bytes of the band of rows, of one fresh read, and of one batch while it is made."""
        row = grid.cols.length * (bands * itemsize + 2)
        batch = 4 * batch_size * bands * grid.shape[0] * grid.shape[1]
        return 2 * row * grid.rows.inside + batch

    def __iter__(self) -> Iterator[Batch | RowEnd]:
        cols = self._grid.cols
        kept = 0
        for index in range(len(self._grid.rows.starts)):
            self._fill(index, kept)
            wanted_cols = [
                col for col, left in enumerate(cols.starts) if self._wanted[:, left : left + cols.inside].any()
            ]
            for first in range(0, len(wanted_cols), self._batch_size):
                yield self._cut(tuple(wanted_cols[first : first + self._batch_size]))
            count = self._grid.rows.finished(index) - self._grid.rows.starts[index]
            yield RowEnd(self._wanted[:count].copy(), len(cols.starts) - len(wanted_cols))
            kept = self._grid.rows.inside - count
            for band in (self._valid, self._wanted):
                band[:kept] = band[count:]
            self._values[:, :kept] = self._values[:, count:]

    def _fill(self, index: int, kept: int) -> None:
        """Reads what the window row ``index`` needs below the ``kept`` rows that are there."""
        began = time.perf_counter()
        top = self._grid.rows.starts[index] + kept
        count = self._grid.rows.inside - kept
        area = (self._top + top, self._left, count, self._grid.cols.length)
        values = self._raster.read(self._bands, *area)
        valid = self._raster.valid(*area, values)
        self._values[:, kept:] = values
        self._valid[kept:] = valid
        self._wanted[kept:] = valid if self._aoi is None else valid & self._aoi.mask(top, count)
        self.read_seconds += time.perf_counter() - began

    def _cut(self, cols: tuple[int, ...]) -> Batch:
        height, width = self._grid.shape
        inside = self._grid.cols.inside
        images = np.empty((len(cols), len(self._bands), height, width), np.float32)
        padded = (height, width) != (self._grid.rows.inside, inside)
        for image, col in zip(images, cols, strict=True):
            part = slice(self._grid.cols.starts[col], self._grid.cols.starts[col] + inside)
            normal = self._normalizer(self._values[:, :, part], self._valid[:, part])
            image[:] = normal[:, self._pad_rows, self._pad_cols] if padded else normal
        return Batch(cols, images)


Item = TypeVar("Item")


def read_ahead(items: Iterator[Item], count: int) -> Generator[Item]:
    """Makes items in one background thread, at most ``count`` of them before they are asked for.

    Order is kept. An error surfaces where its item would have. Closing the iterator waits for the item under way.
    """
    end: Any = object()
    with ThreadPoolExecutor(1, thread_name_prefix="weft-read") as thread:
        ahead = deque(thread.submit(next, items, end) for _ in range(count))
        try:
            while (item := ahead.popleft().result()) is not end:
                ahead.append(thread.submit(next, items, end))
                yield item
        finally:
            for future in ahead:
                future.cancel()
