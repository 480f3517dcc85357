"""Models as ONNX files, run by ONNX Runtime. The backend of the base installation."""

from __future__ import annotations

import hashlib
import os
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from weft_geo.errors import CheckpointError, ContractError, InputError, InterruptedRunError, RunError, one_line
from weft_geo.geo.contract import METADATA_KEY, NAME_KEY, ModelContract
from weft_geo.geo.processors import count_cores, threads_asked_for
from weft_geo.inference.halves import Arrays, Halves, MemoryShortError, tells_of_memory

WEIGHTS_FOLDER = "session.model_external_initializers_file_folder_path"
"""ONNX Runtime's option: where weights lie that are not in the model. Else it looks in the working directory."""

MOST_BATCHES = 4
"""Batches at the same time on a CPU at most; each takes memory of its own."""


class OnnxPredictor:
    """An ONNX model that carries its contract in ``metadata_props``.

    It has one input ``[B, C, H, W]`` and one output ``[B, K, H, W]``, both float32; any of B, H and W may be fixed.

    Args:
        model: The file's bytes.
        source: Its path, for messages.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``auto`` or ``fp32``; an ONNX file has its precision inside. ``fp32`` also keeps a GPU from TF32.
        threads: CPU threads; None takes ``WEFT_GEO_THREADS``, or else one a core that this process may use.

    On a CPU several batches run at the same time, each on a thread of its own as far as there are threads: a graph of
    thousands of small nodes gains less from threads inside a node, which must all wait for each other after each.

    Raises:
        CheckpointError: If the bytes are no ONNX model, or one that has its weights in another file: its SHA-256
            would not tell whether they have changed.
        ContractError: If the contract is missing or contradicts the model.
        InputError: If the device or precision cannot be had.
    """

    def __init__(
        self, model: bytes, source: str, device: str = "auto", precision: str = "auto", threads: int | None = None
    ) -> None:
        if precision not in ("auto", "fp32"):
            raise InputError(f"{source} is an ONNX model and runs as it was exported; it cannot be run as {precision}")
        self.device = _choose_device(device)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # its errors reach the user once, as ours
        options.add_session_config_entry(WEIGHTS_FOLDER, os.devnull)
        options.intra_op_num_threads, self.concurrency = _share_threads(threads_asked_for(threads) or count_cores())
        on_gpu = None if self.device == "cpu" else _start_on_gpu(model, options, self.device, precision)
        if on_gpu is None and self.device != "cpu":
            if device != "auto":
                raise InputError(f"ONNX Runtime could not start CUDA for device {device}; weft-geo doctor says more")
            self.device = "cpu"
        try:
            self._session = on_gpu or onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime raises a dozen types of its own, all derived from Exception alone
            raise CheckpointError(f"{source} {_describe_failure(error, source)}") from error
        if self.device != "cpu":
            self.concurrency = 1
        self._halves = Halves()
        self.sha256 = hashlib.sha256(model).hexdigest()
        properties = self._session.get_modelmeta().custom_metadata_map
        if METADATA_KEY not in properties:
            raise ContractError(
                f"{source} does not say what it expects: its metadata_props lack {METADATA_KEY!r}. "
                "Export it with weft-geo export, or add ModelContract(…).to_json() under this key"
            )
        self.contract = ModelContract.from_json(properties[METADATA_KEY])
        self.name = properties.get(NAME_KEY) or self.contract.name or source
        if len(self._session.get_inputs()) != 1 or len(self._session.get_outputs()) != 1:
            raise ContractError(f"{source} must have one input and one output")
        self._input = self._session.get_inputs()[0]
        self._fixed_batch, self.fixed_size = _check_shapes(source, self._input, self.contract)
        _check_classes(source, self._session.get_outputs()[0], self.contract)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} on {self.device}: {self.contract.summary}>"

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Runs the model on float32 ``[B, C, H, W]``; on a GPU, in halves if its memory does not hold the batch.

        Raises:
            RunError: If ONNX Runtime fails, for instance for want of memory.
        """
        if self._fixed_batch is None:
            (answer,) = self._halves.run([images], self._run_part)
            return answer
        parts = []
        for first in range(0, len(images), self._fixed_batch):
            part = images[first : first + self._fixed_batch]
            lacking = self._fixed_batch - len(part)
            padded = np.concatenate([part, np.zeros((lacking, *part.shape[1:]), np.float32)]) if lacking else part
            parts.append(self._run(padded)[: len(part)])
        return np.concatenate(parts)

    def _run_part(self, batch: Arrays) -> Arrays:
        (images,) = batch
        try:
            return [self._run(images)]
        except RunError as error:
            if self.device != "cpu" and tells_of_memory(error.__cause__ or error):
                raise MemoryShortError from error
            raise

    def _run(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        try:
            output: NDArray[np.float32] = self._session.run(None, {self._input.name: images})[0]
        except InterruptedRunError:  # raised by a signal, whichever line it meets
            raise
        except Exception as error:  # see __init__
            raise RunError(
                f"the model {self.name} failed on a batch of shape {list(images.shape)}: {one_line(error)}. "
                "If memory ran out, give a smaller --batch-size or --window"
            ) from error
        return output


def _choose_device(device: str) -> str:
    has_cuda = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    if device == "cpu" or (device == "auto" and not has_cuda):
        return "cpu"
    if not has_cuda:
        raise InputError(
            f"device {device} was asked for, but this onnxruntime has no CUDA. "
            "Install onnxruntime-gpu in place of onnxruntime, or give --device cpu"
        )
    return device if device.startswith("cuda:") else "cuda"


def _start_on_gpu(model: bytes, options: Any, device: str, precision: str) -> Any:
    """A session on a GPU; None if CUDA does not start there, for instance since its libraries are missing.

    ONNX Runtime would fall back to the CPU, also in the middle of a run.
    """
    with redirect_stdout(sys.stderr):
        if hasattr(onnxruntime, "preload_dlls"):  # from 1.21 on: finds CUDA where pip has put it
            onnxruntime.preload_dlls()
    # The default tries every way to convolve, again for every size of batch, and may choose another one each time.
    cuda = {"device_id": device.partition(":")[2] or "0", "cudnn_conv_algo_search": "HEURISTIC"}
    if precision == "fp32":
        cuda["use_tf32"] = "0"
    providers = [("CUDAExecutionProvider", cuda), "CPUExecutionProvider"]
    try:
        session = onnxruntime.InferenceSession(model, options, providers=providers, enable_fallback=0)
    except Exception:  # as where it is started on the CPU, which says what is wrong if it is the model
        return None
    return session if "CUDAExecutionProvider" in session.get_providers() else None


def _describe_failure(error: Exception, source: str) -> str:
    if "external data" in str(error).lower():
        whole = str(Path(source).with_suffix(".whole.onnx"))
        return f"has its weights in another file; make them one (python: onnx.save(onnx.load({source!r}), {whole!r}))"
    return f"cannot be loaded as an ONNX model: {one_line(error)}"


def _share_threads(threads: int) -> tuple[int, int]:
    """Threads of ONNX Runtime's pool, of which the caller's is one, and batches at the same time."""
    batches = min(threads, MOST_BATCHES)
    return threads - batches + 1, batches


def _check_shapes(source: str, tensor: Any, contract: ModelContract) -> tuple[int | None, bool]:
    """The fixed batch size or None, and whether height and width are fixed."""
    if tensor.type != "tensor(float)" or len(tensor.shape) != 4:
        raise ContractError(f"{source} must take float32 [B, C, H, W], but takes {tensor.type} {tensor.shape}")
    batch, bands, height, width = (size if isinstance(size, int) else None for size in tensor.shape)
    if bands is not None and bands != contract.bands:
        raise ContractError(f"{source} takes {bands} bands, but its contract says {contract.bands}")
    fixed = height is not None or width is not None
    if fixed and (height, width) != (contract.window, contract.window):
        raise ContractError(
            f"{source} takes {tensor.shape[2]} × {tensor.shape[3]} px, "
            f"but its contract says a window of {contract.window} px"
        )
    return batch, fixed


def _check_classes(source: str, tensor: Any, contract: ModelContract) -> None:
    classes = tensor.shape[1] if len(tensor.shape) == 4 else None
    if isinstance(classes, int) and classes != len(contract.classes):
        raise ContractError(
            f"{source} gives {classes} channels, but its contract names {len(contract.classes)} classes"
        )
