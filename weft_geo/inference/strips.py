"""Reads a scene from top to bottom and cuts it into batches of windows.

Whole rows of blocks are read, so each block is decoded once. Of what was read a band of rows as high as a window is
kept; for the next row of windows it is shifted up and only the rows not yet seen are added.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weft_geo.geo.gdal_settings import hand_over_settings
from weft_geo.geo.windows import reflect_index
from weft_geo.inference.columns import ColumnBlock
from weft_geo.inference.job import SceneJob
from weft_geo.inference.stages import ahead

LEAST_ROWS = 128
"""Rows of blocks that are lower than this are read several at a time."""
MOST_ROWS = 1024
"""Blocks that are higher than this are read in parts; GDAL's cache keeps them decoded."""


@dataclass(frozen=True)
class RowEnd:
    """A row of the grid has been cut, and no later window touches these rows of pixels.

    Attributes:
        wanted: ``[rows, width]``: pixels that hold an image and lie in the area of interest.
        skipped: Windows of the row without any such pixel.
    """

    wanted: NDArray[np.bool_]
    skipped: int


@dataclass(frozen=True)
class Batch:
    """Windows in the order of the grid, and the rows of the grid that end among them.

    Attributes:
        images: ``[n, C, h, w]``; n may be 0. float32 as the model wants them, or as stored.
        valid: ``[n, h, w]``, of windows as stored; None if all pixels are, or if the images are normalised.
        steps: What comes one after the other: the column of the next window of ``images``, or the end of a row.
    """

    images: NDArray[Any]
    valid: NDArray[np.bool_] | None
    steps: tuple[int | RowEnd, ...]

    @property
    def windows(self) -> int:
        """Windows that are dealt with when this batch is, those that were skipped included."""
        return sum(step.skipped if isinstance(step, RowEnd) else 1 for step in self.steps)


@dataclass(frozen=True)
class _Canvas:
    """What the windows of a batch are cut into; of normalised windows nobody asks what is valid."""

    images: NDArray[Any]
    valid: NDArray[np.bool_]

    def batch(self, steps: list[int | RowEnd], count: int) -> Batch:
        """The first ``count`` windows."""
        valid = self.valid[:count]
        return Batch(self.images[:count], None if valid.all() else valid, tuple(steps))


@dataclass(frozen=True)
class _Rows:
    values: NDArray[Any]
    valid: NDArray[np.bool_]
    wanted: NDArray[np.bool_]


