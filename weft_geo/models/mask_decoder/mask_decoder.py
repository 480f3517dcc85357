"""The transformer decoder: queries that each claim a mask and a class."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from weft_geo.models.mask_decoder.pixel_decoder import LEVELS, PixelDecoder
from weft_geo.models.mask_decoder.sine_position import sine_position


class MaskPrediction(NamedTuple):
    """What the queries say after one layer.

    Attributes:
        class_logits: [B, Q, K + 1], the last one is "no object".
        mask_logits: [B, Q, H/4, W/4].
    """

    class_logits: Tensor
    mask_logits: Tensor


class MaskDecoderOutput(NamedTuple):
    """The last layer's prediction, and in `aux` those before it, from the initial queries on.

    Attributes:
        class_logits: [B, Q, K + 1], the last one is "no object".
        mask_logits: [B, Q, H/4, W/4].
        aux: the earlier predictions, in order.
    """

    class_logits: Tensor
    mask_logits: Tensor
    aux: list[MaskPrediction]


class QueryLayer(nn.Module):
    """Masked cross-attention, self-attention, feed-forward; each followed by a LayerNorm (post-norm)."""

    def __init__(self, dim: int, num_heads: int, feedforward: int) -> None:
        super().__init__()
        self.cross_attention = nn.MultiheadAttention(dim, num_heads, batch_first=True)
        self.norm1 = nn.LayerNorm(dim)
        self.self_attention = nn.MultiheadAttention(dim, num_heads, batch_first=True)
        self.norm2 = nn.LayerNorm(dim)
        self.feedforward = nn.Sequential(
            nn.Linear(dim, feedforward), nn.ReLU(inplace=True), nn.Linear(feedforward, dim)
        )
        self.norm3 = nn.LayerNorm(dim)

    def forward(
        self, query: Tensor, query_position: Tensor, memory: Tensor, position: Tensor, blocked: Tensor
    ) -> Tensor:
        """Queries [B, Q, C] over a memory [B, N, C]; `blocked` is [B·heads, Q, N], True where a query may not look."""
        key = memory + position
        attended = self.cross_attention(query + query_position, key, memory, attn_mask=blocked, need_weights=False)[0]
        query = self.norm1(query + attended)
        place = query + query_position
        query = self.norm2(query + self.self_attention(place, place, query, need_weights=False)[0])
        out: Tensor = self.norm3(query + self.feedforward(query))
        return out


class MaskDecoder(nn.Module):
    """Mask2Former's decoder on four feature maps.

    Written here rather than taken from transformers: its Mask2Former fixes the pixel decoder's feed-forward and norm
        order in a
    configuration of its own and brings a large dependency for three small classes.

    Args:
        in_dim: D of the incoming maps.
        num_classes: K, background included.
        dim: C, the width inside; a multiple of 32.
        num_queries: Q.
        num_layers: decoder layers, cycling over strides 32, 16, 8.
        num_heads: heads of both attentions.
        feedforward: hidden width of the decoder's feed-forward.
            Differs from the paper: 768, which is what the research configuration resolves to.
        pixel_layers: layers of the pixel decoder's encoder.
        pixel_heads: heads of its deformable attention.
        pixel_feedforward: hidden width of its feed-forward.
    """

    def __init__(
        self,
        in_dim: int,
        num_classes: int = 2,
        dim: int = 96,
        num_queries: int = 100,
        num_layers: int = 9,
        num_heads: int = 8,
        feedforward: int = 768,
        pixel_layers: int = 6,
        pixel_heads: int = 8,
        pixel_feedforward: int = 320,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.pixel_decoder = PixelDecoder(in_dim, dim, pixel_layers, pixel_heads, 4, pixel_feedforward)
        self.query_features = nn.Parameter(torch.empty(num_queries, dim))
        self.query_positions = nn.Parameter(torch.empty(num_queries, dim))
        self.level_embed = nn.Parameter(torch.empty(LEVELS, dim))
        self.layers = nn.ModuleList(QueryLayer(dim, num_heads, feedforward) for _ in range(num_layers))
        self.norm = nn.LayerNorm(dim)
        self.class_head = nn.Linear(dim, num_classes + 1)
        self.mask_head = nn.Sequential(
            nn.Linear(dim, dim), nn.ReLU(inplace=True), nn.Linear(dim, dim), nn.ReLU(inplace=True), nn.Linear(dim, dim)
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Normal tables, Xavier-normal decoder matrices, default heads."""
        for table in (self.query_features, self.query_positions, self.level_embed):
            nn.init.normal_(table)
        for parameter in self.layers.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_normal_(parameter)

    def predict(self, query: Tensor, mask_features: Tensor) -> MaskPrediction:
        """Queries [B, Q, C] and mask features [B, C, h, w] → their classes and masks."""
        query = self.norm(query)
        masks = torch.einsum("bqc,bchw->bqhw", self.mask_head(query), mask_features)
        return MaskPrediction(self.class_head(query), masks)

    def blocked(self, mask_logits: Tensor, size: tuple[int, int]) -> Tensor:
        """Where queries may not look on a level of the given (height, width): [B·heads, Q, height·width] of bool.

        A query whose mask is below ½ everywhere may look everywhere.
        """
        resized = F.interpolate(mask_logits.detach(), size=size, mode="bilinear", align_corners=False).flatten(2)
        blocked = resized.sigmoid() < 0.5
        blocked = blocked & ~blocked.all(dim=-1, keepdim=True)
        return blocked[:, None].expand(-1, self.num_heads, -1, -1).flatten(0, 1)

    def forward(self, f1: Tensor, f2: Tensor, f3: Tensor, f4: Tensor) -> MaskDecoderOutput:
        """Maps [B, D, H/s, W/s] of s = 4, 8, 16, 32 → predictions of every layer."""
        mask_features, maps = self.pixel_decoder(f1, f2, f3, f4)
        sizes = [(m.shape[-2], m.shape[-1]) for m in maps]
        memories = [m.flatten(2).transpose(1, 2) + level for m, level in zip(maps, self.level_embed, strict=True)]
        positions = [sine_position(h, w, m.shape[1] // 2, m) for m, (h, w) in zip(maps, sizes, strict=True)]

        query = self.query_features.expand(f1.shape[0], -1, -1)
        predictions = [self.predict(query, mask_features)]
        for i, layer in enumerate(self.layers):
            level = i % LEVELS
            blocked = self.blocked(predictions[-1].mask_logits, sizes[level])
            query = layer(query, self.query_positions, memories[level], positions[level], blocked)
            predictions.append(self.predict(query, mask_features))
        return MaskDecoderOutput(*predictions[-1], aux=predictions[:-1])
