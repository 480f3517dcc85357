"""The stages of a run at work: read and cut ahead of the model, blend and store behind it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from weft_geo.errors import RunError
from weft_geo.inference.backends import Predictor, takes_stored
from weft_geo.inference.blending import RollingBand, to_levels
from weft_geo.inference.job import BLEND_BEHIND, READ_AHEAD, STORE_BEHIND, SceneJob
from weft_geo.inference.journal import Checkpoint, Journal
from weft_geo.inference.layers import Layers
from weft_geo.inference.rows import FinishedRows, RowWriter
from weft_geo.inference.stages import Behind, ahead, several
from weft_geo.inference.stored_windows import Levels, StoredWindows, extremes
from weft_geo.inference.strips import Batch, RowEnd, StripReader
from weft_geo.progress import Progress

ROUNDING = 1e-3
"""How far outside of [0, 1] a probability may lie by rounding, in half precision above all; it is clipped."""


class Run:
    """All windows of a job, block of columns by block of columns.

    Args:
        job: What to do.
        predictor: The model.
        layers: Are given the finished rows.
        journal: Keeps them, and says where to begin.
        tell: Is told how far the run is.

    Attributes:
        resumed: Windows that an earlier run had finished.
        skipped: Windows that hold no wanted pixel.
        model_seconds: Time inside the model, of all batches together.
        read_seconds: Time spent in reading.
    """

    def __init__(self, job: SceneJob, predictor: Predictor, layers: Layers, journal: Journal, tell: Progress) -> None:
        self.resumed = self.skipped = 0
        self.model_seconds = self.read_seconds = 0.0
        self._job, self._predictor, self._layers = job, predictor, layers
        self._journal, self._tell = journal, tell
        self._done = 0
        self._clock = threading.Lock()

    def run(self) -> None:
        """Runs the job to its end.

        Raises:
            RunError: The scene could not be read, the model failed, or rows could not be written.
        """
        job = self._job
        none = np.zeros((len(self._predictor.contract.classes), 0, 0), np.uint32)
        start = self._journal.start or Checkpoint(0, 0, 0, 0, none)
        rows = len(job.grid.rows.starts)
        finished = [rows] * start.block + [start.row]
        self.resumed = sum(
            count * (block.end - block.first) for count, block in zip(finished, job.blocks, strict=False)
        )
        self.skipped, self._done = start.skipped, self.resumed
        if self.resumed:
            self._report()
        for number in range(start.block, len(job.blocks)):
            self._run_block(number, start)
            start = Checkpoint(number + 1, 0, 0, self.skipped, none)

    def _run_block(self, number: int, start: Checkpoint) -> None:
        job, block = self._job, self._job.blocks[number]
        reader = StripReader(job, block, takes_stored(self._predictor))
        with ExitStack() as stack:
            storing = _Storing(job, number, self._layers, self._journal, start, stack)
            store = stack.enter_context(Behind(storing.store, STORE_BEHIND, "store"))
            stack.callback(storing.stop)
            store.put(None)
            blending = _Blending(job, number, self._predictor, self._journal, start, store)
            blend = stack.enter_context(Behind(blending.blend, BLEND_BEHIND, "blend"))
            batches = stack.enter_context(closing(ahead(reader.batches(start.row), READ_AHEAD, "batch")))
            answers = several(self._ask, batches, self._predictor.concurrency, "model")
            for batch, answer in stack.enter_context(closing(answers)):
                blend.put((batch.steps, answer))
                self._done += batch.windows
                self._report()
            blend.finish()
            store.finish()
            storing.finish()
        self.skipped = blending.skipped
        self.read_seconds += reader.read_seconds

    def _ask(self, batch: Batch) -> NDArray[np.float32] | Levels | None:
        """What the model says of a batch, probabilities ``[n, K, h, w]`` or levels; None if there is nothing to ask."""
        if not len(batch.images):
            return None
        began = time.perf_counter()
        answer: NDArray[np.float32] | Levels
        if takes_stored(self._predictor):
            answer = self._predictor.answer(StoredWindows(batch.images, batch.valid, self._job.normalizer))
        else:
            answer = self._predictor(batch.images)
        with self._clock:
            self.model_seconds += time.perf_counter() - began
        return answer

    def _report(self) -> None:
        self._tell("progress", "predict", self._done, self._job.windows, "")


Answer = tuple[tuple[int | RowEnd, ...], NDArray[np.float32] | Levels | None]
"""The steps of a batch, and what the model said of its windows."""


class _Blending:
    """The stage that adds windows up; runs in one thread."""

    def __init__(
        self,
        job: SceneJob,
        number: int,
        predictor: Predictor,
        journal: Journal,
        start: Checkpoint,
        store: Behind[_Rows | None],
    ) -> None:
        self._job, self._number, self._predictor = job, number, predictor
        self._journal, self._store = journal, store
        self._band = RollingBand(job.grid, job.blocks[number], len(predictor.contract.classes))
        if start.row:
            self._band.restore(start.row, start.carry)
        self._row = start.row
        self.skipped = start.skipped

    def blend(self, answer: Answer) -> None:
        steps, said = answer
        windows: Iterator[NDArray[np.uint16]] = iter(())
        if isinstance(said, Levels):
            self._check(steps, said.levels.shape, said.least, said.most)
            windows = iter(said.levels)
        elif said is not None:
            self._check(steps, said.shape, *extremes(said))
            windows = map(to_levels, said)
        for step in steps:
            if not isinstance(step, RowEnd):
                self._band.add(step, next(windows))
                continue
            levels = self._band.finish_row()
            self._row += 1
            self.skipped += step.skipped
            # Only where a batch ends, so that a run that goes on from there asks for the same batches.
            due = step is steps[-1] and self._journal.is_due(self._row == len(self._job.grid.rows.starts))
            checkpoint = Checkpoint(self._number, self._row, 0, self.skipped, self._band.carry()) if due else None
            self._store.put(_Rows(FinishedRows(levels, step.wanted), checkpoint))

    def _check(
        self,
        steps: tuple[int | RowEnd, ...],
        shape: tuple[int, ...],
        least: NDArray[np.float32],
        most: NDArray[np.float32],
    ) -> None:
        """Raises RunError unless the model answered one probability per class and pixel."""
        job, predictor = self._job, self._predictor
        places, row = [], self._row
        for step in steps:
            if isinstance(step, RowEnd):
                row += 1
            else:
                places.append((row, step))
        expected = (len(places), len(predictor.contract.classes), *job.grid.shape)
        fault, window = "", 0
        if shape != expected:
            fault = f"answered {shape}, expected {expected} (batch, classes, height, width)"
        else:
            right = (least >= -ROUNDING) & (most <= 1 + ROUNDING)  # false for NaN
            window = int(right.argmin())
            if not right.all():
                fault = f"answered {least[window]:.4g} to {most[window]:.4g}, which are no probabilities"
        if fault:
            row, col = places[window]
            top, left = job.origin[0] + job.grid.rows.starts[row], job.origin[1] + job.grid.cols.starts[col]
            raise RunError(
                f"the model {predictor.name} {fault}, in the window at row {top}, column {left} of "
                f"{job.raster.info.name}"
            )


@dataclass(frozen=True)
class _Rows:
    """Finished rows on their way to the layers, and what to note when they are there."""

    rows: FinishedRows
    checkpoint: Checkpoint | None


class _Storing:
    """The stage that writes and outlines finished rows; runs in one thread.

    Rows of all blocks but the last wait on disk; those of the last are put beside them and go to the layers.
    """

    def __init__(
        self, job: SceneJob, number: int, layers: Layers, journal: Journal, start: Checkpoint, stack: ExitStack
    ) -> None:
        self._job, self._number, self._layers, self._journal = job, number, layers, journal
        self._is_last = number == len(job.blocks) - 1
        self._beside = [journal.read_rows(left) for left in range(number)] if self._is_last else []
        self._before = start.offset
        self._stopped = False
        self._writer: RowWriter | None = None
        if journal.keeps_rows(self._is_last):
            self._writer = stack.enter_context(journal.write_rows(number, start.offset))

    def store(self, item: _Rows | None) -> None:
        """Stores some rows; None stands for those that an earlier run had finished."""
        if item is None:
            if self._is_last and self._before:
                for lot in self._journal.read_rows(self._number, self._before):
                    if self._stopped:
                        return
                    self._push(lot)
            return
        for lot in item.rows.lots(self._job.lot_rows):
            if self._writer is not None:
                self._writer.append(lot)
            if self._is_last:
                self._push(lot)
        if item.checkpoint is not None and self._writer is not None:
            self._journal.save(item.checkpoint, self._writer)

    def stop(self) -> None:
        """Leaves out the rest of an earlier run's rows: they may be many, and a run that is stopped must end soon."""
        self._stopped = True

    def finish(self) -> None:
        """Makes sure that the next block can rely on this one."""
        if self._writer is not None and not self._is_last:
            self._writer.sync()

    def _push(self, lot: FinishedRows) -> None:
        self._layers.push(FinishedRows.side_by_side([*(next(part) for part in self._beside), lot]))
