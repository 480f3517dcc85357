"""Normalised sine positions of a map (Carion et al., DETR, ECCV 2020)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_TEMPERATURE = 10_000.0
_EPS = 1e-6


def _axis(length: int, features: int, like: Tensor) -> Tensor:
    """[length, features]: interleaved sines and cosines of the positions 1…length, scaled to 2π."""
    position = torch.arange(1, length + 1, dtype=like.dtype, device=like.device) / (length + _EPS) * (2 * math.pi)
    exponent = torch.arange(features, device=like.device).div(2, rounding_mode="floor").to(like.dtype) * 2 / features
    angle = position[:, None] / _TEMPERATURE**exponent
    return torch.stack((angle[:, 0::2].sin(), angle[:, 1::2].cos()), dim=-1).flatten(1)


def sine_position(height: int, width: int, features: int, like: Tensor) -> Tensor:
    """[height·width, 2·features], row-major: first the features of y, then those of x."""
    y = _axis(height, features, like)[:, None].expand(-1, width, -1)
    x = _axis(width, features, like)[None].expand(height, -1, -1)
    return torch.cat((y, x), dim=-1).reshape(height * width, 2 * features)
