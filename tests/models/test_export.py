"""The exported file says the same as torch, at every size, and carries its contract."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")
onnx = pytest.importorskip("onnx", reason="needs the train extra")

from weft_geo.inference import load_predictor  # noqa: E402
from weft_geo.models import build_model, save_checkpoint  # noqa: E402
from weft_geo.models.backbones import timm_vit  # noqa: E402
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


KILLED = """
import os, shutil, signal, sys
import torch
from weft_geo.models.export import export_onnx
checkpoint, graph, output = sys.argv[1:]
def export(*args, **how):
    shutil.copy(graph, args[2])
    os.kill(os.getpid(), signal.SIGKILL)
torch.onnx.export = export
export_onnx(checkpoint, output)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_what_a_killed_export_leaves_is_gone_with_the_next(
    exported: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint, graph = exported
    output = tmp_path / "small.onnx"
    killed = subprocess.run([sys.executable, "-c", KILLED, *map(str, exported), str(output)], check=False)
    assert killed.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert left != output
    bare = onnx.load(graph)
    del bare.metadata_props[:]
    monkeypatch.setattr(torch.onnx, "export", lambda *args, **how: onnx.save(bare, args[2]))  # at once
    export_onnx(checkpoint, output)
    assert list(tmp_path.iterdir()) == [output]


# A model of each family of timm (MAE's are like AugReg's), cut to four layers: what is its own lies in the
# embedding and in a layer.
FAMILIES = [
    "vit_small_patch14_reg4_dinov2", "vit_small_patch16_dinov3", "samvit_base_patch16", "vit_tiny_patch16_224",
    "eva02_tiny_patch14_224",
]  # fmt: skip


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_of_timm_is_exported(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(timm_vit, "create_vit", partial(timm_vit.create_vit, depth=4))
    torch.manual_seed(0)
    model = build_model(
        "weft-tiny", backbone=f"timm/{name}", inner_channels=8, decoder_dim=32, num_queries=6, decoder_layers=1,
        pixel_layers=1, pixel_heads=4, decoder_heads=4, drop_path=0.0, expert_kernel_sizes=(1, 3, 5), top_k=2,
    ).eval()  # fmt: skip
    with torch.no_grad():
        for stage in model.stages:
            stage.injection.gamma.fill_(1)
    model.contract = replace(model.contract, window=128, overlap=32)
    predictor = load_predictor(str(export_onnx(model, tmp_path / "model.onnx").path), device="cpu")
    assert predictor.fixed_size == (name == "samvit_base_patch16")
    sizes = [(2, 128, 128)] if predictor.fixed_size else [(2, 128, 128), (1, 64, 192)]
    for batch, height, width in sizes:
        images = np.random.default_rng(1).standard_normal((batch, 3, height, width)).astype(np.float32)
        with torch.no_grad():
            by_torch = model.probabilities(torch.from_numpy(images))[:, 1:].numpy()
        np.testing.assert_allclose(predictor(images), by_torch, atol=1e-4)