class StripReader:
    """Makes ``Batch`` items, row of windows by row of windows.

    Args:
        job: The scene, its windows and how they are made.
        block: The columns to work on.
        as_stored: Leave values as they are stored; else they are turned into the model's numbers.

    Attributes:
        read_seconds: Time spent in reading, so far.
    """

    def __init__(self, job: SceneJob, block: ColumnBlock, as_stored: bool) -> None:
        self.read_seconds = 0.0
        self._job, self._grid, self._block = job, job.grid, block
        self._normalizer = None if as_stored else job.normalizer
        self._begin_reading = hand_over_settings()
        grid, shape = job.grid, (job.grid.rows.inside, block.width)
        self._values: NDArray[Any] = np.zeros((len(job.bands), *shape), job.raster.info.dtype)
        self._valid = np.zeros(shape, bool)
        self._wanted = np.zeros(shape, bool)
        self._pad_rows = reflect_index(grid.rows.inside, grid.rows.window)[:, None]
        self._pad_cols = reflect_index(grid.cols.inside, grid.cols.window)[None, :]

    @staticmethod
    def bytes_needed(job: SceneJob, width: int) -> int:
        """Bytes of a band of rows so many pixels wide, and of the rows read ahead of it."""
        rows, info = job.grid.rows, job.raster.info
        row = width * (len(job.bands) * np.dtype(info.dtype).itemsize + 2)
        return row * (rows.inside + 3 * min(rows_at_once(info.block_shape[0]), rows.length))

    def batches(self, first_row: int = 0) -> Generator[Batch]:
        """The windows from row ``first_row`` of the grid on.

        A batch holds whole rows as far as they fit, or a part of one. So batches are the same from wherever a run goes
        on: in half precision, and on GPUs, a model's last digits depend on what it is asked together.
        """
        grid, block, batch_size = self._grid, self._block, self._job.batch_size
        if first_row == len(grid.rows.starts):
            return
        number = 0  # of windows in the canvas
        steps: list[int | RowEnd] = []
        cut: list[Any] = []  # the futures of the windows of a row, where it is cut before its rows are shifted away
        with (
            closing(ahead(self._read(grid.rows.starts[first_row]), 1, "read", self._begin_reading)) as rows,
            ThreadPoolExecutor(self._job.workers, thread_name_prefix="weft-cut") as threads,
        ):
            canvas = self._empty()
            filled, rest = 0, _Rows(self._values[:, :0], self._valid[:0], self._wanted[:0])
            for index in range(first_row, len(grid.rows.starts)):
                while filled < grid.rows.inside:
                    if not len(rest.valid):
                        rest = next(rows)
                    filled, rest = self._take(filled, rest)
                starts = grid.cols.starts[block.first : block.end]
                wanted = [
                    col
                    for col, start in enumerate(starts, start=block.first)
                    if self._wanted[:, start - block.origin :][:, : grid.cols.inside].any()
                ]
                if number + len(wanted) > batch_size and number:
                    yield canvas.batch(steps, number)
                    canvas, number, steps = self._empty(), 0, []
                most = _evenly(len(wanted), batch_size)
                for col in wanted:
                    if number == most:
                        _wait(cut)
                        yield canvas.batch(steps, number)
                        canvas, number, steps = self._empty(), 0, []
                    cut.append(threads.submit(self._cut, col, canvas, number))
                    number += 1
                    steps.append(col)
                _wait(cut)
                count = grid.rows.finished(index) - grid.rows.starts[index]
                steps.append(RowEnd(self._wanted[:count, block.owned].copy(), len(starts) - len(wanted)))
                if not number or len(starts) >= batch_size:
                    yield canvas.batch(steps, number)
                    canvas, number, steps = self._empty() if number else canvas, 0, []
                filled = grid.rows.inside - count
                for band in (self._valid, self._wanted):
                    band[:filled] = band[count:]
                self._values[:, :filled] = self._values[:, count:]
            if steps:
                yield canvas.batch(steps, number)

    def _read(self, top: int) -> Generator[_Rows]:
        """The rows of pixels from ``top`` on, in whole rows of blocks."""
        job, block = self._job, self._block
        (first, left), length = job.origin, job.grid.rows.length
        step = rows_at_once(job.raster.info.block_shape[0])
        while top < length:
            began = time.perf_counter()
            count = min(step - (first + top) % step, length - top)
            area = (first + top, left + block.origin, count, block.width)
            values = job.raster.read(job.bands, *area)
            valid = job.raster.valid(*area, values)
            wanted = valid if job.aoi is None else valid & job.aoi.mask(*area)
            self.read_seconds += time.perf_counter() - began
            yield _Rows(values, valid, wanted)
            top += count

    def _take(self, filled: int, rows: _Rows) -> tuple[int, _Rows]:
        """Adds rows below those that are there; the number there now, and what did not fit."""
        count = min(self._grid.rows.inside - filled, len(rows.valid))
        self._values[:, filled : filled + count] = rows.values[:, :count]
        self._valid[filled : filled + count] = rows.valid[:count]
        self._wanted[filled : filled + count] = rows.wanted[:count]
        return filled + count, _Rows(rows.values[:, count:], rows.valid[count:], rows.wanted[count:])

    def _cut(self, col: int, canvas: _Canvas, number: int) -> None:
        inside = self._grid.cols.inside
        start = self._grid.cols.starts[col] - self._block.origin
        values = self._values[:, :, start : start + inside]
        valid = self._valid[:, start : start + inside]
        image, normalize = canvas.images[number], self._normalizer
        if normalize is None:
            image[:] = self._padded(values)
            canvas.valid[number] = self._padded(valid)
        elif image.shape == values.shape:
            normalize(values, valid, image)
        else:
            image[:] = self._padded(normalize(values, valid))

    def _padded(self, part: NDArray[Any]) -> NDArray[Any]:
        """The part of a window that lies in the scene, reflected into the rest of it."""
        if part.shape[-2:] == self._grid.shape:
            return part
        return part[..., self._pad_rows, self._pad_cols]

    def _empty(self) -> _Canvas:
        shape = (self._job.batch_size, len(self._job.bands), *self._grid.shape)
        if self._normalizer is None:
            return _Canvas(np.empty(shape, self._values.dtype), np.empty((shape[0], *shape[2:]), bool))
        return _Canvas(np.empty(shape, np.float32), np.empty((0, *shape[2:]), bool))


def rows_at_once(block_rows: int) -> int:
    """Rows of pixels that are read at once from a raster whose blocks are so high."""
    if block_rows > MOST_ROWS:
        return LEAST_ROWS
    return block_rows * -(-LEAST_ROWS // block_rows)


def _evenly(windows: int, batch_size: int) -> int:
    """Windows in a batch where a row takes several: 17 are 9 and 8 rather than 16 and 1."""
    batches = -(-windows // batch_size)
    return -(-windows // batches) if batches > 1 else batch_size


def _wait(futures: list[Any]) -> None:
    for future in futures:
        future.result()
    futures.clear()
