"""Scenes on this machine: large ones one after the other, small ones several at the same time.

A scene of a window or two cannot keep a model busy that takes several batches at once, and while it is opened and
written nothing is asked of the model at all. So such scenes overlap; together they ask no more of the model than one
may.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weft_geo.errors import InterruptedRunError, WeftGeoError
from weft_geo.geo.gdal_settings import hand_over_settings
from weft_geo.geo.raster import open_raster
from weft_geo.inference.backends import Predictor, answer_here, takes_stored
from weft_geo.inference.interrupts import terminate_as_error
from weft_geo.inference.ledger import Entry, Ledger, SceneTask, choose_missing, run_scene
from weft_geo.inference.stages import ahead, several
from weft_geo.inference.stored_windows import Levels, StoredWindows
from weft_geo.progress import Progress

SMALL_PIXELS = 1 << 22
"""Scenes of at most so many pixels, 2,048² for instance, are small: they end soon and take little memory."""


def run_here(
    tasks: Sequence[SceneTask],
    predictor: Predictor,
    options: dict[str, Any],
    book: Ledger,
    overwrite: bool,
    progress: Progress | None,
) -> Generator[Entry]:
    """Runs scenes; entries come as scenes end, in their order. For the arguments see ``run_fleet``.

    Small scenes overlap if the model takes several batches at the same time and no limit of memory is given, which
    holds for a scene. Then ``progress`` is told of scenes, else of windows.
    """
    missing = choose_missing(tasks, book, predictor.sha256 or predictor.name, options, overwrite)
    if predictor.concurrency == 1 or options.get("max_memory") is not None:
        for task in missing:
            yield run_scene(task, predictor, options, progress)
        return
    overlap = _Overlap(predictor, options, progress, len(missing))
    # In a thread of its own: what the main one sets to look at a scene far away would hold for those under way, too.
    looks = ahead(((task, _is_small(task)) for task in missing), 1, "look", hand_over_settings())
    with closing(looks):
        for small, group in groupby(looks, key=itemgetter(1)):
            scenes = (task for task, _ in group)
            yield from overlap.run(scenes) if small else overlap.run_alone(scenes)


def _is_small(task: SceneTask) -> bool:
    try:
        with open_raster(task.scene) as raster:
            return raster.info.height * raster.info.width <= SMALL_PIXELS
    except WeftGeoError:
        return True  # it ends at once


class _Overlap:
    """Scenes that share a model, and what they tell."""

    def __init__(self, predictor: Predictor, options: dict[str, Any], progress: Progress | None, total: int) -> None:
        self._predictor, self._shared = predictor, _Shared(predictor)
        self._options, self._progress = options, progress
        self._done, self._total = 0, total
        self._telling = threading.Lock()
        self._stopped = threading.Event()

    def run_alone(self, tasks: Iterable[SceneTask]) -> Iterator[Entry]:
        for task in tasks:
            yield run_scene(task, self._predictor, self._options, self._progress)
            self._done += 1

    def run(self, tasks: Iterable[SceneTask]) -> Iterator[Entry]:
        self._tell("start", "scenes", self._done, self._total, f"{self._total} scenes")
        # One more than the model takes: it is opened or written while the others are in the model.
        entries = several(
            partial(run_scene, predictor=self._shared, options=self._options, progress=self._heed),
            tasks,
            self._predictor.concurrency + 1,
            "scene",
            begin=hand_over_settings(),
            abandon=self._stopped.set,
        )
        with terminate_as_error(), closing(entries):
            for task, entry in entries:
                self._done += 1
                self._tell("progress", "scenes", self._done, self._total, task.scene)
                yield entry

    def _heed(self, event: str, stage: str, done: int, total: int, message: str) -> None:
        """Ends a scene whose run has been given up, and passes on what its user should know."""
        if self._stopped.is_set():
            raise InterruptedRunError("the run was given up; no output was written")
        if event == "warning":
            self._tell(event, stage, done, total, message)

    def _tell(self, event: str, stage: str, done: int, total: int, message: str) -> None:
        if self._progress is not None:
            with self._telling:
                self._progress(event, stage, done, total, message)


class _Shared:
    """A predictor of which several scenes together ask no more than one may."""

    def __init__(self, predictor: Predictor) -> None:
        self.contract, self.name, self.sha256 = predictor.contract, predictor.name, predictor.sha256
        self.device, self.fixed_size = predictor.device, predictor.fixed_size
        self.concurrency, self.takes_stored = predictor.concurrency, takes_stored(predictor)
        self._predictor = predictor
        self._room = threading.BoundedSemaphore(predictor.concurrency)

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        with self._room:
            return self._predictor(images)

    def answer(self, windows: StoredWindows) -> Levels:
        with self._room:
            return answer_here(self._predictor, windows)
