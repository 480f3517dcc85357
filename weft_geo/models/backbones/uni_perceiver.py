"""The Uni-Perceiver image encoder (Zhu et al., CVPR 2022): a plain ViT with layer scale."""

from __future__ import annotations

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from weft_geo.models.backbones.trunk import Trunk
from weft_geo.models.resize import resize

TEMPORAL_POSITIONS = 8


class UniPerceiver(Trunk):
    """Patch embedding and a stack of pre-norm layers (timm's `Block`: fused qkv, layer scale, SDPA); no class token.

    Args:
        in_channels: bands of the image.
        embed_dim: D.
        depth: number of layers.
        num_heads: heads; D must be a multiple.
        patch_size: stride of the tokens, in pixels.
        position_grid: side of the square table of learnt positions (14 for 224 px), resized bicubically to any image.
        drop_path: rate of stochastic depth of the last layer; it rises linearly from 0 at the first.
        layer_scale: initial γ, not zero.
            Differs: the research code starts at 0, which makes a trunk without a checkpoint the identity.
    """

    def __init__(
        self,
        in_channels: int = 3,
        embed_dim: int = 1024,
        depth: int = 24,
        num_heads: int = 16,
        patch_size: int = 16,
        position_grid: int = 14,
        drop_path: float = 0.4,
        layer_scale: float = 1e-3,
    ) -> None:
        super().__init__()
        self.position_grid = position_grid
        self.patch_embed = nn.Conv2d(in_channels, embed_dim, patch_size, stride=patch_size)
        self.spatial_positions = nn.Parameter(torch.empty(position_grid**2, embed_dim))
        # Positions of a video's frames; an image is frame 0. The published checkpoint has all eight rows.
        self.temporal_positions = nn.Parameter(torch.empty(TEMPORAL_POSITIONS, embed_dim))
        self.embed_norm = nn.LayerNorm(embed_dim)
        self.layers = nn.ModuleList(
            Block(
                embed_dim,
                num_heads,
                qkv_bias=True,
                init_values=layer_scale,
                drop_path=drop_path * i / max(depth - 1, 1),
                norm_layer=nn.LayerNorm,
            )
            for i in range(depth)
        )
        nn.init.trunc_normal_(self.spatial_positions, std=0.02)
        nn.init.trunc_normal_(self.temporal_positions, std=0.02)

    def embed(self, images: Tensor) -> Tensor:
        """[B, C, H, W] (H and W multiples of the patch size) → tokens [B, (H/p)·(W/p), D], row-major."""
        x = self.patch_embed(images)
        table = self.spatial_positions.T.reshape(1, -1, self.position_grid, self.position_grid)
        positions = resize(table, x.shape[-2:], "bicubic")
        tokens = (x + positions).flatten(2).transpose(1, 2) + self.temporal_positions[0]
        embedded: Tensor = self.embed_norm(tokens)
        return embedded
