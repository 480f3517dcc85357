"""One level of a two-dimensional wavelet transform, forward and inverse.

Haar, the model's own wavelet, is computed by slicing; every other wavelet goes through `pytorch_wavelets`, which is
also the oracle that the Haar path is tested against.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from weft_geo.models.precision import full_precision

# Sub-bands in the research code's order; rows run down the image. The first is the local mean (times 2), the others
# are details.
_HAAR = torch.tensor(
    [
        [[0.5, 0.5], [0.5, 0.5]],
        [[0.5, 0.5], [-0.5, -0.5]],
        [[0.5, -0.5], [0.5, -0.5]],
        [[0.5, -0.5], [-0.5, 0.5]],
    ]
)


def haar_filters(channels: int) -> Tensor:
    """The orthonormal Haar filters repeated per channel, [4·channels, 1, 2, 2], sub-bands of a channel adjacent."""
    return _HAAR.repeat(channels, 1, 1).unsqueeze(1)


def haar_forward(x: Tensor) -> Tensor:
    """Haar analysis of [B, C, H, W] (H and W even) into [B, 4·C, H/2, W/2], sub-bands of a channel adjacent."""
    upper = x[..., 0::2, :]
    lower = x[..., 1::2, :]
    total, vertical = upper + lower, upper - lower
    bands = (
        total[..., 0::2] + total[..., 1::2],
        vertical[..., 0::2] + vertical[..., 1::2],
        total[..., 0::2] - total[..., 1::2],
        vertical[..., 0::2] - vertical[..., 1::2],
    )
    return 0.5 * torch.stack(bands, dim=2).flatten(1, 2)


def haar_inverse(bands: Tensor) -> Tensor:
    """Haar synthesis of [B, 4·C, h, w] into [B, C, 2h, 2w]; the inverse of `haar_forward`."""
    B, C4, h, w = bands.shape
    mean, vertical, horizontal, diagonal = bands.view(B, C4 // 4, 4, h, w).unbind(2)
    left_upper = mean + vertical + horizontal + diagonal
    right_upper = mean + vertical - horizontal - diagonal
    left_lower = mean - vertical + horizontal - diagonal
    right_lower = mean - vertical - horizontal + diagonal
    upper = torch.stack((left_upper, right_upper), dim=-1)
    lower = torch.stack((left_lower, right_lower), dim=-1)
    return 0.5 * torch.stack((upper, lower), dim=-3).reshape(B, C4 // 4, 2 * h, 2 * w)


class HaarTransform(nn.Module):
    """Haar forward and inverse for a fixed number of channels.

    The filters are kept as frozen parameters, because the research checkpoints hold them and count them (512 values for
    16 channels). Only an exported graph reads them, where one convolution is better than a dozen slices;
    `load_official` refuses a checkpoint whose filters are not Haar's.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.analysis_filters = nn.Parameter(haar_filters(channels), requires_grad=False)
        self.synthesis_filters = nn.Parameter(haar_filters(channels), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] with even H and W → [B, 4·C, H/2, W/2]."""
        if torch.onnx.is_in_onnx_export():
            return F.conv2d(x, self.analysis_filters, stride=2, groups=self.channels)
        return haar_forward(x)

    def inverse(self, bands: Tensor) -> Tensor:
        """[B, 4·C, h, w] → [B, C, 2h, 2w]."""
        if torch.onnx.is_in_onnx_export():
            return F.conv_transpose2d(bands, self.synthesis_filters, stride=2, groups=self.channels)
        return haar_inverse(bands)


class FilterBankTransform(nn.Module):
    """Any orthogonal or biorthogonal wavelet of PyWavelets ("db2", "sym4", "bior2.2" …), through `pytorch_wavelets`.

    Periodic boundaries keep the sub-bands at exactly half the size, so that forward and inverse are exact inverses.
    """

    def __init__(self, wavelet: str) -> None:
        super().__init__()
        from pytorch_wavelets import DWTForward, DWTInverse

        self.analysis = DWTForward(J=1, wave=wavelet, mode="periodization")
        self.synthesis = DWTInverse(wave=wavelet, mode="periodization")

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] with even H and W → [B, 4·C, H/2, W/2]."""
        with full_precision(x.device):  # its own backward pass does not know of autocast
            low, (high,) = self.analysis(x.float())
        return torch.cat((low.unsqueeze(2), high), dim=2).flatten(1, 2)

    def inverse(self, bands: Tensor) -> Tensor:
        """[B, 4·C, h, w] → [B, C, 2h, 2w]."""
        B, C4, h, w = bands.shape
        split = bands.float().view(B, C4 // 4, 4, h, w)
        with full_precision(bands.device):
            out: Tensor = self.synthesis((split[:, :, 0], [split[:, :, 1:]]))
        return out


def wavelet_transform(wavelet: str, channels: int) -> HaarTransform | FilterBankTransform:
    """The transform for a wavelet by its PyWavelets name; "haar" and "db1" are the fast path."""
    return HaarTransform(channels) if wavelet in ("haar", "db1") else FilterBankTransform(wavelet)


def pad_to_even(x: Tensor) -> Tensor:
    """Zero rows and columns at the bottom and right so that H and W are even."""
    H, W = x.shape[-2:]
    if torch.onnx.is_in_onnx_export():
        return x  # a graph cannot branch on the size; its contract asks for sizes that stay even (`export.MULTIPLE_OF`)
    return F.pad(x, (0, W % 2, 0, H % 2)) if H % 2 or W % 2 else x
