"""SEE: the spatial-aware expert enhancer (WEFT, §3.3)."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from timm.layers import DropPath
from torch import Tensor, nn

from weft_geo.models.deformable_attention import Sizes, split_levels
from weft_geo.models.depthwise_conv import DepthwiseConv
from weft_geo.models.group_cascade import GroupCascade
from weft_geo.models.recompute import Recomputable

SCALES = 3
KERNEL_SIZES = (3, 5, 7)


class SpatialEnhancer(nn.Module):
    """x + w_d·directional(x) + w_p·pooled(x) + w_m·multi-scale(x), on the maps of three scales.

    The convolutions are shared by the scales, the mixing weights are not.

    Differs from the paper: the directional Laplacian is learnt from its starting rows [1, −2, 1]; the adaptive max
        pooling keeps
    the size and so is the identity; the mixing weights do not depend on the input (research code).

    Args:
        channels: C, a multiple of four.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.directional = nn.Conv2d(
            channels, channels, 3, padding=1, padding_mode="reflect", groups=channels, bias=False
        )
        self.multi_scale = nn.ModuleList(
            GroupCascade(channels, partial(DepthwiseConv, kernel_size=k)) for k in KERNEL_SIZES
        )
        self.mixing = nn.Parameter(torch.ones(SCALES, 3))  # a row a scale: directional, pooled, multi-scale
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """The directional branch starts as the second difference along x, summed over three rows."""
        with torch.no_grad():
            self.directional.weight.copy_(torch.tensor([1.0, -2.0, 1.0]).expand_as(self.directional.weight))

    def forward(self, tokens: Tensor, sizes: Sizes) -> Tensor:
        """[B, Σ hᵢ·wᵢ, C] with the (height, width) of the three scales → the same shape."""
        B, _, C = tokens.shape
        enhanced = []
        parts = split_levels(tokens, sizes)
        for part, (h, w), mixing in zip(parts, sizes, self.mixing.softmax(dim=1), strict=True):
            x = part.transpose(1, 2).reshape(B, C, h, w)
            multi_scale = torch.stack([branch(x) for branch in self.multi_scale]).sum(dim=0)
            x = x + mixing[0] * self.directional(x) + mixing[1] * x + mixing[2] * multi_scale
            enhanced.append(F.gelu(x).flatten(2).transpose(1, 2))
        return torch.cat(enhanced, dim=1)


class EnhancerFeedForward(Recomputable):
    """c + DropPath(Linear(GELU(SEE(Linear(LN(c)))))): one trainable block of the expert branch.

    Args:
        dim: D of the tokens.
        ratio: hidden width relative to D.
        drop_path: rate of stochastic depth in training.
        enhance: run SEE (off only for the ablation, where a plain feed-forward remains).
    """

    def __init__(self, dim: int, ratio: float = 0.25, drop_path: float = 0.4, enhance: bool = True) -> None:
        super().__init__()
        hidden = int(dim * ratio)
        self.norm = nn.LayerNorm(dim)
        self.fc1 = nn.Linear(dim, hidden)
        self.enhancer = SpatialEnhancer(hidden) if enhance else None
        self.fc2 = nn.Linear(hidden, dim)
        self.drop_path = DropPath(drop_path)

    def forward(self, tokens: Tensor, sizes: Sizes) -> Tensor:
        """[B, Σ hᵢ·wᵢ, D] → the same shape."""
        out: Tensor = tokens + self.drop_path(self.kept_small(lambda tokens: self.change(tokens, sizes), tokens))
        return out

    def change(self, tokens: Tensor, sizes: Sizes) -> Tensor:
        """What is added to the tokens, of the same shape."""
        hidden = self.fc1(self.norm(tokens))
        if self.enhancer is not None:
            hidden = self.enhancer(hidden, sizes)
        added: Tensor = self.fc2(F.gelu(hidden))
        return added
