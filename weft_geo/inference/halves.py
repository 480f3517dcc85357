"""Batches that the memory of a GPU does not hold, in halves."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weft_geo.errors import RunError

Arrays = list[NDArray[Any]]

SIGNS = (
    "out of memory",
    "Failed to allocate memory",
    "ALLOC_FAILED",
    "CUBLAS_STATUS_NOT_INITIALIZED",
    "unable to find an engine",
)
"""What CUDA, cuBLAS, cuDNN, torch and ONNX Runtime say, in errors of their own or of no special type, where it was the
memory that did not do."""


class MemoryShortError(Exception):
    """The memory does not hold the batch."""


def tells_of_memory(error: BaseException) -> bool:
    """Whether a backend's error means that its memory did not do."""
    return any(sign.lower() in str(error).lower() for sign in SIGNS)


class Halves:
    """Runs batches, in as many parts as the memory demands; what it has learnt of that holds for all that follow.

    Args:
        give_back: Called before a smaller part is tried.
    """

    def __init__(self, give_back: Callable[[], None] = lambda: None) -> None:
        self.most = sys.maxsize
        self._give_back = give_back

    def run(self, batch: Sequence[NDArray[Any]], ask: Callable[[Arrays], Arrays]) -> Arrays:
        """What a model answers to the arrays of a batch.

        Args:
            batch: Of the same length each.
            ask: Raises ``MemoryShortError`` if a part of that length is too much.

        Raises:
            RunError: The memory does not hold a single window.
        """
        answers, first, count = [], 0, len(batch[0])
        while first < count:
            part = [array[first : first + self.most] for array in batch]
            try:
                answers.append(ask(part))
            except MemoryShortError as error:
                if len(part[0]) == 1:
                    raise RunError(
                        f"the GPU's memory does not hold a window of shape {list(part[0].shape)}; give a smaller "
                        "--window"
                    ) from error
            else:
                first += len(part[0])
                continue
            # Not above: until its handler ends, the error holds all that the batch had on the GPU.
            self.most = min(self.most, len(part[0]) // 2)
            self._give_back()
        return answers[0] if len(answers) == 1 else [np.concatenate(some) for some in zip(*answers, strict=True)]
