"""One wavelet expert of the task-specific wavelet expert extractor."""

from __future__ import annotations

from functools import partial

from weft_geo.models.group_cascade import GroupCascade
from weft_geo.models.wavelet_conv import WaveletConv


class WaveletExpert(GroupCascade):
    """A group cascade of wavelet convolutions; experts differ by their kernel size alone (WEFT, §3.2).

    Differs from the paper: a four-group residual cascade around the depthwise wavelet convolution, as the research
        code has it.

    Args:
        channels: C, in and out; a multiple of four.
        kernel_size: odd k; the paper's seven experts have 1, 3, 5, 7, 9, 11, 13.
        wavelet: a PyWavelets name.
    """

    def __init__(self, channels: int, kernel_size: int, wavelet: str = "haar") -> None:
        super().__init__(channels, partial(WaveletConv, kernel_size=kernel_size, wavelet=wavelet))
