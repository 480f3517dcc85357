"""Checkpoints run by torch. The only file of this room that may import it."""

from __future__ import annotations

import hashlib
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from weft_geo.errors import InputError, RunError
from weft_geo.models import load_checkpoint

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class TorchPredictor:
    """A checkpoint that ``weft_geo.models.save_checkpoint`` wrote.

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
    concurrency = 1

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
                self._most = len(part) // 2
                torch.cuda.empty_cache()
                continue
            first += len(part)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _run(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        device = torch.device(self.device)
        half = nullcontext() if self._dtype is None else torch.autocast(device.type, self._dtype)
        on_host = torch.from_numpy(images)
        on_gpu = device.type == "cuda"
        with torch.inference_mode(), half:
            if on_gpu:  # only from page-locked memory can the copy go on while the CPU starts the kernels
                on_host = on_host.pin_memory()
            given = on_host.to(device, non_blocking=on_gpu, memory_format=self._layout)
            probabilities = self._model.probabilities(given)[:, -len(self.contract.classes) :].float()
            output: NDArray[np.float32] = probabilities.cpu().numpy()
        return output
