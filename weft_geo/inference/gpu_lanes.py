"""Batches to a GPU and back while the model works on another batch.

A copy goes on beside the kernels only from or to page-locked memory, and only in another stream than theirs. So each
lane has a stream for its copies and two page-locked buffers that it keeps; the model's kernels all go into the device's
own stream, where batches follow each other and take the memory of one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

LANES = 2
"""One batch in the model, one on its way; a third would only take memory."""


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

    def run(self, images: NDArray[np.float32], ask: Callable[[Tensor], Tensor]) -> NDArray[np.float32]:
        """Copies a batch to the GPU, asks the model, and copies its answer back; waits if no lane is free."""
        lane = self._free.get()
        try:
            return lane.run(images, ask, self._kernels)
        finally:
            self._free.put(lane)


class _Lane:
    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._copies: Any = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._there = self._back = torch.empty(0)

    def run(
        self, images: NDArray[np.float32], ask: Callable[[Tensor], Tensor], one_at_a_time: threading.Lock
    ) -> NDArray[np.float32]:
        kernels = torch.cuda.current_stream(self._device)
        self._there = _page_locked(self._there, images.shape)
        host = _shaped(self._there, images.shape)
        host.copy_(torch.from_numpy(images))
        with torch.cuda.stream(self._copies):
            given = host.to(self._device, non_blocking=True)
        with one_at_a_time:  # so that the answer waits for its own kernels and not for the next batch's
            kernels.wait_stream(self._copies)
            answer = ask(given)
            done = kernels.record_event()
        given.record_stream(kernels)  # its memory is not given away before the kernels are through with it
        self._back = _page_locked(self._back, answer.shape)
        taken = _shaped(self._back, answer.shape)
        self._copies.wait_event(done)
        with torch.cuda.stream(self._copies):
            taken.copy_(answer, non_blocking=True)
        answer.record_stream(self._copies)
        self._copies.synchronize()
        return np.array(taken.numpy())  # the buffer is used again


def _page_locked(buffer: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The buffer, or a larger one if it does not hold so many values."""
    size = int(np.prod(shape))
    return buffer if buffer.numel() >= size else torch.empty(size, pin_memory=True)


def _shaped(buffer: Tensor, shape: tuple[int, ...]) -> Tensor:
    return buffer[: int(np.prod(shape))].view(shape)
