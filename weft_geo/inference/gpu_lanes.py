"""Batches to a GPU and back while the model works on another batch.

A copy goes on beside the kernels only from or to page-locked memory, and only in another stream than theirs. So each
lane has a stream for its copies and page-locked buffers that it keeps; the model's kernels all go into the device's own
stream, where batches follow each other and take the memory of one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

LANES = 2
"""One batch in the model, one on its way; a third would only take memory."""

Ask = Callable[..., Sequence[Tensor]]
"""Is given the arrays of a batch on the device, and answers with tensors there."""


class GpuLanes:
    """Runs batches from several threads on one GPU.

    Args:
        device: The GPU.

    Attributes:
        count: Batches at the same time.
    """

    def __init__(self, device: torch.device) -> None:
        self.count = LANES
        self._kernels = threading.Lock()
        self._free: SimpleQueue[_Lane] = SimpleQueue()
        for _ in range(LANES):
            self._free.put(_Lane(device))

    def run(self, arrays: Sequence[NDArray[Any]], ask: Ask) -> list[NDArray[Any]]:
        """Copies a batch to the GPU, asks the model, and copies its answers back; waits if no lane is free."""
        lane = self._free.get()
        try:
            return lane.run(arrays, ask, self._kernels)
        finally:
            self._free.put(lane)


class _Lane:
    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._copies: Any = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._there: list[_PageLocked] = []
        self._back: list[_PageLocked] = []

    def run(self, arrays: Sequence[NDArray[Any]], ask: Ask, one_at_a_time: threading.Lock) -> list[NDArray[Any]]:
        kernels = torch.cuda.current_stream(self._device)
        batch = [torch.from_numpy(array) for array in arrays]
        host = [buffer.like(part) for buffer, part in zip(_enough(self._there, len(batch)), batch, strict=True)]
        for locked, part in zip(host, batch, strict=True):
            locked.copy_(part)
        with torch.cuda.stream(self._copies):
            given = [locked.to(self._device, non_blocking=True) for locked in host]
        with one_at_a_time:  # so that the answers wait for their own kernels and not for the next batch's
            kernels.wait_stream(self._copies)
            answers = ask(*given)
            done = kernels.record_event()
        for part in given:
            part.record_stream(kernels)  # its memory is not given away before the kernels are through with it
        taken = [buffer.like(part) for buffer, part in zip(_enough(self._back, len(answers)), answers, strict=True)]
        self._copies.wait_event(done)
        with torch.cuda.stream(self._copies):
            for locked, answer in zip(taken, answers, strict=True):
                locked.copy_(answer, non_blocking=True)
        for answer in answers:
            answer.record_stream(self._copies)
        self._copies.synchronize()
        return [np.array(locked.numpy()) for locked in taken]  # the buffers are used again


class _PageLocked:
    """Page-locked memory that grows to what is asked of it."""

    def __init__(self) -> None:
        self._bytes = torch.empty(0, dtype=torch.uint8)

    def like(self, part: Tensor) -> Tensor:
        """A tensor of the same shape and type in it."""
        size = part.numel() * part.element_size()
        if self._bytes.numel() < size:
            self._bytes = torch.empty(size, dtype=torch.uint8, pin_memory=True)
        return self._bytes[:size].view(part.dtype).view(part.shape)


def _enough(buffers: list[_PageLocked], count: int) -> list[_PageLocked]:
    """The first ``count`` buffers of a list, which grows if it has not so many."""
    buffers.extend(_PageLocked() for _ in range(count - len(buffers)))
    return buffers[:count]
