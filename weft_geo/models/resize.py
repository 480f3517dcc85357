"""Resizing maps, as PyTorch does it or, in an exported graph, as two matrix products.

ONNX Runtime's Resize visits pixel by pixel and takes several times as long on a CPU as the products, which are the
same sums: resizing is separable, and along one axis every new pixel is a weighted sum of old ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Mode = Literal["bilinear", "bicubic"]

_CUBIC = -0.75  # PyTorch's and OpenCV's parameter of Keys' kernel


def resize(x: Tensor, size: Sequence[int], mode: Mode = "bilinear") -> Tensor:
    """[B, C, h, w] → [B, C, height, width] of `size`, pixel centres at half pixels, borders repeated."""
    if not torch.onnx.is_in_onnx_export():
        return F.interpolate(x, size=tuple(size), mode=mode, align_corners=False)
    rows, cols = (resize_matrix(old, new, mode, x) for old, new in zip(x.shape[-2:], size, strict=True))
    return rows @ (x @ cols.T)


def resize_matrix(old: int, new: int, mode: Mode, like: Tensor) -> Tensor:
    """[new, old], old ≥ 2: the weight of each old pixel of an axis in each new one, of the dtype and device of `like`.

    Source: the half-pixel rule of `torch.nn.functional.interpolate`; Keys (1981) for the cubic kernel.
    """
    centre = (torch.arange(new, dtype=like.dtype, device=like.device) + 0.5) * old / new - 0.5
    if mode == "bilinear":
        place = torch.arange(old, dtype=like.dtype, device=like.device)
        return (1 - (centre.clamp(0, old - 1)[:, None] - place).abs()).clamp_min(0)
    # Two pixels beyond either border, which stand for the border's own.
    place = torch.arange(old + 4, dtype=like.dtype, device=like.device) - 2
    distance = (centre[:, None] - place).abs()
    near = ((_CUBIC + 2) * distance - (_CUBIC + 3)) * distance**2 + 1
    far = ((distance - 5) * distance + 8) * distance * _CUBIC - 4 * _CUBIC
    weights = torch.where(distance <= 1, near, torch.where(distance < 2, far, torch.zeros_like(distance)))
    first, last = (part.sum(dim=1, keepdim=True) for part in (weights[:, :3], weights[:, -3:]))
    return torch.cat((first, weights[:, 3:-3], last), dim=1)
