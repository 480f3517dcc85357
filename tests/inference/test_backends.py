import hashlib
import subprocess
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto

from weft_geo.errors import CheckpointError, ContractError, InputError, RunError, UnknownNameError, WeftGeoError
from weft_geo.geo.contract import ModelContract
from weft_geo.inference import CallablePredictor, load_predictor, onnx_backend
from weft_geo.inference.backends import NAMED_MODELS
from weft_geo.inference.stages import several

MakeOnnx = Callable[..., Path]
CONTRACT = ModelContract(window=64, overlap=16, multiple_of=16)


def test_an_onnx_file_brings_its_contract(make_onnx: MakeOnnx) -> None:
    path = make_onnx(CONTRACT)
    predictor = load_predictor(path, device="cpu")
    assert predictor.contract == CONTRACT
    assert (predictor.name, predictor.device, predictor.fixed_size) == ("mean of bands", "cpu", False)
    assert predictor.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    images = np.random.default_rng(0).random((2, 3, 32, 48), np.float32) * 255
    np.testing.assert_allclose(predictor(images), images.mean(axis=1, keepdims=True) / 255, rtol=1e-5)


@pytest.mark.parametrize("batch", [1, 2])
def test_a_fixed_batch_is_served_in_parts(make_onnx: MakeOnnx, batch: int) -> None:
    predictor = load_predictor(make_onnx(CONTRACT, shape=(batch, 3, 64, 64)))
    assert predictor.fixed_size
    images = np.random.default_rng(0).random((5, 3, 64, 64), np.float32)
    np.testing.assert_allclose(predictor(images), images.mean(axis=1, keepdims=True) / 255, rtol=1e-5)


@pytest.mark.parametrize(
    ("contract", "options", "says"),
    [
        (None, {}, r"does not say what it expects.*weft-geo export"),
        (ModelContract(bands=4), {}, "takes 3 bands, but its contract says 4"),
        (CONTRACT, {"shape": ("B", 3, 32, 32)}, "takes 32 × 32 px, but its contract says a window of 64"),
        (CONTRACT, {"shape": ("B", 3, 64, "W")}, "takes 64 × W px"),
        (CONTRACT, {"classes": 2}, "gives 2 channels, but its contract names 1"),
        (CONTRACT, {"kind": TensorProto.FLOAT16}, "must take float32"),
    ],
)
def test_refuses_a_model_that_contradicts_its_contract(
    make_onnx: MakeOnnx, contract: ModelContract | None, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(ContractError, match=says):
        load_predictor(make_onnx(contract, **options))


def test_refuses_what_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no model")
    (tmp_path / "scene.tif").touch()
    cases: list[tuple[Path | str, type[WeftGeoError], str]] = [
        (tmp_path / "text.onnx", CheckpointError, r"text\.onnx cannot be loaded as an ONNX model"),
        (tmp_path / "missing.onnx", CheckpointError, "does not exist"),
        (tmp_path / "scene.tif", CheckpointError, "is not a model; give an .onnx or .safetensors file"),
        ("weft-enormous", UnknownNameError, "unknown model 'weft-enormous'; known: .*embedded"),
    ]
    for model, error, says in cases:
        with pytest.raises(error, match=says):
            load_predictor(model)


def test_weights_in_another_file_are_refused_wherever_it_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They could change without the model's SHA-256, by which runs are taken up, and only one folder would do."""
    model = onnx.load_model_from_string(files("weft_geo.weights").joinpath(NAMED_MODELS["embedded"]).read_bytes())
    onnx.save(model, tmp_path / "two.onnx", save_as_external_data=True, location="two.data")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=r"two\.onnx has its weights in another file; make them one") as caught:
        load_predictor("two.onnx", device="cpu")
    exec(str(caught.value).partition("python: ")[2][:-1], {"onnx": onnx})
    assert load_predictor("two.whole.onnx", device="cpu").contract.classes == ("building",)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"device": "tpu"}, "device must be auto, cpu, cuda or cuda:N"),
        ({"device": "cuda:0,auto"}, "or several as cuda:0,cuda:1; got 'cuda:0,auto'"),
        ({"device": "cuda:0,cpu"}, "differ in their last digits"),
        ({"precision": "int8"}, "precision must be one of"),
        ({"precision": "fp16"}, "runs as it was exported"),
    ],
)
def test_refuses_devices_and_precisions_it_cannot_have(make_onnx: MakeOnnx, options: dict[str, str], says: str) -> None:
    with pytest.raises(InputError, match=says):
        load_predictor(make_onnx(CONTRACT), **options)


