"""The loss against the research code's, with its random points and its matching."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")
safetensors_torch = pytest.importorskip("safetensors.torch", reason="needs the train extra")

from weft_geo.models.mask_decoder import MaskDecoderOutput, MaskPrediction  # noqa: E402
from weft_geo.trainers.losses import (  # noqa: E402
    MATCHING,
    MaskLoss,
    MatchedPoints,
    Targets,
    semantic_loss,
)
from weft_geo.trainers.matcher import assign, cost_at_points, matching_cost  # noqa: E402
from weft_geo.trainers.point_sampling import sample_points, uncertain_points  # noqa: E402
from weft_geo.trainers.settings import LOSSES, LossConfig  # noqa: E402

POINTS = 112


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    path = Path(__file__).parents[1] / "data" / "golden_modules.safetensors"
    prefix = "loss."
    loaded = safetensors_torch.load_file(path)
    return {key.removeprefix(prefix): value for key, value in loaded.items() if key.startswith(prefix)}


@pytest.fixture(scope="module")
def targets(golden: dict[str, Any]) -> list[Targets]:
    return [Targets.from_label_map(label_map.long(), 2) for label_map in golden["saliency_gt"]]


def points(golden: dict[str, Any], layer: int) -> MatchedPoints:
    return MatchedPoints(
        [golden[f"layer{layer}.img{i}.match_points"][0] for i in range(3)],
        golden[f"layer{layer}.candidate_points"],
        golden[f"layer{layer}.extra_points"],
    )


def test_the_images_hold_both_labels_or_one(targets: list[Targets]) -> None:
    assert [t.labels.tolist() for t in targets] == [[0, 1], [0], [1]]


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("image", [0, 1, 2])
def test_matching(golden: dict[str, Any], targets: list[Targets], layer: int, image: int) -> None:
    class_logits = golden[f"layer{layer}.cls_logits"][image]
    mask_logits = golden[f"layer{layer}.mask_logits"][image]
    where = golden[f"layer{layer}.img{image}.match_points"]
    target = targets[image]
    cost = matching_cost(
        class_logits,
        sample_points(mask_logits[None], where)[0],
        target.labels,
        sample_points(target.masks[None], where)[0],
        **MATCHING,
    )
    torch.testing.assert_close(cost, golden[f"layer{layer}.img{image}.cost"], rtol=1e-4, atol=1e-4)
    again = cost_at_points(class_logits, mask_logits, target.labels, target.masks, where[0], **MATCHING)
    assert torch.equal(again, cost)
    queries, chosen = assign(cost)
    expected = torch.zeros(20, dtype=torch.long)
    expected[queries] = chosen + 1
    assert torch.equal(expected, golden[f"layer{layer}.img{image}.gt_inds"])


@pytest.mark.parametrize("layer", [0, 1])
def test_the_most_uncertain_candidates_are_kept(golden: dict[str, Any], layer: int) -> None:
    logits, rows = golden[f"layer{layer}.mask_logits"], []
    for i in range(3):
        rows.append(logits[i, golden[f"layer{layer}.img{i}.gt_inds"] > 0])
    kept = uncertain_points(torch.cat(rows), golden[f"layer{layer}.candidate_points"], POINTS * 3 // 4)
    expected = golden[f"layer{layer}.loss_points"][:, : POINTS * 3 // 4]
    for found, wanted in zip(kept, expected, strict=True):
        torch.testing.assert_close(found[found[:, 0].argsort()], wanted[wanted[:, 0].argsort()])


def test_parts_total_and_gradients(golden: dict[str, Any], targets: list[Targets]) -> None:
    loss = MaskLoss(2, LossConfig(dice_weight=5.0, num_points=POINTS))
    total = torch.zeros(())
    leaves = []
    for layer in (0, 1):
        prediction = MaskPrediction(
            golden[f"layer{layer}.cls_logits"].clone().requires_grad_(),
            golden[f"layer{layer}.mask_logits"].clone().requires_grad_(),
        )
        parts = loss.of_prediction(prediction, targets, points(golden, layer))
        for part, key in (("class", "loss_cls"), ("mask", "loss_mask"), ("dice", "loss_dice")):
            assert parts[part].item() == pytest.approx(golden[f"layer{layer}.{key}"].item(), rel=1e-5)
        total = total + sum(parts.values())
        leaves.append((prediction, layer))
    assert total.item() == pytest.approx(golden["total"].item(), rel=1e-5)
    total.backward()
    for prediction, layer in leaves:
        torch.testing.assert_close(prediction.class_logits.grad, golden[f"layer{layer}.grad_cls"], rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(prediction.mask_logits.grad, golden[f"layer{layer}.grad_mask"], rtol=1e-4, atol=1e-6)


def test_the_papers_weights_are_the_default() -> None:
    paper, research = LOSSES["paper"], LOSSES["research"]
    assert MaskLoss(2).config == paper
    assert (paper.mask_weight, paper.dice_weight, paper.num_points) == (5.0, 2.0, 12_544)
    assert (research.class_weight, research.mask_weight, research.dice_weight) == (2.0, 5.0, 5.0)


def test_the_whole_loss_sums_over_predictions_and_reaches_them_all() -> None:
    torch.manual_seed(0)
    predictions = [
        MaskPrediction(torch.randn(2, 6, 3, requires_grad=True), torch.randn(2, 6, 8, 8, requires_grad=True))
        for _ in range(3)
    ]
    output = MaskDecoderOutput(*predictions[-1], aux=predictions[:-1])
    labels = torch.zeros(2, 32, 32, dtype=torch.long)
    labels[0, :16], labels[1, :, :4] = 1, 255
    losses = MaskLoss(2, LossConfig(num_points=64, semantic_weight=1.0))(output, labels)
    parts = sum(value for name, value in losses.items() if name != "loss")
    torch.testing.assert_close(losses["loss"].detach(), parts)
    losses["loss"].backward()
    assert all(p.class_logits.grad is not None and p.mask_logits.grad is not None for p in predictions)


def test_unlabelled_pixels_do_not_count_in_the_semantic_loss() -> None:
    scores = torch.rand(1, 2, 8, 8)
    labels = torch.zeros(1, 8, 8, dtype=torch.long)
    labels[:, :, 4:] = 255
    changed = scores.clone()
    changed[..., 4:] = torch.rand(1, 2, 8, 4)
    torch.testing.assert_close(semantic_loss(scores, labels), semantic_loss(changed, labels))


def test_an_image_without_any_label_still_has_a_loss() -> None:
    prediction = MaskPrediction(torch.randn(1, 6, 3, requires_grad=True), torch.randn(1, 6, 8, 8, requires_grad=True))
    labels = torch.full((1, 32, 32), 255)
    loss = MaskLoss(2, LossConfig(num_points=64))(MaskDecoderOutput(*prediction, aux=[]), labels)["loss"]
    loss.backward()
    assert loss.isfinite()


@contextmanager
def autocast_of_cuda(dtype: Any) -> Iterator[None]:
    """Without a GPU `torch.autocast("cuda")` turns itself off."""
    before = torch.get_autocast_dtype("cuda")
    torch.set_autocast_dtype("cuda", dtype)
    torch.set_autocast_enabled("cuda", True)
    torch.autocast_increment_nesting()
    try:
        yield
    finally:
        if not torch.autocast_decrement_nesting():
            torch.clear_autocast_cache()
        torch.set_autocast_enabled("cuda", False)
        torch.set_autocast_dtype("cuda", before)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_semantic_loss_of_half_precision_on_a_gpu(dtype: Any) -> None:
    """CUDA refuses what a CPU does not; these tensors are not there, but their operations are checked."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    try:
        with FakeTensorMode(), autocast_of_cuda(dtype):
            scores = torch.rand(2, 2, 16, 16, device="cuda", dtype=dtype)
            loss = semantic_loss(scores, torch.zeros(2, 64, 64, device="cuda", dtype=torch.long))
    except RuntimeError as error:
        if "CUDA error" in str(error):
            pytest.skip("this torch asks a card also for what is not there")
        raise
    assert loss.dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_matching_is_as_exact_in_half_precision(dtype: Any) -> None:
    masks = torch.ones(2, 64, 64)
    masks[1, :, :20] = 0
    given = torch.randn(5, 3), torch.randn(5, 32, 32) - 12, torch.tensor([0, 1]), masks, torch.rand(12_544, 2)
    expected = cost_at_points(*given)
    with torch.autocast("cpu", dtype):
        assert torch.equal(cost_at_points(*given), expected)
