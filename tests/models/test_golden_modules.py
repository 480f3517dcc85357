"""Each part of the model alone, against the research code's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from weft_geo.models.deformable_attention import DeformableAttention  # noqa: E402
from weft_geo.models.esto import SubspaceTokenOptimizer  # noqa: E402
from weft_geo.models.mask_decoder.sine_position import sine_position  # noqa: E402
from weft_geo.models.official import convert, load_official  # noqa: E402
from weft_geo.models.see import SpatialEnhancer  # noqa: E402
from weft_geo.models.wavelet import haar_filters, haar_forward  # noqa: E402
from weft_geo.models.wavelet_conv import WaveletConv  # noqa: E402
from weft_geo.models.wavelet_expert_extractor import WaveletExpertMixture  # noqa: E402

TOLERANCE = 1e-4
RelativeError = Callable[[Any, Any], float]


def part(golden_modules: dict[str, Any], name: str) -> dict[str, Any]:
    """The state dict of one part, in our keys."""
    prefix = f"{name}.state."
    return convert({k.removeprefix(prefix): v for k, v in golden_modules.items() if k.startswith(prefix)})


@pytest.mark.parametrize("name", ["dec", "rec"])
def test_haar_filters(golden_modules: dict[str, Any], name: str) -> None:
    torch.testing.assert_close(haar_filters(1), golden_modules[f"haar.{name}"])


def test_haar_by_slicing_is_the_convolution_with_the_filters() -> None:
    x = torch.randn(2, 5, 12, 10)
    by_filter = torch.nn.functional.conv2d(x, haar_filters(5), stride=2, groups=5)
    torch.testing.assert_close(haar_forward(x), by_filter)


def test_wavelet_convolution_on_an_odd_size(golden_modules: dict[str, Any], relative_error: RelativeError) -> None:
    module = WaveletConv(8, 5)
    module.load_state_dict(part(golden_modules, "wtconv5"))
    found = module(golden_modules["wtconv5.input"])
    assert relative_error(found, golden_modules["wtconv5.output"]) < TOLERANCE


@pytest.mark.parametrize("training_path", [False, True])
def test_experts_and_router(
    golden_modules: dict[str, Any], training_path: bool, monkeypatch: pytest.MonkeyPatch, relative_error: RelativeError
) -> None:
    module = WaveletExpertMixture(16)
    module.load_state_dict(part(golden_modules, "twe"))
    module.eval()
    x = golden_modules["twe.input"]
    routing = module.router(x)
    assert relative_error(routing.probabilities, golden_modules["twe.router_probs"]) < TOLERANCE
    assert relative_error(routing.weights, golden_modules["twe.top4_weights"]) < TOLERANCE
    assert torch.equal(routing.indices, golden_modules["twe.top4_indices"])
    experts = torch.stack([expert(x) for expert in module.experts], dim=1)
    assert relative_error(experts, golden_modules["twe.experts"]) < TOLERANCE
    module.training = training_path  # the mixture's own flag alone: the batch norms stay in evaluation
    assert relative_error(module(x), golden_modules["twe.output"]) < TOLERANCE


def test_esto(golden_modules: dict[str, Any], relative_error: RelativeError) -> None:
    state, x = part(golden_modules, "esto"), golden_modules["esto.input"]
    per_batch, per_image = SubspaceTokenOptimizer("batch"), SubspaceTokenOptimizer()
    for module in (per_batch, per_image):
        module.load_state_dict(state)
    assert relative_error(per_batch(x), golden_modules["esto.output"]) < TOLERANCE
    assert relative_error(per_image(x)[:1], golden_modules["esto.output_image0_alone"]) < TOLERANCE


def test_see(golden_modules: dict[str, Any], relative_error: RelativeError) -> None:
    module = SpatialEnhancer(16).eval()
    module.load_state_dict(part(golden_modules, "see"))
    found = module(golden_modules["see.input"], ((12, 8), (6, 4), (3, 2)))
    assert relative_error(found, golden_modules["see.output"]) < TOLERANCE


def test_deformable_attention(golden_modules: dict[str, Any], relative_error: RelativeError) -> None:
    module = DeformableAttention(32, 4, 3, 4, 0.5)
    module.load_state_dict(part(golden_modules, "msdeform"))
    sizes = tuple(map(tuple, golden_modules["msdeform.spatial_shapes"].tolist()))
    reference = golden_modules["msdeform.reference_points"][0, :, 0]
    found = module(golden_modules["msdeform.query"], reference, golden_modules["msdeform.value"], sizes)
    assert relative_error(found, golden_modules["msdeform.output"]) < TOLERANCE


def test_patch_embedding(golden_modules: dict[str, Any], relative_error: RelativeError) -> None:
    from weft_geo.models.backbones import UniPerceiver

    trunk = UniPerceiver(embed_dim=24, depth=0, num_heads=3, position_grid=4)
    prefix = "patch.state."
    state = {"visual_embed." + k.removeprefix(prefix): v for k, v in golden_modules.items() if k.startswith(prefix)}
    trunk.load_state_dict({k.removeprefix("trunk."): v for k, v in convert(state).items()})
    found = trunk.embed(golden_modules["patch.input"])
    assert relative_error(found, golden_modules["patch.output"]) < TOLERANCE


def test_trunk_layer(golden_modules: dict[str, Any], relative_error: RelativeError) -> None:
    from weft_geo.models.backbones import UniPerceiver

    layer = UniPerceiver(embed_dim=24, depth=1, num_heads=3).layers[0]
    layer.load_state_dict(part(golden_modules, "bert"))
    found = layer(golden_modules["bert.input"])
    assert relative_error(found, golden_modules["bert.output"]) < TOLERANCE


def test_sine_positions(golden_modules: dict[str, Any], relative_error: RelativeError) -> None:
    expected = golden_modules["sine.pos"].flatten(2).transpose(1, 2)[0]
    assert relative_error(sine_position(3, 5, 16, expected), expected) < TOLERANCE


def test_prediction_head(
    golden_modules: dict[str, Any],
    golden_state: dict[str, Any],
    golden_config: dict[str, Any],
    relative_error: RelativeError,
) -> None:
    decoder = load_official(golden_state, golden_config).mask_decoder
    query = golden_modules["forward_head.decoder_out"].transpose(0, 1)
    with torch.no_grad():
        prediction = decoder.predict(query, golden_modules["forward_head.mask_feature"])
        size = tuple(golden_modules["forward_head.size"].tolist())
        blocked = decoder.blocked(prediction.mask_logits, size)
    assert relative_error(prediction.class_logits, golden_modules["forward_head.cls"]) < TOLERANCE
    assert relative_error(prediction.mask_logits, golden_modules["forward_head.mask"]) < TOLERANCE
    expected = golden_modules["forward_head.attn_mask"]
    opened = expected & ~expected.all(dim=-1, keepdim=True)
    assert torch.equal(blocked, opened)
