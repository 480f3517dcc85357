"""Scores a folder of probability maps against a folder of masks, in parallel processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from weft_geo.datasets.labels import IGNORE
from weft_geo.datasets.layouts import Pair, pair_folders
from weft_geo.datasets.pictures import read_map, read_mask
from weft_geo.errors import DatasetError
from weft_geo.metrics.saliency import MapScores, Normalization, score_map, summarize
from weft_geo.progress import Progress, silent

Scored = tuple[MapScores, bool]
StartTask = Callable[[], Future[Scored]]
STAGE = "score"
_WAITING = 4
"""Tasks a process may have waiting, so that maps that were computed do not pile up in memory."""


@dataclass(frozen=True)
class Evaluation:
    """How good a set of maps is.

    Attributes:
        figures: by name; see `saliency`.
        scores: of every map, in the order of the names.
        normalize: how maps were scaled.
        resized: maps that did not have the size of their truth.
        unmatched: predictions without a truth, which took no part.
        peak: what stands for 1 in 8-bit maps.
    """

    figures: dict[str, float]
    scores: list[MapScores]
    normalize: Normalization
    resized: int
    unmatched: int = 0
    peak: float = 255


def score_folders(
    predictions: str | Path,
    truth: str | Path,
    normalize: Normalization = "minmax",
    workers: int | None = None,
    progress: Progress | None = None,
) -> tuple[Evaluation, list[Pair]]:
    """Score every map that has a truth of the same name.

    Maps of another size are resized to the truth's, bilinearly.

    Args:
        predictions: folder of maps: 8-bit, 16-bit, or float on 0…1; masks of 0 and 1 count as 0 and 255.
        truth: folder of masks, 0 and 255, or 0 and 1 (then 255 is unknown).
        normalize: how maps are scaled; see `saliency`.
        workers: processes; None for one per core.
        progress: hears of the progress.

    Returns:
        The evaluation, and the files: `image` is the map and `mask` its truth, in the order of the scores.

    Raises:
        DatasetError: a folder is missing or empty, a truth has no map, or a file cannot be read.
    """
    found = pair_folders(predictions, truth)
    if found.lone_masks:
        more = f" and {len(found.lone_masks) - 1} more" if len(found.lone_masks) > 1 else ""
        raise DatasetError(
            f"{predictions} has no map for {found.lone_masks[0]}{more}; a figure of the rest alone would mislead. Add "
            "maps of the same names, or take those masks out"
        )
    peak = _find_peak(found.pairs)
    with scoring_pool(workers) as pool:
        tasks = (partial(pool.submit, _score_files, pair, normalize, peak) for pair in found.pairs)
        results = pool.gather(tasks, len(found.pairs), progress)
    scores = [score for score, _ in results]
    resized = sum(changed for _, changed in results)
    return Evaluation(summarize(scores), scores, normalize, resized, len(found.lone_images), peak), found.pairs


def resize_map(values: NDArray[np.float32], height: int, width: int) -> NDArray[np.float64]:
    """Resize a map [h, w] to [height, width] bilinearly, without smoothing, as the field's toolboxes do (OpenCV)."""
    import cv2

    if values.shape == (height, width):
        return values.astype(np.float64)
    resized: NDArray[np.float32] = cv2.resize(values, (width, height), interpolation=cv2.INTER_LINEAR)
    return resized.clip(0, 1).astype(np.float64)


def score_against(name: str, values: NDArray[np.float32], truth: Path, normalize: Normalization) -> Scored:
    """Score a map [h, w] on 0…1 against the mask in a file; also says whether the map was resized."""
    mask = read_mask(truth)
    known = mask != IGNORE
    resized = values.shape != mask.shape
    probability = resize_map(values, *mask.shape)
    return score_map(name, probability, mask == 1, normalize, None if known.all() else known), resized


class ScoringPool:
    """Processes that score maps; at most a few tasks wait at a time."""

    def __init__(self, executor: ProcessPoolExecutor, workers: int) -> None:
        self._executor, self._limit = executor, workers * _WAITING

    def submit(self, function: Callable[..., Scored], *arguments: object) -> Future[Scored]:
        """Start a task."""
        return self._executor.submit(function, *arguments)

    def gather(self, tasks: Iterable[StartTask], total: int, progress: Progress | None) -> list[Scored]:
        """Start tasks, each when there is room for it; the results are in the order of the tasks."""
        tell = progress or silent
        tell("start", STAGE, 0, total, "")
        order: dict[Future[Scored], int] = {}
        results: dict[int, Scored] = {}
        waiting: set[Future[Scored]] = set()

        def collect(at_most: int) -> None:
            nonlocal waiting
            while len(waiting) > at_most:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    results[order[future]] = future.result()
                tell("progress", STAGE, len(results), total, "")

        for number, start in enumerate(tasks):
            future = start()
            order[future] = number
            waiting.add(future)
            collect(self._limit)
        collect(0)
        tell("done", STAGE, len(results), total, "")
        return [results[number] for number in range(len(results))]


@contextmanager
def scoring_pool(workers: int | None = None) -> Iterator[ScoringPool]:
    """Processes that end with the block, also when it ends in an error or an interruption."""
    number = workers or os.cpu_count() or 1
    executor = ProcessPoolExecutor(number, get_context("spawn"), _begin)
    try:
        yield ScoringPool(executor, number)
    finally:
        executor.shutdown(cancel_futures=True)


def _begin() -> None:
    """One thread each; an interruption is the parent's to handle."""
    import cv2

    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _score_files(pair: Pair, normalize: Normalization, peak: float) -> Scored:
    return score_against(pair.name, read_map(pair.image, peak), pair.mask, normalize)


def _find_peak(pairs: list[Pair]) -> float:
    """1 if the maps are masks of 0 and 1, by a look at some of them; else 255."""
    step = max(len(pairs) // 24, 1)
    brightest = max((read_map(pair.image).max(initial=0) for pair in pairs[::step]), default=0)
    return 1.0 if 0 < brightest <= 1.5 / 255 else 255.0
