"""Checkpoints run by torch. With ``gpu_lanes`` and ``torch_windows`` the only file of this room that may import it."""

from __future__ import annotations

import hashlib
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from weft_geo.errors import InputError, RunError, WeftGeoError, one_line
from weft_geo.geo.processors import threads_asked_for
from weft_geo.inference.gpu_lanes import Ask, GpuLanes
from weft_geo.inference.halves import Halves, MemoryShortError, tells_of_memory
from weft_geo.inference.stored_windows import Levels, StoredWindows
from weft_geo.inference.torch_windows import mean_over, normalize, portable, to_levels
from weft_geo.models import load_checkpoint
from weft_geo.models.devices import choose_device

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class TorchPredictor:
    """A checkpoint that ``weft_geo.models.save_checkpoint`` wrote.

    On a GPU two batches are under way: while the model works on one, the other is copied there or back (see
    ``GpuLanes``). Windows travel as they are stored and are normalised there; their answers are clipped and rounded
    there and come back as 16-bit levels. What is left of blending, the weighted sum of integers, is the CPU's: so
    several GPUs can share out the windows of one scene in any order, and the sum is the same to the bit.

    Args:
        path: The ``.safetensors`` file, whole (not an adapter without its trunk).
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``fp32``, or ``bf16`` and ``fp16`` under autocast, the latter on a GPU only. ``auto`` is ``bf16`` on
            a GPU that has it, else ``fp32``.
        threads: CPU threads; None takes ``WEFT_GEO_THREADS``, or else torch's choice.

    Raises:
        CheckpointError: If the file is not such a checkpoint.
        InputError: If the device or precision cannot be had.
    """

    fixed_size = False

    def __init__(self, path: Path, device: str = "auto", precision: str = "auto", threads: int | None = None) -> None:
        device = choose_device(device)
        if precision == "fp16" and device == "cpu":
            raise InputError("precision fp16 needs a GPU; give fp32 or bf16")
        if count := threads_asked_for(threads):
            torch.set_num_threads(count)
        self.device = device
        on_gpu = device != "cpu"
        if precision == "auto" and on_gpu and _has_bf16(device):
            precision = "bf16"
        if precision == "fp32" and on_gpu:
            torch.backends.cudnn.allow_tf32 = False  # which has the range of fp32 and the digits of fp16
        self._dtype = DTYPES.get(precision)
        # Convolutions on tensor cores want the channels innermost.
        self._layout = torch.channels_last if on_gpu else torch.contiguous_format
        try:
            self._model = load_checkpoint(path).to(device).to(memory_format=self._layout).eval()
        except RuntimeError as error:
            if on_gpu and tells_of_memory(error):
                raise RunError(f"the GPU's memory does not hold {path.name}; give --device cpu") from error
            raise
        self._lanes = GpuLanes(torch.device(device)) if on_gpu else None
        self.concurrency = self._lanes.count if self._lanes else 1
        self.takes_stored = on_gpu
        self._halves = Halves(torch.cuda.empty_cache)
        self.contract = self._model.contract
        self.name = self.contract.name or path.stem
        with path.open("rb") as file:
            self.sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        if self._dtype is not None:
            self.sha256 += f"+{precision}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} on {self.device}: {self.contract.summary}>"

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Maps float32 ``[B, C, H, W]`` to float32 ``[B, K, H, W]``; the background's channel is left out.

        A batch that the GPU's memory does not hold is run in halves, this one and all that follow.

        Raises:
            RunError: If the GPU's memory does not hold a single window.
        """
        (probabilities,) = self._run([images], lambda given: (self._ask(given),))
        return probabilities

    def answer(self, windows: StoredWindows) -> Levels:
        """Normalises, calls the model and rounds its answer, all on the device; in halves like a call.

        Raises:
            RunError: If the GPU's memory does not hold a single window.
        """

        def ask(values: Tensor, valid: Tensor | None = None) -> tuple[Tensor, ...]:
            with torch.inference_mode():
                images = normalize(values, valid, windows.normalizer, windows.values.dtype)
                said = mean_over(windows.symmetries, self._ask, images)
                return to_levels(said), said.amin((1, 2, 3)), said.amax((1, 2, 3))

        batch = [portable(windows.values)] + ([] if windows.valid is None else [windows.valid])
        levels, least, most = self._run(batch, ask)
        return Levels(levels.view(np.uint16), least, most)

    def _run(self, batch: list[NDArray[Any]], ask: Ask) -> list[NDArray[Any]]:
        """What ``ask`` answers to the arrays of a batch, in as many parts as the memory demands."""
        return self._halves.run(batch, lambda part: self._run_whole(part, ask))

    def _run_whole(self, batch: list[NDArray[Any]], ask: Ask) -> list[NDArray[Any]]:
        try:
            if self._lanes:
                return self._lanes.run(batch, ask)
            return [answer.numpy() for answer in ask(*map(torch.from_numpy, batch))]
        except WeftGeoError:
            raise
        except RuntimeError as error:  # also where torch could say more, see ``halves``
            if tells_of_memory(error):
                raise MemoryShortError from error
            raise RunError(
                f"the model {self.name} failed on a batch of shape {list(batch[0].shape)}: {one_line(error)}"
            ) from error

    def _ask(self, images: Tensor) -> Tensor:
        """[B, C, H, W] on the device → float32 [B, K, H, W] there."""
        half = nullcontext() if self._dtype is None else torch.autocast(images.device.type, self._dtype)
        with torch.inference_mode(), half:
            given = images.contiguous(memory_format=self._layout)
            probabilities: Tensor = self._model.probabilities(given)[:, -len(self.contract.classes) :]
            return probabilities.float()


def _has_bf16(device: str) -> bool:
    """Whether the GPU calculates in bfloat16 itself; older ones do so by way of float32."""
    with torch.cuda.device(device):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
