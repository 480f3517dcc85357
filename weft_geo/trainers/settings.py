"""What shapes the loss and the optimizer. No torch, so that a configuration is checked before that loads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class LossConfig:
    """Weights and points of the loss.

    Attributes:
        class_weight: weight of the cross-entropy over classes.
        mask_weight: weight of the binary cross-entropy on masks.
        dice_weight: weight of the dice loss on masks.
        semantic_weight: weight of BCE + dice on the object probability itself, which is what inference thresholds.
            Not in the paper (0): it brings a small model that starts from random values to a useful map sooner.
        no_object_weight: weight of "no object" among the classes.
        num_points: points per mask.
        oversample: candidates per point.
        importance: share of the points that are chosen for their uncertainty.
    """

    class_weight: float = 2.0
    mask_weight: float = 5.0
    dice_weight: float = 2.0
    semantic_weight: float = 0.0
    no_object_weight: float = 0.1
    num_points: int = 12_544
    oversample: float = 3.0
    importance: float = 0.75


LOSSES: dict[str, LossConfig] = {
    # The paper's text: 5·BCE + 2·Dice. It names no weight for the classes; theirs is the research configuration's.
    "paper": LossConfig(),
    # The research configuration, from which the published numbers come.
    "research": LossConfig(dice_weight=5.0),
}


@dataclass(frozen=True)
class OptimizerConfig:
    """The regime of the paper.

    Attributes:
        lr: learning rate at the end of the warm-up.
        betas: of AdamW.
        weight_decay: on matrices and larger; never on vectors and biases.
        warmup_steps: linear from 1e-6 times the rate.
        max_steps: where the rate reaches 0.
        power: of the polynomial decay.
        decoder_heads: "equal" trains the decoder's tables and heads at the full rate. "research" at 0.9²⁵ ≈ 0.072 of
            it, which the research code does as a side effect of its layer-wise decay.
    """

    lr: float = 5e-5
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.05
    warmup_steps: int = 1_500
    max_steps: int = 80_000
    power: float = 1.0
    decoder_heads: Literal["equal", "research"] = "equal"
