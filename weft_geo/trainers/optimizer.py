"""AdamW with the research code's parameter groups, and its schedule."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from weft_geo.trainers.settings import OptimizerConfig

# Parts of the decoder whose names the research code's layer-wise decay does not know, and so takes for the earliest
# layer.
_SLOW_HEADS = ("query_features", "query_positions", "level_embed", "class_head", "mask_head")
TRUNK_LAYERS = 24
LAYER_DECAY = 0.9


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
