"""Four channel groups passed one after the other through one shared unit."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

GROUPS = 4


class GroupCascade(nn.Module):
    """y₀ = U(s₀), yᵢ = U(yᵢ₋₁ + sᵢ); output ReLU(BN(conv1×1(cat(y) + x))).

    Both the wavelet experts and the multi-scale branches of SEE are this, with another convolution inside U.

    Args:
        channels: C, in and out; a multiple of four.
        convolution: builds the depthwise convolution of U for C/4 channels.
    """

    def __init__(self, channels: int, convolution: Callable[[int], nn.Module]) -> None:
        super().__init__()
        if channels % GROUPS:
            raise ValueError(f"channels must be a multiple of {GROUPS}, not {channels}")
        width = channels // GROUPS
        self.unit = nn.Sequential(convolution(width), nn.BatchNorm2d(width), nn.ReLU(inplace=True))
        self.mix = nn.Sequential(nn.Conv2d(channels, channels, 1), nn.BatchNorm2d(channels), nn.ReLU(inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] → [B, C, H, W]."""
        first, *rest = x.chunk(GROUPS, dim=1)
        outputs = [self.unit(first)]
        for group in rest:
            outputs.append(self.unit(outputs[-1] + group))
        mixed: Tensor = self.mix(torch.cat(outputs, dim=1) + x)
        return mixed
