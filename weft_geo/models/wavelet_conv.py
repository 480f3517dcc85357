"""A depthwise convolution that also works in the wavelet domain."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from weft_geo.models.depthwise_conv import DepthwiseConv
from weft_geo.models.wavelet import pad_to_even, wavelet_transform


class WaveletConv(nn.Module):
    """base(x) + inverse(depthwise(forward(x))), one wavelet level (WTConv, Finder et al., ECCV 2024).

    The kernel sees k pixels in the base branch and 2k in the detail branch.

    Args:
        channels: C, in and out.
        kernel_size: odd k of both depthwise convolutions.
        wavelet: a PyWavelets name.
    """

    def __init__(self, channels: int, kernel_size: int, wavelet: str = "haar") -> None:
        super().__init__()
        self.transform = wavelet_transform(wavelet, channels)
        self.base = DepthwiseConv(channels, kernel_size)
        self.base_scale = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.detail = DepthwiseConv(4 * channels, kernel_size, bias=False)
        self.detail_scale = nn.Parameter(torch.full((1, 4 * channels, 1, 1), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] → [B, C, H, W], any H and W."""
        H, W = x.shape[-2:]
        even = pad_to_even(x)
        detail = self.transform.inverse(self.detail(self.transform(even)) * self.detail_scale)
        if even is not x:
            detail = detail[..., :H, :W]
        out: Tensor = self.base(x) * self.base_scale + detail
        return out
