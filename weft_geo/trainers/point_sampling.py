"""Masks looked at in a few points (Kirillov et al., PointRend, CVPR 2020)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def sample_points(maps: Tensor, points: Tensor) -> Tensor:
    """Maps [N, C, H, W] at points [N, P, 2], (x, y) in [0, 1], bilinearly and 0 outside → [N, C, P]."""
    grid = 2 * points.unsqueeze(2) - 1
    return F.grid_sample(maps, grid, mode="bilinear", padding_mode="zeros", align_corners=False).squeeze(3)


@torch.no_grad()
def uncertain_points(mask_logits: Tensor, candidates: Tensor, count: int) -> Tensor:
    """The `count` candidates where a mask is least sure, i.e. of the smallest |logit|.

    Args:
        mask_logits: [N, h, w].
        candidates: [N, M, 2], random points in [0, 1], M ≥ count.
        count: how many to keep.

    Returns:
        [N, count, 2], in any order.
    """
    uncertainty = sample_points(mask_logits.unsqueeze(1), candidates).squeeze(1).abs()
    chosen = uncertainty.topk(count, dim=1, largest=False, sorted=False).indices
    return candidates.gather(1, chosen.unsqueeze(-1).expand(-1, -1, 2))