def test_a_gpu_that_is_not_there_is_named(make_onnx: MakeOnnx, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(InputError, match=r"has no CUDA\. Install onnxruntime-gpu"):
        load_predictor(make_onnx(CONTRACT), device="cuda:0")


def test_threads_come_from_the_environment(make_onnx: MakeOnnx, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEFT_GEO_THREADS", "2")
    assert load_predictor(make_onnx(CONTRACT), device="cpu").concurrency == 2
    assert load_predictor(make_onnx(CONTRACT), device="cpu", threads=1).concurrency == 1
    monkeypatch.setenv("WEFT_GEO_THREADS", "many")
    with pytest.raises(InputError, match="'many'; look at WEFT_GEO_THREADS"):
        load_predictor(make_onnx(CONTRACT), device="cpu")


def test_threads_are_shared_out_among_batches_first() -> None:
    pools = {threads: onnx_backend._share_threads(threads) for threads in (1, 2, 4, 16)}
    assert pools == {1: (1, 1), 2: (1, 2), 4: (1, 4), 16: (13, 4)}


def test_batches_at_the_same_time_on_any_number_of_threads_are_the_same_to_the_bit() -> None:
    images = np.random.default_rng(0).standard_normal((3, 3, 64, 128)).astype(np.float32)
    expected = load_predictor("embedded", device="cpu", threads=1)(images)
    for threads in (2, 5):
        predictor = load_predictor("embedded", device="cpu", threads=threads)
        for _, found in several(predictor, [images] * 4, predictor.concurrency, "test"):
            np.testing.assert_array_equal(found, expected)


def test_a_failing_batch_is_described(make_onnx: MakeOnnx) -> None:
    predictor = load_predictor(make_onnx(CONTRACT), device="cpu")
    with pytest.raises(RunError, match=r"failed on a batch of shape \[1, 2, 8, 8\]"):
        predictor(np.zeros((1, 2, 8, 8), np.float32))


class Session:
    """One of ONNX Runtime on a GPU that is not there; `most` images fit into its memory."""

    def __init__(self, session: Any, most: int) -> None:
        self._session, self.most = session, most
        self.sizes: list[int] = []

    def get_providers(self) -> list[str]:
        return ["CUDAExecutionProvider", "CPUExecutionProvider"]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run(self, names: Any, given: dict[str, np.ndarray]) -> Any:
        (images,) = given.values()
        self.sizes.append(len(images))
        if len(images) > self.most:
            raise RuntimeError("BFCArena: Failed to allocate memory for requested buffer of size 1024")
        return self._session.run(names, given)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What ONNX Runtime is asked for a GPU, and what comes of it."""
    told: dict[str, Any] = {"most": 99}

    def start(model: bytes, options: Any, providers: list[Any], **further: Any) -> Any:
        told.update(further, providers=providers)
        if isinstance(providers[0], tuple):
            if told["most"] is None:
                raise RuntimeError("libcudnn.so.9: cannot open shared object file")
            told["session"] = Session(started(model, options, providers=["CPUExecutionProvider"]), told["most"])
            return told["session"]
        return started(model, options, providers=providers, **further)

    started = onnxruntime.InferenceSession
    available = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnx_backend.onnxruntime, "get_available_providers", lambda: available)
    monkeypatch.setattr(onnx_backend.onnxruntime, "InferenceSession", start)
    return told


def test_on_a_gpu_a_batch_too_large_is_run_in_halves(make_onnx: MakeOnnx, gpu: dict[str, Any]) -> None:
    images = np.random.default_rng(0).random((5, 3, 64, 64), np.float32)
    expected = load_predictor(make_onnx(CONTRACT), device="cpu")(images)
    gpu["most"] = 2
    predictor = load_predictor(make_onnx(CONTRACT), device="cuda:1", precision="fp32")
    np.testing.assert_array_equal(predictor(images), expected)
    assert gpu["session"].sizes == [5, 2, 2, 1]
    (name, settings), _ = gpu["providers"]
    assert (name, settings["device_id"], settings["use_tf32"]) == ("CUDAExecutionProvider", "1", "0")
    assert gpu["enable_fallback"] == 0  # it would go on on the CPU without a word
    gpu["session"].most = 0
    with pytest.raises(RunError, match="the GPU's memory does not hold a window of shape"):
        predictor(images)


def test_where_cuda_does_not_start_auto_is_the_cpu(make_onnx: MakeOnnx, gpu: dict[str, Any]) -> None:
    gpu["most"] = None
    assert load_predictor(make_onnx(CONTRACT)).device == "cpu"
    with pytest.raises(InputError, match="could not start CUDA for device cuda; weft-geo doctor says more"):
        load_predictor(make_onnx(CONTRACT), device="cuda")


def test_any_function_is_a_model() -> None:
    predictor = CallablePredictor(lambda images: images[:, :1].astype(np.float64), CONTRACT)
    assert predictor(np.ones((1, 3, 4, 4), np.float32)).dtype == np.float32
    assert (predictor.sha256, predictor.device) == ("", "cpu")


def test_inference_does_not_import_torch() -> None:
    code = "import sys, weft_geo.inference; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_predictor_says_what_it_is(make_onnx: MakeOnnx) -> None:
    contract = ModelContract(classes=("roof", "ship"), window=64, overlap=16, gsd_m=0.3, name="mine")
    function = CallablePredictor(lambda images: images, contract)
    assert repr(function) == "<CallablePredictor mine on cpu: roof, ship; 3 bands, trained at 0.3 m a pixel>"
    loaded = load_predictor(make_onnx(CONTRACT), device="cpu")
    assert repr(loaded) == "<OnnxPredictor mean of bands on cpu: object; 3 bands, any pixel size>"


@pytest.mark.skipif(sys.platform == "win32", reason="its folders have other rights")
def test_a_model_that_may_not_be_read_is_not_said_to_be_missing(ordinary_folder: Path) -> None:
    run = ordinary_folder / "run"
    run.mkdir()
    (run / "model.onnx").touch(0o000)
    for given in (run, run / "model.onnx"):
        with pytest.raises(CheckpointError, match=r"model\.onnx cannot be read: Permission denied; see to it"):
            load_predictor(given)
    run.chmod(0o000)
    with pytest.raises(CheckpointError, match="run cannot be looked into: Permission denied; see to it"):
        load_predictor(run)
    with pytest.raises(CheckpointError, match=r"model\.onnx cannot be read: Permission denied; see to it"):
        load_predictor(run / "model.onnx")
