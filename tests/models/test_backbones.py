"""Trunks of timm against timm itself, and what a frozen trunk keeps for the backward pass."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")
timm = pytest.importorskip("timm", reason="needs the train extra")

from weft_geo.errors import CheckpointError, InputError, UnknownNameError  # noqa: E402
from weft_geo.models import Segmenter, build_model, load_checkpoint, save_checkpoint  # noqa: E402
from weft_geo.models.backbones import TimmTrunk, UniPerceiver, timm_vit, trunk_shape  # noqa: E402
from weft_geo.models.backbones.timm_vit import load_timm_weights  # noqa: E402
from weft_geo.models.checkpoint import fetch, load_weights  # noqa: E402

# timm's name, the side of its own images (where positions need no resizing), what is special about it
VITS = [
    ("test_vit", 160, "class token with a position"),
    ("vit_tiny_patch16_224", 224, "AugReg"),
    ("vit_small_patch14_reg4_dinov2", 518, "patch 14, four registers without positions"),
    ("vit_small_patch16_dinov3", 256, "EVA with rotary positions and registers"),
]
SMALL: dict[str, Any] = {
    "inner_channels": 8, "decoder_dim": 32, "num_queries": 6, "decoder_layers": 2, "pixel_layers": 1,
    "pixel_heads": 4, "decoder_heads": 4, "drop_path": 0.0, "expert_kernel_sizes": (1, 3, 5), "top_k": 2,
}  # fmt: skip


def small_vit(**overrides: Any) -> Segmenter:
    torch.manual_seed(0)
    return build_model("weft-tiny", **SMALL | {"backbone": "timm/test_vit", "injection_heads": 2} | overrides)


@pytest.mark.parametrize(("name", "side", "special"), VITS, ids=[name for name, *_ in VITS])
def test_it_computes_what_timm_computes(name: str, side: int, special: str) -> None:
    torch.manual_seed(0)
    full = timm.create_model(name, num_classes=0).eval()
    trunk = TimmTrunk(name).eval()
    trunk.vit.load_state_dict({key: full.state_dict()[key] for key in trunk.vit.state_dict()})
    depth = min(len(full.blocks), 3)
    images = torch.randn(1, 3, side, side)
    grid = side // trunk.patch_size
    with torch.no_grad():
        expected = full.forward_intermediates(images, indices=[depth - 1], norm=False, intermediates_only=True)[0]
        own = torch.nn.functional.interpolate(images, size=(grid * 16, grid * 16)) if trunk.patch_size != 16 else images
        tokens = trunk.embed(own) if trunk.patch_size == 16 else embed_unresized(trunk, images)
        extra, x = tokens[:, : trunk.num_extra], tokens[:, trunk.num_extra :]
        _, x = trunk.run(extra, x, 0, depth, (grid, grid))
    found = x.transpose(1, 2).reshape(expected.shape)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def embed_unresized(trunk: TimmTrunk, images: Any) -> Any:
    """What `embed` does behind its resizing of the image."""
    patch_size, trunk.patch_size = trunk.patch_size, 16
    try:
        return trunk.embed(images)
    finally:
        trunk.patch_size = patch_size


@pytest.mark.parametrize("name", ["vit_small_patch14_reg4_dinov2", "vit_small_patch16_dinov3", "samvit_base_patch16"])
def test_the_grid_has_stride_16_whatever_the_patches_are(name: str) -> None:
    trunk = TimmTrunk(name).eval()
    shape = trunk_shape(f"timm/{name}")
    with torch.no_grad():
        tokens = trunk.embed(torch.randn(2, 3, 64, 96))
        extra, x = trunk.run(tokens[:, : trunk.num_extra], tokens[:, trunk.num_extra :], 0, 2, (4, 6))
    assert x.shape == (2, 24, shape["embed_dim"])
    assert extra.shape[1] == trunk.num_extra


def test_a_weft_on_a_vit_trains_only_what_is_not_the_trunk() -> None:
    model = small_vit().train()
    for stage in model.stages:
        torch.nn.init.ones_(stage.injection.gamma)
    out = model(torch.randn(2, 3, 64, 96))
    out.mask_logits.square().mean().backward()
    assert all(p.grad is None for p in model.trunk.parameters())
    assert model.stages[0].injection.attention.value_proj.weight.grad.abs().sum() > 0


# A model of each family, cut down to four layers: what is its own lies in the embedding and inside a layer.
FAMILIES = [
    "vit_small_patch14_reg4_dinov2", "vit_small_patch16_dinov3", "samvit_base_patch16", "vit_base_patch16_224.mae",
    "vit_tiny_patch16_224.augreg_in21k", "eva02_tiny_patch14_224",
]  # fmt: skip


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_is_trained_on_and_comes_back(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(timm_vit, "create_vit", partial(timm_vit.create_vit, depth=4))
    model = small_vit(backbone=f"timm/{name}").train()
    before = {key: value.clone() for key, value in model.trunk_state().items()}
    with torch.no_grad():
        for stage in model.stages:
            stage.injection.gamma.fill_(1)
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=1e-3)
    model(torch.randn(2, 3, 64, 96)).mask_logits.square().mean().backward()
    assert model.stages[0].injection.attention.value_proj.weight.grad.abs().sum() > 0  # through all of the trunk
    optimizer.step()
    after = model.trunk_state()
    assert all(torch.equal(value, after[key]) for key, value in before.items())

    assert_an_adapter_comes_back(model.eval(), tmp_path, torch.randn(1, 3, 96, 64))


def test_an_adapter_on_a_vit_comes_back(tmp_path: Path) -> None:
    assert_an_adapter_comes_back(small_vit().eval(), tmp_path, torch.randn(1, 3, 64, 64))


def assert_an_adapter_comes_back(model: Segmenter, tmp_path: Path, images: torch.Tensor) -> None:
    whole = save_checkpoint(model, tmp_path / "whole.safetensors", adapter_only=False)
    adapter = save_checkpoint(model, tmp_path / "adapter.safetensors")
    with torch.no_grad():
        again = load_checkpoint(adapter, trunk=whole)
        assert torch.equal(again.probabilities(images), model.probabilities(images))


def test_weights_of_timm_from_a_file(tmp_path: Path) -> None:
    torch.manual_seed(3)
    full = timm.create_model("test_vit", num_classes=5)
    torch.save(full.state_dict(), tmp_path / "vit.pth")
    model = small_vit()
    load_weights(model, tmp_path / "vit.pth")
    assert torch.equal(model.trunk.vit.blocks[3].attn.qkv.weight, full.blocks[3].attn.qkv.weight)
    torch.save({"something": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=r"other\.pth does not fit timm/test_vit in \d+ places"):
        load_timm_weights(model.trunk, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="is not a file"):
        load_timm_weights(model.trunk, tmp_path / "none.pth")


def test_other_backbones_are_refused_with_a_hint() -> None:
    with pytest.raises(InputError, match=r"close to it: .*vit_tiny_patch16_224"):
        build_model("weft-tiny", backbone="timm/vit_tiny_patch16_225")
    with pytest.raises(InputError, match="ResNet, no plain vision transformer"):
        build_model("weft-tiny", backbone="timm/resnet18")
    with pytest.raises(UnknownNameError, match="known: timm/NAME, uni-perceiver"):
        build_model("weft-tiny", backbone="swin")


def test_a_download_is_held_against_its_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    source = tmp_path / "weights.pth"
    source.write_bytes(b"weights")
    digest = "9a2a8ad3d5e2e2a4d27e1ba0ae3c4b7e0f6b9d4b45bb0b4dd3a1f7d0c8b7e8a0"
    with pytest.raises(CheckpointError, match="comes without its hash"):
        fetch(source.as_uri())
    with pytest.raises(CheckpointError, match="could not be fetched"):
        fetch(f"{source.as_uri()}#sha256={digest}")
    import hashlib

    right = hashlib.sha256(b"weights").hexdigest()
    assert fetch(f"{source.as_uri()}#sha256={right}").read_bytes() == b"weights"
    source.unlink()
    assert fetch(f"{source.as_uri()}#sha256={right}").read_bytes() == b"weights"
    assert fetch("some/local.pth") == Path("some/local.pth")


def kept_bytes(trunk: Any, tokens: Any) -> tuple[int, Any]:
    """Bytes that autograd keeps for the backward pass through two layers, parameters aside, and the gradient."""
    own = {p.data_ptr() for p in trunk.parameters()}
    seen: dict[int, int] = {}

    def pack(tensor: Any) -> Any:
        if tensor.data_ptr() not in own:
            seen[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    tokens = tokens.clone().requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        _, out = trunk.run(tokens[:, :0], tokens, 0, 2, (4, 4))
    (gradient,) = torch.autograd.grad(out.square().sum(), tokens)
    return sum(seen.values()), gradient


def test_a_frozen_trunk_keeps_less_than_a_trained_one_and_recomputing_least() -> None:
    torch.manual_seed(0)
    trunk = UniPerceiver(3, 64, 2, 4, drop_path=0.0)
    tokens = torch.randn(1, 16, 64)
    trained, expected = kept_bytes(trunk, tokens)
    trunk.requires_grad_(False)
    frozen, gradient = kept_bytes(trunk, tokens)
    trunk.recompute = True
    recomputed, again = kept_bytes(trunk, tokens)
    print(f"kept for the backward pass: trained {trained}, frozen {frozen}, recomputed {recomputed} bytes")
    assert frozen < 0.75 * trained
    assert recomputed < 0.3 * frozen
    torch.testing.assert_close(gradient, expected)
    torch.testing.assert_close(again, expected)


def test_a_folder_called_pretrained_is_not_taken_for_the_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pretrained").mkdir()
    asked: list[str] = []
    monkeypatch.setattr("weft_geo.models.checkpoint.load_timm_weights", lambda _, source: asked.append(str(source)))
    load_weights(build_model("weft-tiny", backbone="timm/vit_tiny_patch16_224"), "pretrained")
    assert asked == ["pretrained"]
