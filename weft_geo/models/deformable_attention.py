"""Multi-scale deformable attention (Zhu et al., Deformable DETR, ICLR 2021, eq. 3), in plain PyTorch."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Sizes = tuple[tuple[int, int], ...]


class DeformableAttention(nn.Module):
    """Each query looks at a few learnt points around its reference point on every level.

    Written here, because torchvision has no such layer, the CUDA operator of the original is not installable from a
    wheel, and transformers' copy keeps values at full width (no `value_ratio`).

    Args:
        dim: D of queries, values and output.
        num_heads: heads; D·value_ratio must be a multiple.
        num_levels: levels of the value pyramid.
        num_points: points per head and level.
        value_ratio: width of the sampled values relative to D.
    """

    def __init__(
        self, dim: int, num_heads: int = 8, num_levels: int = 3, num_points: int = 4, value_ratio: float = 1.0
    ) -> None:
        super().__init__()
        value_dim = int(dim * value_ratio)
        if value_dim % num_heads:
            raise ValueError(f"value width {value_dim} is not a multiple of {num_heads} heads")
        self.num_heads, self.num_levels, self.num_points = num_heads, num_levels, num_points
        self.sampling_offsets = nn.Linear(dim, num_heads * num_levels * num_points * 2)
        self.attention_weights = nn.Linear(dim, num_heads * num_levels * num_points)
        self.value_proj = nn.Linear(dim, value_dim)
        self.output_proj = nn.Linear(value_dim, dim)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Offsets start on a ring, one direction a head and one radius a point; all points weigh the same."""
        nn.init.zeros_(self.sampling_offsets.weight)
        angle = torch.arange(self.num_heads) * (2.0 * math.pi / self.num_heads)
        direction = torch.stack((angle.cos(), angle.sin()), dim=-1)
        direction = direction / direction.abs().amax(dim=-1, keepdim=True)
        radius = torch.arange(1, self.num_points + 1).view(1, 1, -1, 1)
        ring = direction.view(-1, 1, 1, 2) * radius
        with torch.no_grad():
            self.sampling_offsets.bias.copy_(ring.expand(-1, self.num_levels, -1, -1).reshape(-1))
        nn.init.zeros_(self.attention_weights.weight)
        nn.init.zeros_(self.attention_weights.bias)
        for proj in (self.value_proj, self.output_proj):
            nn.init.xavier_uniform_(proj.weight)
            nn.init.zeros_(proj.bias)

    def forward(self, query: Tensor, reference: Tensor, value: Tensor, sizes: Sizes) -> Tensor:
        """Attend.

        Args:
            query: [B, N, D].
            reference: [N, 2], (x, y) in [0, 1] of the whole map, pixel centres at half pixels.
            value: [B, Σ hᵢ·wᵢ, D], levels one after the other, each row-major.
            sizes: (height, width) of each level.

        Returns:
            [B, N, D].
        """
        B, N, _ = query.shape
        heads, levels, points = self.num_heads, self.num_levels, self.num_points
        values = self.value_proj(value).view(B, value.shape[1], heads, -1)
        offsets = self.sampling_offsets(query).view(B, N, heads, levels, points, 2)
        weights = self.attention_weights(query).view(B, N, heads, levels * points).softmax(dim=-1)

        of_levels = weights.transpose(1, 2).reshape(B * heads, 1, N, levels * points).split(points, dim=-1)
        summed = []  # level by level: to lay all samples side by side costs more than the sums
        x, y = (2 * reference - 1)[None, :, None, None].unbind(-1)
        for level, (part, (h, w)) in enumerate(zip(split_levels(values, sizes), sizes, strict=True)):
            # grid_sample wants [-1, 1] with align_corners=False, the same half-pixel convention as [0, 1] here.
            across, down = offsets[:, :, :, level].unbind(-1)
            grid = torch.stack((x + across * (2 / w), y + down * (2 / h)), dim=-1)
            grid = grid.transpose(1, 2).flatten(0, 1)  # [B·heads, N, points, 2]
            maps = part.permute(0, 2, 3, 1).reshape(B * heads, -1, h, w)
            sampled = F.grid_sample(maps, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
            summed.append((sampled * of_levels[level]).sum(dim=-1))  # [B·heads, value_dim/heads, N]
        out = sum(summed[1:], summed[0])
        projected: Tensor = self.output_proj(out.view(B, -1, N).transpose(1, 2))
        return projected


def split_levels(tokens: Tensor, sizes: Sizes) -> list[Tensor]:
    """Tokens [B, Σ hᵢ·wᵢ, …] → those of each level, [B, hᵢ·wᵢ, …]."""
    parts, start = [], 0
    for h, w in sizes:  # by slices, which an exported graph can follow for any size
        parts.append(tokens[:, start : start + h * w])
        start = start + h * w
    return parts


def cell_centres(height: int, width: int, like: Tensor) -> Tensor:
    """[height·width, 2]: (x, y) of a map's cell centres, in [0, 1], row-major, of the dtype and device of `like`."""
    y = (torch.arange(height, dtype=like.dtype, device=like.device) + 0.5) / height
    x = (torch.arange(width, dtype=like.dtype, device=like.device) + 0.5) / width
    grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
    return torch.stack((grid_x, grid_y), dim=-1).view(-1, 2)
