"""The strategies that WEFT is compared with, and the ablations of WEFT itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from weft_geo.errors import CheckpointError, InputError, UnknownNameError  # noqa: E402
from weft_geo.models import Segmenter, Weft, build_model, load_checkpoint, save_checkpoint  # noqa: E402
from weft_geo.models.checkpoint import load_weights  # noqa: E402
from weft_geo.models.config import STRATEGIES  # noqa: E402

SMALL: dict[str, Any] = {
    "embed_dim": 32, "depth": 4, "num_heads": 2, "stage_ends": (1, 2, 3, 4), "inner_channels": 8,
    "decoder_dim": 32, "num_queries": 6, "decoder_layers": 2, "pixel_layers": 1, "pixel_heads": 4,
    "decoder_heads": 4, "drop_path": 0.0, "expert_kernel_sizes": (1, 3, 5), "top_k": 2, "train_trunk": False,
}  # fmt: skip
DECODER = {"norms", "mask_decoder"}
# Which parts each strategy trains, by the first part of a parameter's name; LoRA's lie inside the trunk.
TRAINED = {
    "weft": DECODER | {"expert_extractor", "level_embed", "stages"},
    "full": DECODER | {"trunk"},
    "frozen": DECODER,
    "lora": DECODER | {"trunk"},
    "vpt": DECODER | {"prompts"},
    "adapter": DECODER | {"adapters"},
}


def small(**overrides: Any) -> Segmenter:
    torch.manual_seed(0)
    return build_model("weft-tiny", **SMALL | overrides)


def disturb(model: Segmenter) -> None:
    """Move every trainable value off its start, where some gradients are zero by design."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn_like(parameter))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_gradients_reach_exactly_what_is_trained_and_the_rest_stays(strategy: str) -> None:
    model = small(strategy=strategy, top_k=3).train()  # of three experts, so that each is chosen
    disturb(model)
    trainable = {name for name, p in model.named_parameters() if p.requires_grad}
    assert {name.split(".")[0] for name in trainable} == TRAINED[strategy]
    if strategy == "lora":
        assert all("lora_" in name for name in trainable if name.startswith("trunk."))
    out = model(torch.randn(2, 3, 64, 96))
    predictions = (*out.aux, out)
    sum(p.mask_logits.square().mean() + p.class_logits.square().mean() for p in predictions).backward()
    reached = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    no_use = {name for name in trainable - reached if "temporal_positions" in name or is_cancelled(name)}
    assert reached <= trainable
    assert trainable - reached == no_use

    before = {name: p.detach().clone() for name, p in model.named_parameters() if not p.requires_grad}
    torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.1).step()
    after = dict(model.named_parameters())
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not before or strategy != "full" or all("filters" in name for name in before)


def is_cancelled(name: str) -> bool:
    """Biases that a group norm with one channel a group takes away again."""
    return name.startswith("mask_decoder.pixel_decoder.inputs.") and name.endswith(".bias")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_checkpoint_of_any_strategy_gives_the_same_answer(strategy: str, tmp_path: Path) -> None:
    model = small(strategy=strategy).eval()
    disturb(model)
    whole = save_checkpoint(model, tmp_path / "whole.safetensors", adapter_only=False)
    part = save_checkpoint(model, tmp_path / "part.safetensors")
    images = torch.randn(1, 3, 64, 64)
    frozen = model.config.trunk_is_frozen
    assert frozen == (strategy != "full")
    assert (part.stat().st_size < whole.stat().st_size) == frozen
    with torch.no_grad():
        expected = model.probabilities(images)
        assert torch.equal(load_checkpoint(whole).probabilities(images), expected)
        assert torch.equal(load_checkpoint(part, trunk=whole if frozen else None).probabilities(images), expected)


def test_strategies_share_the_trunk_of_a_checkpoint(tmp_path: Path) -> None:
    weft = small()
    path = save_checkpoint(weft, tmp_path / "weft.safetensors", adapter_only=False)
    for strategy in ("full", "lora", "adapter"):
        torch.manual_seed(5)
        tuned = build_model("weft-tiny", weights=path, **SMALL, strategy=strategy)
        own = tuned.trunk_state()
        assert all(torch.equal(value, own[key]) for key, value in weft.trunk.state_dict().items())
    with pytest.raises(CheckpointError, match="does not fit"):
        load_weights(small(embed_dim=64, strategy="lora"), path)


def test_lora_prompts_and_bottlenecks_start_from_the_trunk_as_it_is() -> None:
    images = torch.randn(1, 3, 64, 64)
    frozen = small(strategy="frozen").eval()
    for strategy in ("lora", "adapter"):
        model = small(strategy=strategy).eval()
        model.load_trunk_state(frozen.trunk_state())
        with torch.no_grad():
            for found, expected in zip(model.features(images), frozen.features(images), strict=True):
                torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_prompts_need_a_trunk_of_plain_tokens() -> None:
    with pytest.raises(InputError, match="no place for prompt tokens"):
        build_model("weft-tiny", backbone="timm/vit_small_patch16_dinov3", strategy="vpt")


def test_an_unknown_strategy_lists_the_known() -> None:
    with pytest.raises(UnknownNameError, match="known: adapter, frozen, full, lora, vpt, weft"):
        small(strategy="prefix")


@pytest.mark.parametrize("part", ["twe", "esto", "see"])
def test_an_ablation_takes_its_part_away_and_nothing_else(part: str) -> None:
    model = small(**{part: False}).train()
    assert isinstance(model, Weft)
    gone = {"twe": ".mixture.", "esto": ".esto.", "see": ".enhancer."}[part]
    names = [name for name, _ in small().named_parameters() if gone not in name]
    assert [name for name, _ in model.named_parameters()] == names
    out = model(torch.randn(2, 3, 64, 64))
    assert out.mask_logits.isfinite().all()


def test_weft_without_anything_is_a_stem_an_injection_and_feed_forwards() -> None:
    base, whole = small(twe=False, esto=False, see=False), small()
    assert base.num_trainable() < whole.num_trainable()
    assert base.num_total() - base.num_trainable() == sum(p.numel() for p in base.trunk.parameters())
