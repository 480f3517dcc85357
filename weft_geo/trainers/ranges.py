"""Which numbers a configuration may hold."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

from weft_geo.errors import InputError

_ANY = math.inf
# Smallest and largest value, for values that say nothing of each other.
_RANGES: dict[str, dict[str, tuple[float, float]]] = {
    "data": {"limit": (1, _ANY), "overfit": (1, _ANY), "workers": (0, _ANY)},
    "model": {"experts": (1, 7)},
    "loss": {
        "class_weight": (0, _ANY), "mask_weight": (0, _ANY), "dice_weight": (0, _ANY), "semantic_weight": (0, _ANY),
        "no_object_weight": (0, _ANY), "num_points": (1, _ANY), "oversample": (1, _ANY), "importance": (0, 1),
    },
    "optimizer": {"weight_decay": (0, _ANY), "warmup_steps": (0, _ANY), "power": (0, _ANY), "max_steps": (1, _ANY)},
    "run": {
        "seed": (0, _ANY), "ema": (0, 1), "clip": (0, _ANY), "freeze_norms_at": (0, 1), "patience": (0, _ANY),
        "pictures": (0, _ANY), "batch_size": (1, _ANY), "accumulate": (1, _ANY), "val_every": (1, _ANY),
        "save_every": (1, _ANY), "log_every": (1, _ANY),
    },
}  # fmt: skip


def check_ranges(section: str, values: Any) -> None:
    """Refuse numbers out of their range, and nothing where something must be said.

    Args:
        section: of the configuration.
        values: its dataclass.

    Raises:
        InputError: one is.
    """
    for named in fields(values):
        value = getattr(values, named.name)
        if value is None and named.default is not None:
            raise InputError(f"{section}.{named.name} must not be empty; leave it out for {named.default!r}")
        if value is None or named.name not in _RANGES.get(section, {}):
            continue
        low, high = _RANGES[section][named.name]
        if not (low <= value <= high and math.isfinite(value)):
            wanted = f"lie in {low}…{high}" if high < math.inf else f"be {low} or more"
            raise InputError(f"{section}.{named.name} must {wanted}, not {value}")
