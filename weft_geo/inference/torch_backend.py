"""Checkpoints run by torch. With ``gpu_lanes`` the only file of this room that may import it."""

from __future__ import annotations

import hashlib
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from weft_geo.errors import InputError, RunError
from weft_geo.inference.gpu_lanes import GpuLanes
from weft_geo.models import load_checkpoint

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class TorchPredictor:
    """A checkpoint that ``weft_geo.models.save_checkpoint`` wrote.

    On a GPU two batches are under way: while the model works on one, the other is copied there or back (see
    ``GpuLanes``). Two things stay on the CPU. Normalising, which the threads that cut windows do beside the model: what
    it would save, three of the four bytes of a value, takes 0.1 ms a window to copy, and is copied while the model
    works. And blending, whose sums are of integers on the CPU, the same to the bit for any batch and any device count.

    Args:
        path: The ``.safetensors`` file, whole (not an adapter without its trunk).
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``fp32``, or ``bf16`` and ``fp16`` under autocast, the latter on a GPU only. ``auto`` is ``bf16`` on
            a GPU that has it, else ``fp32``.
        threads: CPU threads; None leaves torch's choice.

    Raises:
        CheckpointError: If the file is not such a checkpoint.
        InputError: If the device or precision cannot be had.
    """

    fixed_size = False

    def __init__(self, path: Path, device: str = "auto", precision: str = "auto", threads: int | None = None) -> None:
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        if device != "cpu" and not torch.cuda.is_available():
            raise InputError(f"device {device} was asked for, but torch finds no GPU; give --device cpu")
        if precision == "fp16" and device == "cpu":
            raise InputError("precision fp16 needs a GPU; give fp32 or bf16")
        if threads:
            torch.set_num_threads(threads)
        self.device = device
        on_gpu = device != "cpu"
        if precision == "auto" and on_gpu and torch.cuda.is_bf16_supported():
            precision = "bf16"
        self._dtype = DTYPES.get(precision)
        # Convolutions on tensor cores want the channels innermost.
        self._layout = torch.channels_last if on_gpu else torch.contiguous_format
        self._model = load_checkpoint(path).to(device).to(memory_format=self._layout).eval()
        self._lanes = GpuLanes(torch.device(device)) if on_gpu else None
        self.concurrency = self._lanes.count if self._lanes else 1
        self._most = sys.maxsize
        self.contract = self._model.contract
        self.name = self.contract.name or path.stem
        with path.open("rb") as file:
            self.sha256 = hashlib.file_digest(file, "sha256").hexdigest()

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Maps float32 ``[B, C, H, W]`` to float32 ``[B, K, H, W]``; the background's channel is left out.

        A batch that the GPU's memory does not hold is run in halves, this one and all that follow.

        Raises:
            RunError: If the GPU's memory does not hold a single window.
        """
        parts, first = [], 0
        while first < len(images):
            part = images[first : first + self._most]
            try:
                parts.append(self._run(part))
            except torch.cuda.OutOfMemoryError as error:
                if len(part) == 1:
                    raise RunError(
                        f"the GPU's memory does not hold a window of shape {list(part.shape)}; give a smaller --window"
                    ) from error
                self._most = min(self._most, len(part) // 2)
                torch.cuda.empty_cache()
                continue
            first += len(part)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _run(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        if self._lanes:
            return self._lanes.run(images, self._ask)
        answer: NDArray[np.float32] = self._ask(torch.from_numpy(images)).numpy()
        return answer

    def _ask(self, images: Tensor) -> Tensor:
        """[B, C, H, W] on the device → float32 [B, K, H, W] there."""
        half = nullcontext() if self._dtype is None else torch.autocast(images.device.type, self._dtype)
        with torch.inference_mode(), half:
            given = images.contiguous(memory_format=self._layout)
            probabilities: Tensor = self._model.probabilities(given)[:, -len(self.contract.classes) :]
            return probabilities.float()
