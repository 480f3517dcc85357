"""The loss of the mask decoder: matched queries, judged in points, after every decoder layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from weft_geo.models.mask_decoder import MaskDecoderOutput, MaskPrediction
from weft_geo.models.precision import full_precision
from weft_geo.models.segmenter import semantic_scores
from weft_geo.trainers.matcher import assign, cost_at_points
from weft_geo.trainers.point_sampling import sample_points, uncertain_points
from weft_geo.trainers.settings import LossConfig

IGNORE = 255


MATCHING = {"class_weight": 2.0, "mask_weight": 5.0, "dice_weight": 5.0}


@dataclass(frozen=True)
class Targets:
    """What there is to find in one image: one mask for each class that is present.

    Attributes:
        labels: [T], rising; 0 is the background.
        masks: [T, H, W] of 0 and 1. Ignored pixels are 0 in all of them.
    """

    labels: Tensor
    masks: Tensor

    @classmethod
    def from_label_map(cls, label_map: Tensor, num_classes: int) -> Targets:
        """From [H, W] of class numbers, `IGNORE` where there is no label."""
        present = torch.arange(num_classes, device=label_map.device)
        masks = label_map.unsqueeze(0) == present[:, None, None]
        kept = masks.flatten(1).any(dim=1)
        return cls(present[kept], masks[kept].float())


@dataclass(frozen=True)
class MatchedPoints:
    """The random choices of one prediction's loss, so that a test can fix them.

    Attributes:
        matching: per image [P, 2].
        candidates: [N, oversample·P, 2] for the N matched masks, ordered by image, then query.
        extra: [N, E, 2].
    """

    matching: Sequence[Tensor]
    candidates: Tensor | None = field(default=None)
    extra: Tensor | None = field(default=None)


class MaskLoss(nn.Module):
    """Σ over predictions of class CE, mask BCE and mask dice on matched queries (Mask2Former, §3.2 and §4.1).

    Args:
        num_classes: K, background included.
        config: its weights.
    """

    class_weights: Tensor

    def __init__(self, num_classes: int, config: LossConfig | None = None) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.config = config or LossConfig()
        weights = torch.ones(num_classes + 1)
        weights[-1] = self.config.no_object_weight
        self.register_buffer("class_weights", weights, persistent=False)

    def forward(self, output: MaskDecoderOutput, label_maps: Tensor) -> dict[str, Tensor]:
        """The loss and its parts.

        Args:
            output: of the model, for B images.
            label_maps: [B, H, W] of class numbers, `IGNORE` where there is no label.

        Returns:
            "loss", and detached "class", "mask", "dice", "semantic", each summed over predictions with its weight.
        """
        targets = [Targets.from_label_map(label_map, self.num_classes) for label_map in label_maps]
        last = MaskPrediction(output.class_logits, output.mask_logits)
        parts = [self.of_prediction(prediction, targets) for prediction in (*output.aux, last)]
        summed = {name: torch.stack([part[name] for part in parts]).sum() for name in parts[0]}
        if self.config.semantic_weight:
            summed["semantic"] = self.config.semantic_weight * semantic_loss(semantic_scores(output), label_maps)
        total = torch.stack(list(summed.values())).sum()
        return {"loss": total, **{name: value.detach() for name, value in summed.items()}}

    def of_prediction(
        self, prediction: MaskPrediction, targets: Sequence[Targets], points: MatchedPoints | None = None
    ) -> dict[str, Tensor]:
        """The weighted "class", "mask" and "dice" of one prediction. `points` fixes the random choices."""
        class_logits, mask_logits = prediction.class_logits.float(), prediction.mask_logits.float()
        config = self.config
        matching = (
            points.matching if points else [mask_logits.new_empty(config.num_points, 2).uniform_() for _ in targets]
        )
        # All costs before any assignment, which waits for them: a GPU has the next ones to do meanwhile.
        costs = [
            cost_at_points(class_logits[i], mask_logits[i], target.labels, target.masks, matching[i], **MATCHING)
            for i, target in enumerate(targets)
        ]
        pairs = [assign(cost) for cost in costs]
        wanted = torch.full(class_logits.shape[:2], self.num_classes, dtype=torch.long, device=class_logits.device)
        for i, (queries, chosen) in enumerate(pairs):
            wanted[i, queries] = targets[i].labels[chosen]
        class_loss = F.cross_entropy(class_logits.flatten(0, 1), wanted.flatten(), weight=self.class_weights)

        matched = torch.cat([mask_logits[i, queries] for i, (queries, _) in enumerate(pairs)])
        truth = torch.cat([targets[i].masks[chosen] for i, (_, chosen) in enumerate(pairs)])
        matched_points, truth_points = self.at_uncertain_points(matched, truth, points)
        count = _mean_over_processes(matched.new_tensor(float(len(matched)))).clamp_min(1)
        bce = (
            F.binary_cross_entropy_with_logits(matched_points, truth_points, reduction="none").mean(dim=1).sum() / count
        )
        dice = dice_loss(matched_points.sigmoid(), truth_points).sum() / count
        return {
            "class": config.class_weight * class_loss,
            "mask": config.mask_weight * bce,
            "dice": config.dice_weight * dice,
        }

    def at_uncertain_points(
        self, matched: Tensor, truth: Tensor, points: MatchedPoints | None
    ) -> tuple[Tensor, Tensor]:
        """Mask logits [N, h, w] and truth [N, H, W] at the points of the loss: [N, P] each."""
        config, N = self.config, len(matched)
        certain = int(config.importance * config.num_points)
        if points and points.candidates is not None and points.extra is not None:
            candidates, extra = points.candidates, points.extra
        else:
            candidates = matched.new_empty(N, int(config.oversample * config.num_points), 2).uniform_()
            extra = matched.new_empty(N, config.num_points - certain, 2).uniform_()
        where = torch.cat((uncertain_points(matched, candidates, certain), extra), dim=1)
        with torch.no_grad():
            truth_points = sample_points(truth.unsqueeze(1), where).squeeze(1)
        return sample_points(matched.unsqueeze(1), where).squeeze(1), truth_points


def dice_loss(probability: Tensor, truth: Tensor) -> Tensor:
    """1 − (2Σpt + 1)/(Σp + Σt + 1) along the last axis: [N, P] twice → [N]."""
    overlap = 2 * (probability * truth).sum(dim=-1)
    return 1 - (overlap + 1) / (probability.sum(dim=-1) + truth.sum(dim=-1) + 1)


def semantic_loss(scores: Tensor, label_maps: Tensor) -> Tensor:
    """BCE + dice of the probability of being no background, on pixels that have a label.

    Args:
        scores: [B, K, h, w], the model's semantic scores.
        label_maps: [B, H, W].
    """
    with full_precision(scores.device):  # CUDA's autocast refuses this BCE, and in half 1 − 1e-5 is 1
        return _semantic_loss(scores.float(), label_maps)


def _semantic_loss(scores: Tensor, label_maps: Tensor) -> Tensor:
    resized = F.interpolate(scores, size=label_maps.shape[-2:], mode="bilinear", align_corners=False)
    probability = resized[:, 1:].sum(dim=1) / resized.sum(dim=1).clamp_min(1e-6)
    valid = label_maps != IGNORE
    truth = ((label_maps > 0) & valid).float()
    known = valid.float()
    bce = F.binary_cross_entropy(probability.clamp(1e-5, 1 - 1e-5), truth, weight=known, reduction="sum")
    return bce / known.sum().clamp_min(1) + dice_loss((probability * known).flatten(1), truth.flatten(1)).mean()


def _mean_over_processes(value: Tensor) -> Tensor:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(value)
        value = value / torch.distributed.get_world_size()
    return value
