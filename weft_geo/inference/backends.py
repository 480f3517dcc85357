"""What the engine asks of a model, and how a model is found by name or file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from queue import SimpleQueue
from typing import Protocol, TypeGuard

import numpy as np
from numpy.typing import NDArray

from weft_geo.errors import CheckpointError, InputError, MissingExtraError, UnknownNameError
from weft_geo.geo.access import cannot_be_looked_into, is_file, is_folder, is_there, what_hinders
from weft_geo.geo.contract import ModelContract
from weft_geo.geo.run_files import ADAPTER, ONNX, WHOLE, find_model
from weft_geo.inference.stored_windows import Levels, StoredWindows
from weft_geo.inference.symmetries import mean_over

NAMED_MODELS = {"embedded": "weft-tiny.onnx", "weft-tiny": "weft-tiny.onnx"}
"""Models that come with the package: name → file in ``weft_geo/weights``."""

_PARTS = ("contract", "name", "sha256", "device", "fixed_size", "concurrency")

PRECISIONS = ("auto", "fp32", "bf16", "fp16")


class Predictor(Protocol):
    """A model that the engine can run."""

    @property
    def contract(self) -> ModelContract:
        """What it expects and gives."""

    @property
    def name(self) -> str:
        """The model's name, for provenance."""

    @property
    def sha256(self) -> str:
        """Hexadecimal SHA-256 of the model's file; empty if there is no file.

        Whatever else its answers depend on follows behind a plus each: ``…+bf16``, ``…+bf16+d4``.
        """

    @property
    def device(self) -> str:
        """``cpu``, ``cuda`` or ``cuda:N``, or several of a kind with commas between them."""

    @property
    def fixed_size(self) -> bool:
        """Whether it takes nothing but windows of ``contract.window`` × ``contract.window`` pixels."""

    @property
    def concurrency(self) -> int:
        """Batches that it works on at the same time, each called from a thread of its own; usually 1."""

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Maps float32 ``[B, C, H, W]`` to float32 ``[B, K, H, W]`` probabilities in [0, 1]."""


class StoredPredictor(Predictor, Protocol):
    """A predictor that can do without the engine's normalising and rounding."""

    @property
    def takes_stored(self) -> bool:
        """Whether it wants to."""

    def answer(self, windows: StoredWindows) -> Levels:
        """Normalises windows, and gives what it says of them as levels: what ``answer_here`` gives.

        ``windows.symmetries`` are to be heeded too.
        """


def takes_stored(predictor: Predictor) -> TypeGuard[StoredPredictor]:
    """Whether a predictor wants windows as they are stored."""
    return bool(getattr(predictor, "takes_stored", False))


def answer_here(predictor: Predictor, windows: StoredWindows) -> Levels:
    """Normalises windows, calls the predictor, and rounds what it says in the mean; its own way if it has one."""
    if takes_stored(predictor):
        return predictor.answer(windows)
    return Levels.of(mean_over(windows.symmetries, predictor, windows.normalized()))


class CallablePredictor:
    """Any function as a model: a test's oracle, another framework, a remote service.

    Args:
        function: float32 ``[B, C, H, W]`` → float32 ``[B, K, H, W]`` probabilities in [0, 1].
        contract: What it expects and gives.
        fixed_size: It takes nothing but square windows of ``contract.window`` pixels. Else short sides of small scenes
            are padded to ``contract.multiple_of`` only.
        sha256: Tells this function from any other, for provenance. A run of a function without it cannot be resumed:
            nothing could say whether what is there came from the same one.
        concurrency: Threads that may call it at the same time.
    """

    def __init__(
        self,
        function: Callable[[NDArray[np.float32]], NDArray[np.float32]],
        contract: ModelContract,
        *,
        fixed_size: bool = False,
        sha256: str = "",
        concurrency: int = 1,
    ) -> None:
        self.contract = contract
        self.name = contract.name or getattr(function, "__name__", type(function).__name__)
        self.sha256 = sha256
        self.device = "cpu"
        self.fixed_size = fixed_size
        self.concurrency = concurrency
        self._function = function

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} on {self.device}: {self.contract.summary}>"

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Calls the function."""
        return np.asarray(self._function(images), np.float32)


class MultiDevicePredictor:
    """One model on several devices, for one scene: each batch goes to a device that is free.

    The engine keeps ``concurrency`` batches under way and puts the answers back in order, so the result is that of one
    device, to the bit if the devices are of one kind.

    Args:
        predictors: The same model, loaded on each device.
    """

    def __init__(self, predictors: Sequence[Predictor]) -> None:
        first = predictors[0]
        self.contract = first.contract
        self.name = first.name
        self.sha256 = first.sha256
        self.device = ",".join(predictor.device for predictor in predictors)
        self.fixed_size = first.fixed_size
        self.concurrency = sum(predictor.concurrency for predictor in predictors)
        self.takes_stored = all(takes_stored(predictor) for predictor in predictors)
        self._free: SimpleQueue[Predictor] = SimpleQueue()
        for turn in range(max(predictor.concurrency for predictor in predictors)):
            for predictor in predictors:  # each has one batch before any has two
                if turn < predictor.concurrency:
                    self._free.put(predictor)

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Maps float32 ``[B, C, H, W]`` to float32 ``[B, K, H, W]``; waits if no device is free."""
        with self._one() as predictor:
            return predictor(images)

    def answer(self, windows: StoredWindows) -> Levels:
        """The same of windows as they are stored."""
        with self._one() as predictor:
            return answer_here(predictor, windows)

    @contextmanager
    def _one(self) -> Iterator[Predictor]:
        predictor = self._free.get()
        try:
            yield predictor
        finally:
            self._free.put(predictor)


