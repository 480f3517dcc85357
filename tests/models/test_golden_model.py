"""The whole model against every intermediate tensor of the research code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from torch.nn import functional as F  # noqa: E402

from weft_geo.models import load_official  # noqa: E402

TOLERANCE = 1e-4
RelativeError = Callable[[Any, Any], float]


def record(model: Any, images: Any) -> dict[str, Any]:
    """Run the model and collect what the golden file calls each tensor."""
    seen: dict[str, Any] = {}
    routings: list[Any] = []

    def note(name: str) -> Callable[..., None]:
        return lambda _module, _inputs, output: seen.__setitem__(name, output)

    handles = [
        model.expert_extractor.register_forward_hook(note("twe")),
        model.expert_extractor.mixture.router.register_forward_hook(lambda _m, _i, out: routings.append(out)),
        model.mask_decoder.pixel_decoder.register_forward_hook(note("pixel")),
    ]
    for i, stage in enumerate(model.stages):
        handles.append(stage.injection.register_forward_hook(note(f"stage{i}.x_inject")))
        handles.append(stage.enhancement[-1].register_forward_hook(note(f"stage{i}.c")))
        last_layer = model.trunk.layers[model.config.stage_ends[i] - 1]
        handles.append(last_layer.register_forward_hook(note(f"stage{i}.x")))
    with torch.no_grad():
        out = model(images)
        features = model.features(images)
        seen["visual_embed"] = model.trunk.embed(images)
        quarter = model.semantic_scores(images)
    for handle in handles:
        handle.remove()

    c1, *others = seen.pop("twe")
    seen["twe.c1"] = c1
    seen |= {f"twe.c{i}": m.flatten(2).transpose(1, 2) for i, m in enumerate(others, start=2)}
    mask_feature, memories = seen.pop("pixel")
    seen["mask_feature"] = mask_feature
    seen |= {f"memory{i}": m for i, m in enumerate(memories)}
    seen |= {f"f{i}": f for i, f in enumerate(features, start=1)}
    seen["router.probs"] = torch.stack([r.probabilities for r in routings[:4]])
    seen["router.top4_indices"] = torch.stack([r.indices for r in routings[:4]])
    seen["router.top4_weights"] = torch.stack([r.weights for r in routings[:4]])
    seen["cls_logits_all"] = torch.stack([*(a.class_logits for a in out.aux), out.class_logits])
    seen["mask_logits"] = out.mask_logits
    seen["mask_logits_first"] = out.aux[0].mask_logits
    seen["semantic_quarter"] = quarter
    seen["semantic"] = F.interpolate(quarter, size=images.shape[-2:], mode="bilinear", align_corners=False)
    return seen


@pytest.mark.parametrize("name", ["a", "b"])
def test_every_listed_tensor(
    golden: dict[str, Any],
    golden_state: dict[str, Any],
    golden_config: dict[str, Any],
    name: str,
    relative_error: RelativeError,
) -> None:
    model = load_official(golden_state, golden_config, esto_statistics="batch")
    seen = record(model, golden[f"{name}.input"])
    listed = {key.removeprefix(f"{name}."): value for key, value in golden.items() if key.startswith(f"{name}.")}
    del listed["input"]
    assert torch.equal(seen["router.top4_indices"], listed.pop("router.top4_indices"))
    errors = {key: relative_error(seen[key], value) for key, value in listed.items()}
    assert len(errors) > 15
    assert {key: error for key, error in errors.items() if error > TOLERANCE} == {}


def test_statistics_per_image_match_an_image_run_alone(
    golden: dict[str, Any], golden_state: dict[str, Any], golden_config: dict[str, Any], relative_error: RelativeError
) -> None:
    model = load_official(golden_state, golden_config)
    with torch.no_grad():
        both = model.semantic_scores(golden["a.input"])
    semantic = F.interpolate(both, size=(128, 128), mode="bilinear", align_corners=False)
    assert relative_error(semantic[:1], golden["a0_alone.semantic"]) < TOLERANCE


def test_an_answer_does_not_depend_on_the_batch(
    golden: dict[str, Any], golden_state: dict[str, Any], golden_config: dict[str, Any]
) -> None:
    model = load_official(golden_state, golden_config)
    with torch.no_grad():
        together = model.probabilities(golden["a.input"])
        alone = torch.cat([model.probabilities(image[None]) for image in golden["a.input"]])
    assert (together - alone).abs().max() < 1e-5


def test_a_training_forward_gives_the_same_gradients_and_batch_statistics(
    golden_modules: dict[str, Any],
    golden_state: dict[str, Any],
    golden_config: dict[str, Any],
    relative_error: RelativeError,
) -> None:
    from weft_geo.models.official import convert, rename

    config = golden_config | {"drop_path_rate": 0.0}
    model = load_official(golden_state, config, esto_statistics="batch").double().train()
    features = model.features(golden_modules["train.input"].double())
    losses = []
    for i, f in enumerate(features, start=1):
        assert relative_error(f, golden_modules[f"train.f{i}"]) < TOLERANCE
        wave = torch.cos(0.7 * torch.arange(f.numel(), dtype=torch.float64)).view_as(f)
        losses.append((f * wave).sum() / f[0].numel())
    loss = torch.stack(losses).sum()
    assert loss.item() == pytest.approx(float(golden_modules["train.loss"]), rel=1e-5)

    loss.backward()
    expected = convert(
        {
            "backbone." + key.removeprefix("train.grad."): value
            for key, value in golden_modules.items()
            if key.startswith("train.grad.")
        }
    )
    gradients = {
        name: p.grad for name, p in model.named_parameters() if p.requires_grad and not name.startswith("mask_decoder.")
    }
    assert gradients.keys() == expected.keys()
    # A bias in front of a batch norm has no gradient but rounding noise, so errors below a millionth of the largest
    # are none.
    noise = 1e-6 * max(value.abs().max() for value in expected.values())
    errors = {
        name: float((gradient - expected[name]).abs().max() / max(expected[name].abs().max(), noise / TOLERANCE))
        for name, gradient in gradients.items()
    }
    assert {name: error for name, error in errors.items() if error > TOLERANCE} == {}

    buffers = dict(model.named_buffers())
    moved = {
        rename("backbone." + key.removeprefix("train.buffer.")): value
        for key, value in golden_modules.items()
        if key.startswith("train.buffer.")
    }
    assert len(moved) > 100
    for name, value in moved.items():
        torch.testing.assert_close(buffers[name].double(), value.double(), rtol=1e-4, atol=1e-6, msg=name)
