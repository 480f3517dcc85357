"""What training keeps and what it makes again: never other values, gradients or statistics."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from weft_geo.models import Segmenter, build_model  # noqa: E402
from weft_geo.models.wavelet_expert_extractor import WaveletExpertMixture  # noqa: E402

SMALL: dict[str, Any] = {
    "embed_dim": 32, "depth": 4, "num_heads": 2, "stage_ends": (1, 2, 3, 4), "inner_channels": 8,
    "decoder_dim": 32, "num_queries": 6, "decoder_layers": 2, "pixel_layers": 2, "pixel_heads": 4,
    "decoder_heads": 4, "drop_path": 0.3, "train_trunk": False,
}  # fmt: skip


def step(parts: Any, strategy: str = "weft") -> tuple[Segmenter, int]:
    """A model after one backward pass, and the bytes that autograd kept for it, parameters aside."""
    torch.manual_seed(0)
    model = build_model("weft-tiny", **SMALL, strategy=strategy).train()
    model.recompute_in_backward(parts)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn_like(parameter))
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, Any] = {}

    def pack(tensor: Any) -> Any:
        if tensor.untyped_storage().data_ptr() not in own:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    images = torch.randn(2, 3, 64, 96)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out = model(images)
        predictions = (*out.aux, out)
        loss = sum(p.mask_logits.square().mean() + p.class_logits.square().mean() for p in predictions)
    size = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    kept.clear()
    loss.backward()
    return model, size


def assert_same(one: Segmenter, other: Segmenter) -> None:
    gradients = {name: p.grad for name, p in one.named_parameters()}
    for name, parameter in other.named_parameters():
        assert (parameter.grad is None) == (gradients[name] is None), name
        assert parameter.grad is None or torch.equal(parameter.grad, gradients[name]), name
    state = one.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in other.state_dict().items())


@pytest.mark.parametrize("strategy", ["weft", "full"])
def test_run_again_or_kept_all_is_the_same_to_the_bit(strategy: str) -> None:
    plain, kept = step(False, strategy)
    adapter, less = step("adapter", strategy)
    everything, least = step(True, strategy)
    assert_same(plain, adapter)
    assert_same(plain, everything)
    print(f"{strategy} keeps {kept}, with the adapter run again {less}, with everything {least} bytes")
    assert least < less < (0.5 if strategy == "weft" else 0.9) * kept


def test_idle_experts_only_collect_statistics_and_that_changes_nothing() -> None:
    def experts(lazy: bool) -> tuple[WaveletExpertMixture, Any, Any]:
        torch.manual_seed(1)
        mixture = WaveletExpertMixture(8, (1, 3, 5, 7), top_k=2).train()
        x = torch.randn(3, 8, 12, 10, requires_grad=True)
        with torch.no_grad():
            mixture.router.gate.bias.copy_(torch.tensor([2.0, -5.0, 1.0, -6.0]))  # the second and fourth stay idle
        if lazy:
            out = mixture(x)
        else:
            weights = mixture.router(x).dense_weights()[:, :, None, None, None]
            out = sum(weights[:, i] * expert(x) for i, expert in enumerate(mixture.experts))
        out.square().sum().backward()
        return mixture, out, x.grad

    (lazy, out, gradient), (eager, expected, wanted) = experts(True), experts(False)
    assert torch.equal(out, expected)
    torch.testing.assert_close(gradient, wanted)
    assert lazy.experts[1].mix[0].weight.grad.abs().sum() == 0
    for (name, parameter), other in zip(lazy.named_parameters(), eager.parameters(), strict=True):
        assert (parameter.grad is not None) == parameter.requires_grad, name
        if parameter.requires_grad:
            torch.testing.assert_close(parameter.grad, other.grad)
    state = lazy.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in eager.state_dict().items())


def test_batch_norms_joined_over_processes_run_again_too() -> None:
    """Those of a run on several GPUs refuse what others take."""
    models = []
    for parts in (False, "adapter"):
        torch.manual_seed(0)
        model = torch.nn.SyncBatchNorm.convert_sync_batchnorm(build_model("weft-tiny", **SMALL)).train()
        model.recompute_in_backward(parts)
        model(torch.randn(2, 3, 64, 64)).mask_logits.mean().backward()
        models.append(model)
    assert_same(*models)
