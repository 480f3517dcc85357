"""Counts, shapes and gradients of whole models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from weft_geo.errors import CheckpointError, UnknownNameError  # noqa: E402
from weft_geo.models import Weft, build_model, load_checkpoint, model_names, save_checkpoint  # noqa: E402
from weft_geo.models.official import rename  # noqa: E402
from weft_geo.models.wavelet_expert_extractor import WaveletExpertMixture  # noqa: E402

KEYS = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="module")
def large() -> Weft:
    with torch.device("meta"):
        return build_model("weft-large")


@pytest.fixture(scope="module")
def tiny() -> Weft:
    torch.manual_seed(0)
    return build_model("weft-tiny").eval()


def test_public_names_resolve() -> None:
    import weft_geo.models

    assert all(getattr(weft_geo.models, name) is not None for name in weft_geo.models.__all__)
    assert set(weft_geo.models.__all__) <= set(dir(weft_geo.models))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = weft_geo.models.nothing


def test_weft_large_holds_exactly_the_papers_values(large: Weft) -> None:
    assert large.num_total() == 317_734_232
    assert large.num_trainable() == 14_373_720
    filters = [p.numel() for name, p in large.named_parameters() if name.endswith("_filters")]
    assert sum(filters) == 3_584


def test_every_key_of_the_research_checkpoint_has_its_place(large: Weft) -> None:
    rows = [line.split("\t") for line in (KEYS / "keys_weft_large.txt").read_text().splitlines() if line[:1] not in "#"]
    own = large.state_dict()
    trainable = {name for name, p in large.named_parameters() if p.requires_grad}
    found = set()
    for key, shape, kind in rows:
        name = rename(key)
        if "weight_" in name.rpartition(".")[2]:
            found.add(name.rpartition(".")[0] + ".mixing")
            continue
        assert str(list(own[name].shape)) == shape, key
        assert (name in trainable) == (kind == "param(trainable)"), key
        found.add(name)
    assert found == own.keys()
    assert len(rows) == 1_214


def test_every_key_of_the_trunks_checkpoint_has_its_place(large: Weft) -> None:
    rows = [line.split("\t")[0] for line in (KEYS / "keys_uniperceiver_large.txt").read_text().splitlines()]
    names = {rename(key) for key in rows if not key.startswith("#")}
    assert names == {f"trunk.{name}" for name in large.trunk.state_dict()}


@pytest.mark.parametrize("size", [(32, 32), (33, 70), (64, 96), (100, 41)])
def test_any_size_from_32(tiny: Weft, size: tuple[int, int]) -> None:
    images = torch.randn(2, 3, *size)
    with torch.no_grad():
        out, probability = tiny(images), tiny.probabilities(images)
    quarter = (-(-size[0] // 4), -(-size[1] // 4))
    assert out.class_logits.shape == (2, tiny.config.num_queries, 3)
    assert out.mask_logits.shape == (2, tiny.config.num_queries, *quarter)
    assert all(a.mask_logits.shape == out.mask_logits.shape for a in out.aux)
    assert probability.shape == (2, 2, *size)
    torch.testing.assert_close(probability.sum(dim=1), torch.ones(2, *size))


def test_an_image_that_is_too_small_or_has_other_bands_is_refused(tiny: Weft) -> None:
    with pytest.raises(ValueError, match="at least 32×32 px, not 31×64"):
        tiny(torch.zeros(1, 3, 31, 64))
    with pytest.raises(ValueError, match=r"shape \[1, 4, 64, 64\] came; expected \[B, 3, H, W\]"):
        tiny(torch.zeros(1, 4, 64, 64))


def test_bands_and_classes() -> None:
    model = build_model("weft-tiny", in_channels=5, classes=("ship", "plane")).eval()
    with torch.no_grad():
        assert model.probabilities(torch.randn(1, 5, 64, 64)).shape == (1, 3, 64, 64)


def test_evaluation_runs_the_chosen_experts_only_with_the_same_answer(tiny: Weft) -> None:
    mixture = tiny.expert_extractor.mixture
    x = torch.randn(3, tiny.config.inner_channels, 16, 16)
    runs: list[int] = []
    handles = [
        expert.register_forward_hook(lambda _m, inputs, _o: runs.append(len(inputs[0]))) for expert in mixture.experts
    ]
    with torch.no_grad():
        few = mixture(x)
        assert sum(runs) == 3 * tiny.config.top_k
        runs.clear()
        mixture.training = True
        every = mixture(x)
        mixture.training = False
        chosen = mixture.router(x).indices.unique()
    for handle in handles:
        handle.remove()
    assert sum(runs) == 3 * len(chosen)  # every one that any image has chosen runs on all three
    torch.testing.assert_close(few, every)


def test_a_frozen_trunk_gets_no_gradient_and_passes_it_on() -> None:
    model = build_model("weft-tiny", train_trunk=False).train()
    for stage in model.stages:
        torch.nn.init.ones_(stage.injection.gamma)
    out = model(torch.randn(2, 3, 64, 64))
    (out.mask_logits.square().mean() + out.class_logits.square().mean()).backward()
    assert all(p.grad is None for p in model.trunk.parameters())
    assert model.stages[0].injection.attention.value_proj.weight.grad.abs().sum() > 0


def test_unknown_names_list_the_known() -> None:
    assert model_names() == ["weft-large", "weft-tiny"]
    with pytest.raises(UnknownNameError, match="known: weft-large, weft-tiny"):
        build_model("weft-huge")


def test_a_checkpoint_brings_back_the_same_model(tiny: Weft, tmp_path: Path) -> None:
    path = save_checkpoint(tiny, tmp_path / "tiny.safetensors")
    again = load_checkpoint(path)
    assert again.config == tiny.config
    assert again.contract == tiny.contract
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(again.probabilities(images), tiny.probabilities(images))
    assert [p.name for p in tmp_path.iterdir()] == ["tiny.safetensors"]


def test_an_adapter_alone_names_its_trunk(tmp_path: Path) -> None:
    model = build_model("weft-tiny", train_trunk=False)
    whole = save_checkpoint(model, tmp_path / "whole.safetensors", adapter_only=False)
    adapter = save_checkpoint(model, tmp_path / "adapter.safetensors")
    assert adapter.stat().st_size < whole.stat().st_size / 2
    other = save_checkpoint(
        build_model("weft-tiny", train_trunk=False), tmp_path / "other.safetensors", adapter_only=False
    )
    with pytest.raises(CheckpointError, match=r"whole\.safetensors holds its own trunk and needs no other; leave out"):
        load_checkpoint(whole, trunk=other)
    with pytest.raises(CheckpointError, match="holds the adapter only"):
        load_checkpoint(adapter)
    with pytest.raises(CheckpointError, match="is not the trunk"):
        load_checkpoint(adapter, trunk=other)
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = model.eval().probabilities(images)
        assert torch.equal(load_checkpoint(adapter, trunk=whole).probabilities(images), expected)


def test_more_bands_grow_from_the_rgb_weights(tiny: Weft, tmp_path: Path) -> None:
    path = save_checkpoint(tiny, tmp_path / "rgb.safetensors")
    wide = build_model("weft-tiny", weights=path, in_channels=4)
    for name in ("trunk.patch_embed.weight", "expert_extractor.stem.0.weight"):
        grown, rgb = wide.state_dict()[name], tiny.state_dict()[name]
        torch.testing.assert_close(grown[:, :3] * 4 / 3, rgb)
        torch.testing.assert_close(grown[:, 3] * 4 / 3, rgb[:, 0])


def test_probabilities_are_finer_than_half_precision() -> None:
    model = build_model("weft-tiny").eval()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        probability = model.probabilities(torch.randn(1, 3, 128, 128))[:, 1]
    assert probability.dtype == torch.float32
    assert len(probability.unique()) > 5_000  # of 16,384 pixels; half precision knows some hundreds


def test_an_images_mixture_does_not_depend_on_its_neighbours_in_half_precision() -> None:
    """As on a GPU, where what comes in and what experts answer is bfloat16, and weights are not."""

    class Scaled(torch.nn.Module):
        def __init__(self, factor: float) -> None:
            super().__init__()
            self.factor = factor

        def forward(self, x: Any) -> Any:
            return x * self.factor

    torch.manual_seed(0)
    mixture = WaveletExpertMixture(32).eval()
    router = mixture.router
    mixture.experts = torch.nn.ModuleList(Scaled(1 + number / 7) for number in range(7))
    router.forward = lambda x, ask=router.forward: ask(x.float())
    images = (torch.randn(6, 32, 16, 16) + 2 * torch.randn(6, 32, 1, 1)).bfloat16()
    with torch.inference_mode():
        assert len(router(images).indices.sort(dim=1).values.unique(dim=0)) > 1
        alone = torch.cat([mixture(image[None]) for image in images])
        torch.testing.assert_close(mixture(images), alone, rtol=1e-5, atol=1e-5)
