"""ESTO: the boundary-aware subspace token optimizer (WEFT, §3.3)."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SUBSPACES = 4
BOUNDARY_WEIGHT = 0.5


class SubspaceTokenOptimizer(nn.Module):
    """Re-expresses tokens by one another in four subspaces, more so where channels vary most, i.e. at boundaries.

    Differs from the paper: no learnt projections; tokens are normalised over all channels before the split into
        subspaces, and
    the softmax is scaled by (C/4)^-½ all the same (research code).

    Args:
        statistics: over what the variance of tokens is standardised. "image" (default): over the tokens of each
            image, so that an answer never depends on its neighbours in the batch. "batch": over the whole batch, as
            the research code does; for one image both are the same.
    """

    def __init__(self, statistics: Literal["image", "batch"] = "image") -> None:
        super().__init__()
        if statistics not in ("image", "batch"):
            raise ValueError(f'statistics must be "image" or "batch", not {statistics!r}')
        self.statistics = statistics
        self.gate = nn.Linear(1, 1)

    def boundary_mask(self, tokens: Tensor) -> Tensor:
        """[B, N, C] → [B, N, 1] in (0, 1): high where a token's channels vary more than is usual in the image."""
        variance = tokens.detach().var(dim=-1, keepdim=True)
        over = (1, 2) if self.statistics == "image" else (0, 1, 2)
        mean = variance.mean(dim=over, keepdim=True)
        deviation = variance.std(dim=over, keepdim=True)
        return torch.sigmoid((variance - mean) / (deviation + 1e-6))

    def forward(self, tokens: Tensor) -> Tensor:
        """[B, N, C] → [B, N, C], C a multiple of four."""
        B, N, C = tokens.shape
        keys = F.normalize(tokens, dim=-1).view(B, N, SUBSPACES, C // SUBSPACES).transpose(1, 2)
        values = tokens.view(B, N, SUBSPACES, C // SUBSPACES).transpose(1, 2)
        refined = F.scaled_dot_product_attention(keys, keys, values).transpose(1, 2).reshape(B, N, C)
        refined = refined * (1 + BOUNDARY_WEIGHT * self.boundary_mask(tokens))
        gate = torch.sigmoid(self.gate(tokens.mean(dim=(1, 2)).unsqueeze(-1)))  # [B, 1]
        return tokens + gate.unsqueeze(-1) * refined
