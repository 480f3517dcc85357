"""What the engine does to a window before and after the model, in torch: the same to the bit as in numpy.

Each operation rounds once, in the type that numpy uses, so the device does not matter. Divisors are tensors: by a
number, a GPU multiplies with its reciprocal instead.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from weft_geo.geo.normalize import Normalizer
from weft_geo.inference.blending import LEVELS
from weft_geo.inference.symmetries import MODES, Symmetries

KNOWN = {"uint8", "int8", "int16", "int32", "int64", "float32", "float64"}
"""Types that torch calculates with; uint16 travels as int16."""


def portable(values: NDArray[Any]) -> NDArray[Any]:
    """Stored values as an array that torch takes; ``normalize`` is told their own type."""
    if values.dtype == np.uint16:
        return values.view(np.int16)
    if values.dtype.name in KNOWN:
        return values
    return values.astype(np.float32 if values.dtype.itemsize <= 2 else np.float64)


def normalize(values: Tensor, valid: Tensor | None, normalizer: Normalizer, stored: np.dtype[Any]) -> Tensor:
    """What ``Normalizer`` does.

    Args:
        values: [n, C, h, w], what ``portable`` made of the stored values.
        valid: bool [n, h, w]; None if all pixels are.
        normalizer: The scene's.
        stored: The type of the stored values.

    Returns:
        float32 [n, C, h, w].
    """
    dtype = torch.float32 if stored.itemsize <= 2 else torch.float64

    def per_band(numbers: tuple[float, ...]) -> Tensor:
        return _per_band(numbers, dtype, values.device)

    scale = tuple(255 / (high - low) for low, high in zip(normalizer.low, normalizer.high, strict=True))
    if stored == np.uint16:
        values = values.to(torch.int32) & 0xFFFF
    scaled = values.to(dtype) - per_band(normalizer.low)
    scaled.mul_(per_band(scale)).clamp_(0, 255).sub_(per_band(normalizer.mean)).div_(per_band(normalizer.std))
    normal = scaled.to(torch.float32)
    return normal if valid is None else normal.masked_fill_(~valid[:, None], 0)


@lru_cache(maxsize=64)
def _per_band(numbers: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """[C, 1, 1] on the device; made once, for a GPU's other work is waited for when numbers are brought there."""
    return torch.tensor(numbers, dtype=dtype, device=device)[:, None, None]


def mean_over(symmetries: Symmetries, predict: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """What ``symmetries.mean_over`` does: [n, C, h, w] → [n, K, h, w]."""
    if symmetries == MODES["none"]:
        return predict(images)
    total: Tensor | None = None
    for turns, mirrored in symmetries:
        seen = images.flip(3) if mirrored else images
        said = predict(seen.rot90(turns, (2, 3))).rot90(-turns, (2, 3))
        said = said.flip(3) if mirrored else said
        total = said if total is None else total + said
    assert total is not None
    return total / len(symmetries)


def to_levels(probabilities: Tensor) -> Tensor:
    """What ``blending.to_levels`` does: float32 of any shape → its uint16 as int16."""
    return probabilities.clamp(0, 1).mul_(LEVELS).round_().to(torch.int32).to(torch.int16)
