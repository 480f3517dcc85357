"""The exported file says the same as torch, at every size, and carries its contract."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")
onnx = pytest.importorskip("onnx", reason="needs the train extra")

from weft_geo.inference import load_predictor  # noqa: E402
from weft_geo.models import build_model, save_checkpoint  # noqa: E402
from weft_geo.models.export import export_onnx  # noqa: E402

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A small random model as checkpoint and as ONNX."""
    folder = tmp_path_factory.mktemp("export")
    torch.manual_seed(3)
    model = build_model(
        "weft-tiny", classes=("ship", "plane"), depth=4, stage_ends=(1, 2, 3, 4), decoder_layers=1, pixel_layers=1
    )
    model.contract = replace(model.contract, window=128, overlap=32, gsd_m=0.5, name="small")
    checkpoint = save_checkpoint(model.eval(), folder / "small.safetensors")
    report = export_onnx(checkpoint, folder / "small.onnx", check=True)
    assert report.largest_difference is not None
    assert report.largest_difference < 1e-4
    assert sorted(p.name for p in folder.iterdir()) == ["small.onnx", "small.safetensors"]
    return checkpoint, report.path


def test_the_contract_travels_inside(exported: tuple[Path, Path]) -> None:
    predictor = load_predictor(str(exported[1]))
    assert predictor.contract.classes == ("ship", "plane")
    assert predictor.contract.gsd_m == 0.5
    assert predictor.name == "small"


@pytest.mark.parametrize("shape", [(1, 64, 64), (3, 128, 128), (2, 192, 64)])
def test_torch_and_onnx_agree_at_any_size(exported: tuple[Path, Path], shape: tuple[int, int, int]) -> None:
    batch, height, width = shape
    images = np.random.default_rng(1).standard_normal((batch, 3, height, width)).astype(np.float32)
    by_torch, by_onnx = (load_predictor(str(path), device="cpu")(images) for path in exported)
    assert by_onnx.shape == (batch, 2, height, width)
    np.testing.assert_allclose(by_onnx, by_torch, atol=1e-3)
