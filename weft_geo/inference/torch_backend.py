"""Checkpoints run by torch. The only file of this room that may import it."""

from __future__ import annotations

import hashlib
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
        precision: ``fp32`` or ``auto``; ``bf16`` and ``fp16`` run under autocast, the latter on a GPU only.
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
        self._dtype = DTYPES.get(precision)
        self._model = load_checkpoint(path).to(device).eval()
        self.contract = self._model.contract
        self.name = self.contract.name or path.stem
        with path.open("rb") as file:
            self.sha256 = hashlib.file_digest(file, "sha256").hexdigest()

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Maps float32 ``[B, C, H, W]`` to float32 ``[B, K, H, W]``; the background's channel is left out.

        Raises:
            RunError: If the GPU's memory runs out.
        """
        device = torch.device(self.device)
        half = nullcontext() if self._dtype is None else torch.autocast(device.type, self._dtype)
        try:
            with torch.inference_mode(), half:
                probabilities = self._model.probabilities(torch.from_numpy(images).to(device))
                output: NDArray[np.float32] = probabilities[:, -len(self.contract.classes) :].float().cpu().numpy()
        except torch.cuda.OutOfMemoryError as error:
            raise RunError(
                f"the GPU's memory does not hold a batch of shape {list(images.shape)}; "
                "give a smaller --batch-size or --window"
            ) from error
        return output
