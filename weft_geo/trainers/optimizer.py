"""AdamW with the research code's parameter groups, and its schedule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

# Parts of the decoder whose names the research code's layer-wise decay does not know, and so takes for the earliest
# layer.
_SLOW_HEADS = ("query_features", "query_positions", "level_embed", "class_head", "mask_head")
TRUNK_LAYERS = 24
LAYER_DECAY = 0.9


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


def parameter_groups(model: nn.Module, config: OptimizerConfig) -> list[dict[str, Any]]:
    """The trainable parameters in up to four groups: weight decay or none, full rate or slow."""
    slow = LAYER_DECAY ** (TRUNK_LAYERS + 1) if config.decoder_heads == "research" else 1.0
    groups: dict[tuple[bool, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            decayed = parameter.dim() > 1 and not name.endswith((".bias", ".mixing"))
            head = name.removeprefix("mask_decoder.").startswith(_SLOW_HEADS) and name.startswith("mask_decoder.")
            groups.setdefault((decayed, slow if head else 1.0), []).append(parameter)
    return [
        {"params": parameters, "weight_decay": config.weight_decay if decayed else 0.0, "lr": config.lr * scale}
        for (decayed, scale), parameters in groups.items()
    ]


def rate_factor(step: int, config: OptimizerConfig) -> float:
    """What the learning rate is multiplied by at a 0-based step: polynomial decay times linear warm-up."""
    decay: float = max(1.0 - step / config.max_steps, 0.0) ** config.power
    if step >= config.warmup_steps:
        return decay
    return decay * (1.0 - (1.0 - step / config.warmup_steps) * (1.0 - 1e-6))


def build_optimizer(
    model: nn.Module, config: OptimizerConfig
) -> tuple[torch.optim.AdamW, torch.optim.lr_scheduler.LambdaLR]:
    """AdamW and its schedule, to be stepped once an iteration."""
    optimizer = torch.optim.AdamW(parameter_groups(model, config), lr=config.lr, betas=config.betas)
    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_factor(step, config))
