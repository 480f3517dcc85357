"""How fast a run is and what it takes."""

from __future__ import annotations

import time
from typing import Any

import lightning.pytorch as L
import torch

from weft_geo.geo.memory import peak_memory_bytes

WARM_UP_STEPS = 3


class Meter(L.Callback):  # type: ignore[misc]  # lightning is not type-checked here
    """Measures training, without validation and without the first steps, which build caches and pick kernels.

    Args:
        batch_size: images of a batch.

    Attributes:
        peak_memory_bytes: of the GPU's allocator, or the largest resident set of the process where there is no GPU.
        device: what it ran on.
    """

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size
        self.peak_memory_bytes = 0
        self.device = "cpu"
        self._seen = self._images = 0
        self._seconds = self._began = 0.0

    @property
    def images_per_second(self) -> float | None:
        """Training throughput of this process; None before the warm-up is over."""
        return self._images / self._seconds if self._images else None

    def on_train_start(self, trainer: Any, task: Any) -> None:
        """Forget what came before."""
        if task.device.type == "cuda":
            self.device = torch.cuda.get_device_name(task.device)
            torch.cuda.reset_peak_memory_stats(task.device)

    def on_train_batch_start(self, trainer: Any, task: Any, batch: Any, batch_idx: int) -> None:
        """Start the clock."""
        self._wait(task)
        self._began = time.perf_counter()

    def on_train_batch_end(self, trainer: Any, task: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Stop it."""
        self._wait(task)
        self._seen += 1
        if self._seen > WARM_UP_STEPS:
            self._images += self.batch_size
            self._seconds += time.perf_counter() - self._began

    def on_train_end(self, trainer: Any, task: Any) -> None:
        """Read the peak."""
        if task.device.type == "cuda":
            self.peak_memory_bytes = torch.cuda.max_memory_allocated(task.device)
        else:
            self.peak_memory_bytes = peak_memory_bytes()

    def _wait(self, task: Any) -> None:
        if task.device.type == "cuda":
            torch.cuda.synchronize(task.device)
