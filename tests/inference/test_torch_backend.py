import hashlib
import sys
from collections.abc import Callable
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


def test_a_batch_too_large_for_the_gpu_is_run_in_halves(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no GPU here; the model says what torch would."""
    import torch

    predictor = load_predictor(checkpoint, device="cpu")
    images = np.random.default_rng(0).random((5, 3, 64, 64), np.float32)
    whole = predictor(images)
    sizes: list[int] = []
    run = predictor._run_whole  # type: ignore[attr-defined]

    def short_of_memory(part: list[np.ndarray], ask: Any) -> list[np.ndarray]:
        sizes.append(len(part[0]))
        if len(part[0]) > 2:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return run(part, ask)

    monkeypatch.setattr(predictor, "_run_whole", short_of_memory)
    np.testing.assert_allclose(predictor(images), whole, atol=1e-5)
    assert sizes == [5, 2, 2, 1]

    def never_enough(part: list[np.ndarray], ask: Any) -> list[np.ndarray]:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(predictor, "_run_whole", never_enough)
    with pytest.raises(RunError, match="does not hold a window of shape"):
        predictor(images)


@pytest.mark.parametrize("mode", ["none", "d4"])
def test_windows_as_they_are_stored_give_what_normalised_ones_give(checkpoint: Path, mode: str) -> None:
    predictor: Any = load_predictor(checkpoint, device="cpu")
    rng = np.random.default_rng(0)
    values = rng.integers(0, 2**16, (5, 3, 64, 64), np.uint16)
    windows = StoredWindows(
        values, rng.random((5, 64, 64)) > 0.2, Normalizer(*[(float(n),) * 3 for n in (9, 60_000, 120, 60)])
    )
    predictor._most = 2
    answer = predictor.answer(replace(windows, symmetries=MODES[mode]))
    expected = Levels.of(augment(predictor, mode)(windows.normalized()))
    for ours, theirs in zip(vars(answer).values(), vars(expected).values(), strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
