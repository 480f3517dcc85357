"""The pixel decoder: deformable attention across three scales, then mask features at stride 4."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from weft_geo.models.deformable_attention import DeformableAttention, Sizes, cell_centres, split_levels
from weft_geo.models.mask_decoder.sine_position import sine_position
from weft_geo.models.recompute import Recomputable
from weft_geo.models.resize import resize

GROUPS = 32
LEVELS = 3


class PixelEncoderLayer(Recomputable):
    """Deformable self-attention and a ReLU feed-forward, each followed by a LayerNorm (post-norm)."""

    def __init__(self, dim: int, num_heads: int, num_points: int, feedforward: int) -> None:
        super().__init__()
        self.attention = DeformableAttention(dim, num_heads, LEVELS, num_points)
        self.norm1 = nn.LayerNorm(dim)
        self.feedforward = nn.Sequential(
            nn.Linear(dim, feedforward), nn.ReLU(inplace=True), nn.Linear(feedforward, dim)
        )
        self.norm2 = nn.LayerNorm(dim)

    def forward(self, tokens: Tensor, positions: Tensor, reference: Tensor, sizes: Sizes) -> Tensor:
        """Tokens [B, N, C] with positions [1, N, C] and reference points [N, 2] → [B, N, C]."""
        return self.kept_small(
            lambda tokens, positions: self.encode(tokens, positions, reference, sizes), tokens, positions
        )

    def encode(self, tokens: Tensor, positions: Tensor, reference: Tensor, sizes: Sizes) -> Tensor:
        """What `forward` gives."""
        tokens = self.norm1(tokens + self.attention(tokens + positions, reference, tokens, sizes))
        out: Tensor = self.norm2(tokens + self.feedforward(tokens))
        return out


def _norm_conv(in_dim: int, dim: int, kernel_size: int, *, bias: bool) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_dim, dim, kernel_size, padding=kernel_size // 2, bias=bias), nn.GroupNorm(min(GROUPS, dim), dim)
    )


class PixelDecoder(nn.Module):
    """Four maps → mask features at stride 4 and three memories.

    Args:
        in_dim: D of the incoming maps.
        dim: C, the width inside; a multiple of 32 (group norm).
        num_layers: encoder layers.
        num_heads: heads of the deformable attention.
        num_points: points per head and level.
        feedforward: hidden width of the encoder's feed-forward.
    """

    def __init__(
        self,
        in_dim: int,
        dim: int = 96,
        num_layers: int = 6,
        num_heads: int = 8,
        num_points: int = 4,
        feedforward: int = 320,
    ) -> None:
        super().__init__()
        self.inputs = nn.ModuleList(_norm_conv(in_dim, dim, 1, bias=True) for _ in range(LEVELS))  # strides 32, 16, 8
        self.level_embed = nn.Parameter(torch.empty(LEVELS, dim))
        self.layers = nn.ModuleList(
            PixelEncoderLayer(dim, num_heads, num_points, feedforward) for _ in range(num_layers)
        )
        self.lateral = _norm_conv(in_dim, dim, 1, bias=False)
        self.output = nn.Sequential(_norm_conv(dim, dim, 3, bias=False), nn.ReLU(inplace=True))
        self.mask_features = nn.Conv2d(dim, dim, 1)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Xavier everywhere; the deformable attention starts on its ring."""
        nn.init.normal_(self.level_embed)
        for module in self.inputs.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]  # they all have one
        for module in (*self.lateral.modules(), *self.output.modules(), self.mask_features):
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, a=1)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for parameter in self.layers.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_normal_(parameter)
        for module in self.layers.modules():
            if isinstance(module, DeformableAttention):
                module.reset_parameters()

    def forward(self, f1: Tensor, f2: Tensor, f3: Tensor, f4: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Maps [B, D, H/s, W/s] of s = 4, 8, 16, 32 → mask features [B, C, H/4, W/4] and memories of s = 32, 16, 8."""
        maps = [project(f) for project, f in zip(self.inputs, (f4, f3, f2), strict=True)]
        sizes: Sizes = tuple((m.shape[-2], m.shape[-1]) for m in maps)
        C = maps[0].shape[1]
        tokens = torch.cat([m.flatten(2).transpose(1, 2) for m in maps], dim=1)
        reference = torch.cat([cell_centres(h, w, tokens) for h, w in sizes])
        positions = torch.cat(
            [sine_position(h, w, C // 2, tokens) + level for (h, w), level in zip(sizes, self.level_embed, strict=True)]
        )
        for layer in self.layers:
            tokens = layer(tokens, positions.unsqueeze(0), reference, sizes)
        parts = split_levels(tokens, sizes)
        memories = [p.transpose(1, 2).reshape(-1, C, h, w) for p, (h, w) in zip(parts, sizes, strict=True)]
        upsampled = resize(memories[-1], f1.shape[-2:])
        return self.mask_features(self.output(self.lateral(f1) + upsampled)), memories
