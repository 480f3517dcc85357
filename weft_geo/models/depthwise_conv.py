"""A depthwise convolution that keeps its size, laid out in memory so that large kernels are fast on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# oneDNN has no fast NCHW kernel from 11×11 on forwards (AVX2), and from 5×5 on backwards; channels-last is up to 12
# times faster there.
CHANNELS_LAST_FROM = 5


class DepthwiseConv(nn.Conv2d):
    """k×k, one filter a channel, zero padding.

    Args:
        channels: C, in and out.
        kernel_size: odd k.
        bias: add a learnt bias.
    """

    def __init__(self, channels: int, kernel_size: int, *, bias: bool = True) -> None:
        super().__init__(channels, channels, kernel_size, padding=kernel_size // 2, groups=channels, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] → [B, C, H, W]."""
        if self.kernel_size == (1, 1) and not torch.onnx.is_in_onnx_export():
            # One factor a channel; as a convolution, torch takes the channels one by one.
            scaled = x * self.weight.view(-1, 1, 1)
            return scaled if self.bias is None else scaled + self.bias.view(-1, 1, 1)
        if self.kernel_size[0] < CHANNELS_LAST_FROM or x.is_cuda:
            return super().forward(x)
        return super().forward(x.contiguous(memory_format=torch.channels_last)).contiguous()
