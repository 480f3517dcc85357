"""The expert-guided conditional (EC) adapter: one stage (WEFT, §3.3)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from weft_geo.models.deformable_attention import DeformableAttention, Sizes
from weft_geo.models.esto import SubspaceTokenOptimizer
from weft_geo.models.recompute import Recomputable
from weft_geo.models.see import EnhancerFeedForward


class ExpertInjection(Recomputable):
    """x + γ ⊙ ESTO(DeformableAttention(LN(x), LN(c))): what the experts found, told to the frozen trunk.

    γ starts at zero, so training starts from the trunk as it was.

    Args:
        dim: D.
        num_heads: heads of the deformable attention.
        num_points: points per head and level.
        value_ratio: width of the sampled values relative to D.
        esto: run ESTO (off only for the ablation).
        statistics: see `SubspaceTokenOptimizer`.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int = 16,
        num_points: int = 4,
        value_ratio: float = 0.5,
        esto: bool = True,
        statistics: Literal["image", "batch"] = "image",
    ) -> None:
        super().__init__()
        self.query_norm = nn.LayerNorm(dim)
        self.value_norm = nn.LayerNorm(dim)
        self.attention = DeformableAttention(dim, num_heads, 3, num_points, value_ratio)
        self.esto = SubspaceTokenOptimizer(statistics) if esto else nn.Identity()
        self.gamma = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor, c: Tensor, reference: Tensor, sizes: Sizes) -> Tensor:
        """Trunk tokens x [B, N, D] and expert tokens c [B, 21N/4, D] → x of the same shape.

        `reference` is [N, 2] and `sizes` the three (height, width) of c, as in `DeformableAttention`.
        """
        return self.kept_small(lambda x, c: self.inject(x, c, reference, sizes), x, c)

    def inject(self, x: Tensor, c: Tensor, reference: Tensor, sizes: Sizes) -> Tensor:
        """What `forward` gives."""
        attended = self.attention(self.query_norm(x), reference, self.value_norm(c), sizes)
        out: Tensor = x + self.gamma * self.esto(attended)
        return out


class ECAdapterStage(nn.Module):
    """What one stage adds around a group of frozen trunk layers: injection before them, enhancement beside them.

    Args:
        dim: D.
        injection: the injection into the trunk.
        num_enhancers: SEE blocks of the stage (three in the last one, else one).
        see_ratio: hidden width of a SEE block relative to D.
        drop_path: rate of stochastic depth in the SEE blocks.
        see: run SEE in them (off only for the ablation).
    """

    def __init__(
        self,
        dim: int,
        injection: ExpertInjection,
        num_enhancers: int = 1,
        see_ratio: float = 0.25,
        drop_path: float = 0.4,
        see: bool = True,
    ) -> None:
        super().__init__()
        self.injection = injection
        self.enhancement = nn.ModuleList(
            EnhancerFeedForward(dim, see_ratio, drop_path, see) for _ in range(num_enhancers)
        )

    def enhance(self, c: Tensor, sizes: Sizes) -> Tensor:
        """Expert tokens [B, 21N/4, D] → the same shape. The expert branch never sees the trunk."""
        for block in self.enhancement:
            c = block(c, sizes)
        return c