def as_predictor(model: Predictor | str | Path) -> Predictor:
    """A model as the engine runs it; one given by name or path is loaded.

    Raises:
        InputError: If it is none, and as ``load_predictor``.
    """
    if isinstance(model, (str, Path)):
        return load_predictor(model)
    if lacking := [name for name in _PARTS if not hasattr(model, name)]:
        raise InputError(
            f"an object of type {type(model).__name__} is no model (it has no {lacking[0]}); give a name or a path, "
            "what load_predictor gives, or CallablePredictor(function, contract)"
        )
    return model


def load_predictor(
    model: str | Path = "embedded", device: str = "auto", precision: str = "auto", threads: int | None = None
) -> Predictor:
    """Loads a model.

    Args:
        model: A name of ``NAMED_MODELS``, the path of an ``.onnx`` or ``.safetensors`` file, or the folder of a run.
        device: ``auto`` (a GPU if the backend can use one), ``cpu``, ``cuda`` or ``cuda:N``; or several GPUs,
            ``cuda:0,cuda:1``, which share out the batches of a scene. They should be of one kind: others differ in
            the last digits, and which one gets a batch is chance.
        precision: ``auto``, ``fp32``, ``bf16`` or ``fp16``. An ONNX file runs as it was exported.
        threads: CPU threads, for each device; None takes the environment's ``WEFT_GEO_THREADS``, or else the backend's
            own choice.

    Raises:
        UnknownNameError: If ``model`` is neither a known name nor a file.
        CheckpointError: If the file is missing or is not what its suffix says.
        ContractError: If the file says nothing of what the model expects.
        InputError: If the device or the precision cannot be had.
        MissingExtraError: If a ``.safetensors`` file is given without the train extra.
    """
    if precision not in PRECISIONS:
        raise InputError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    _check_device(device)
    if "," in device:
        return MultiDevicePredictor([load_predictor(model, part, precision, threads) for part in device.split(",")])
    named = str(model) in NAMED_MODELS
    path = Path(model) if named else in_run(Path(model))
    suffix = path.suffix.lower()
    if not named and suffix not in (".onnx", ".safetensors"):
        if is_there(path):
            raise CheckpointError(
                f"{path} is not a model; give an .onnx or .safetensors file (weft-geo export makes them)"
            )
        raise UnknownNameError("model", str(model), [*NAMED_MODELS, "a path to .onnx or .safetensors"])
    if not named and (hindrance := what_hinders(path)):
        raise CheckpointError(f"the model file {path} {hindrance}")
    if not named and not is_file(path):
        raise CheckpointError(f"{path} is no file; give an .onnx or .safetensors file, or the folder of a run")
    if suffix == ".safetensors":
        try:
            from weft_geo.inference.torch_backend import TorchPredictor
        except ModuleNotFoundError as error:
            raise MissingExtraError(f"running the checkpoint {path.name}", "train") from error
        return TorchPredictor(path, device, precision, threads)

    from weft_geo.inference.onnx_backend import OnnxPredictor  # 0.1 s to import, not needed for a function's sake

    if not named:
        return OnnxPredictor(path.read_bytes(), str(path), device, precision, threads)
    resource = files("weft_geo.weights").joinpath(NAMED_MODELS[str(model)])
    if not resource.is_file():
        raise CheckpointError(f"this installation lacks its model {resource.name}; install weft-geo again")
    return OnnxPredictor(resource.read_bytes(), resource.name, device, precision, threads)


def in_run(path: Path) -> Path:
    """The model in the folder of a run, as ONNX if it was exported; any other path as it is.

    Raises:
        CheckpointError: The folder has none.
    """
    if not is_folder(path):
        return path
    if found := find_model(path, ONNX, WHOLE):
        return found
    if find_model(path, ADAPTER):
        raise CheckpointError(
            f"{path} holds an adapter without its trunk; weft-geo export {path} --trunk FILE -o model.onnx makes one "
            "model of both"
        )
    if hindrance := cannot_be_looked_into(path):
        raise CheckpointError(f"the folder {path} {hindrance}")
    raise CheckpointError(f"{path} holds no model; give the folder of a run that ended, or a model file")


def _check_device(device: str) -> None:
    parts = device.split(",")
    if not all(part in ("cpu", "cuda") or (part.startswith("cuda:") and part[5:].isdigit()) for part in parts):
        if device != "auto":
            raise InputError(f"device must be auto, cpu, cuda or cuda:N, or several as cuda:0,cuda:1; got {device!r}")
    elif "cpu" in parts and len(set(parts)) > 1:
        raise InputError(
            f"a CPU and a GPU differ in their last digits, so one scene is not run on both; got {device!r}"
        )
