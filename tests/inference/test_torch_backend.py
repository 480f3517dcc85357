import hashlib
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from weft_geo.errors import CheckpointError, InputError, MissingExtraError, RunError
from weft_geo.geo.normalize import Normalizer
from weft_geo.inference import load_predictor, predict_scene
from weft_geo.inference.augment import augment
from weft_geo.inference.stored_windows import Levels, StoredWindows
from weft_geo.inference.symmetries import MODES


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torch", reason="needs the train extra")
    from weft_geo.models import build_model, save_checkpoint

    return Path(save_checkpoint(build_model("weft-tiny"), tmp_path_factory.mktemp("model") / "tiny.safetensors"))


def test_a_checkpoint_gives_what_its_model_gives(checkpoint: Path) -> None:
    import torch

    from weft_geo.models import load_checkpoint

    predictor = load_predictor(checkpoint, device="cpu")
    images = np.random.default_rng(0).standard_normal((2, 3, 64, 96)).astype(np.float32)
    model = load_checkpoint(checkpoint)
    with torch.inference_mode():
        expected = model.probabilities(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(predictor(images), expected[:, -1:], atol=1e-5)
    assert predictor.contract == model.contract
    assert predictor.sha256 == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert (predictor.device, predictor.fixed_size) == ("cpu", False)


def test_a_checkpoint_predicts_a_scene(checkpoint: Path, make_raster: Callable[..., Path], tmp_path: Path) -> None:
    predictor = load_predictor(checkpoint, device="cpu", precision="bf16")
    report = predict_scene(make_raster(), predictor, probability=tmp_path / "p.tif", objects=tmp_path / "o.gpkg")
    assert report.valid_pixels == 64 * 96


def test_refuses_what_it_cannot_have(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "text.safetensors").write_text("no checkpoint")
    with pytest.raises(CheckpointError, match=r"text\.safetensors"):
        load_predictor(tmp_path / "text.safetensors", device="cpu")
    with pytest.raises(InputError, match="fp16 needs a GPU"):
        load_predictor(checkpoint, device="cpu", precision="fp16")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(InputError, match="torch finds no GPU"):
        load_predictor(checkpoint, device="cuda")


def test_it_says_what_it_is(checkpoint: Path) -> None:
    predictor = load_predictor(checkpoint, device="cpu")
    said = f"<TorchPredictor {predictor.name} on cpu: {predictor.contract.summary}>"
    assert repr(predictor) == said


def test_without_torch_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tiny.safetensors").touch()
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "weft_geo.inference.torch_backend", raising=False)
    with pytest.raises(MissingExtraError, match=r'the checkpoint tiny\.safetensors needs the "train" extra'):
        load_predictor(tmp_path / "tiny.safetensors")


def test_what_goes_by_a_lane_is_what_goes_without(checkpoint: Path) -> None:
    """On a GPU batches come and go by ``GpuLanes``; the model is asked by the same method."""

    class Lanes:
        def run(self, arrays: list[np.ndarray], ask: Callable[..., Any]) -> list[np.ndarray]:
            return [answer.numpy() for answer in ask(*map(torch.from_numpy, arrays))]

    import torch

    predictor = load_predictor(checkpoint, device="cpu")
    images = np.random.default_rng(0).standard_normal((2, 3, 64, 96)).astype(np.float32)
    expected = predictor(images)
    predictor._lanes = Lanes()  # type: ignore[attr-defined]
    predictor._layout = torch.channels_last  # type: ignore[attr-defined]
    np.testing.assert_allclose(predictor(images), expected, atol=1e-5)


@pytest.mark.parametrize(
    "says",
    [
        "CUDA out of memory. Tried to allocate 2.00 GiB",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "GET was unable to find an engine to execute this computation",
    ],
)
def test_a_batch_too_large_for_the_gpu_is_run_in_halves(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, says: str
) -> None:
    """There is no GPU here; the model says what torch would."""
    predictor = load_predictor(checkpoint, device="cpu")
    images = np.random.default_rng(0).random((5, 3, 64, 64), np.float32)
    whole = predictor(images)
    sizes: list[int] = []
    ask, most = predictor._ask, 2  # type: ignore[attr-defined]

    def short_of_memory(images: Any) -> Any:
        sizes.append(len(images))
        if len(images) > most:
            raise RuntimeError(says)
        return ask(images)

    monkeypatch.setattr(predictor, "_ask", short_of_memory)
    np.testing.assert_allclose(predictor(images), whole, atol=1e-5)
    assert sizes == [5, 2, 2, 1]
    most = 0
    with pytest.raises(RunError, match="does not hold a window of shape"):
        predictor(images)
    monkeypatch.setattr(predictor, "_ask", lambda images: images.view(-1, 7))
    with pytest.raises(RunError, match=r"the model \S+ failed on a batch of shape \[1, 3, 64, 64\]: "):
        predictor(images[:2])


def test_half_precision_is_another_model_to_whoever_goes_on(checkpoint: Path) -> None:
    full, half = (load_predictor(checkpoint, device="cpu", precision=precision) for precision in ("fp32", "bf16"))
    assert half.sha256 == f"{full.sha256}+bf16"


def test_bfloat16_by_way_of_float32_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch", reason="needs the train extra")
    from weft_geo.inference import torch_backend

    monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext())
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    assert not torch_backend._has_bf16("cuda:1")


def test_a_gpu_too_many_is_named(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    with pytest.raises(InputError, match="device cuda:7 was asked for, but the last one that torch finds is cuda:1"):
        load_predictor(checkpoint, device="cuda:7")


@pytest.mark.parametrize("mode", ["none", "d4"])
def test_windows_as_they_are_stored_give_what_normalised_ones_give(checkpoint: Path, mode: str) -> None:
    predictor: Any = load_predictor(checkpoint, device="cpu")
    rng = np.random.default_rng(0)
    values = rng.integers(0, 2**16, (5, 3, 64, 64), np.uint16)
    windows = StoredWindows(
        values, rng.random((5, 64, 64)) > 0.2, Normalizer(*[(float(n),) * 3 for n in (9, 60_000, 120, 60)])
    )
    predictor._halves.most = 2
    answer = predictor.answer(replace(windows, symmetries=MODES[mode]))
    expected = Levels.of(augment(predictor, mode)(windows.normalized()))
    for ours, theirs in zip(vars(answer).values(), vars(expected).values(), strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
