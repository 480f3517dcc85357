"""WEFT: a frozen vision transformer, adapted to object segmentation by wavelet experts (arXiv 2601.09108)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from weft_geo.geo.contract import ModelContract
from weft_geo.models.backbones import UniPerceiver
from weft_geo.models.deformable_attention import DeformableAttention, Sizes, cell_centres, split_levels
from weft_geo.models.ec_adapter import ECAdapterStage, ExpertInjection
from weft_geo.models.mask_decoder import MaskDecoder, MaskDecoderOutput
from weft_geo.models.wavelet_expert_extractor import WaveletExpertExtractor

STAGES = 4
MULTIPLE_OF = 32
MIN_SIZE = 64  # SEE pads the stride-32 map by reflection, which needs two rows and columns


@dataclass(frozen=True)
class WeftConfig:
    """Everything that shapes a Weft. The defaults are the paper's configuration on UniPerceiver-L.

    Attributes:
        in_channels: bands of the image, three or more.
        classes: the objects to be found; background is class 0 and goes without saying, so K = len(classes) + 1.
        embed_dim: D of the trunk.
        depth: layers of the trunk.
        num_heads: heads of the trunk.
        position_grid: side of the trunk's table of positions.
        stage_ends: the trunk layers after which the four stages end.
        layer_scale: initial γ of an unloaded trunk.
        train_trunk: leave the trunk trainable (for training from random initialisation; the paper's is frozen).
        drop_path: rate of stochastic depth, rising to it over the trunk and constant in the SEE blocks.
        inner_channels: width of the wavelet experts.
        expert_kernel_sizes: one expert for each.
        top_k: experts chosen for an image and scale.
        wavelet: a PyWavelets name.
        injection_heads: heads of the deformable injection.
        value_ratio: width of its values relative to D.
        see_ratio: hidden width of the SEE blocks relative to D.
        last_stage_enhancers: SEE blocks in the last stage.
        esto: run ESTO in the injection.
        esto_statistics: over "image" or over "batch" (research code); see `SubspaceTokenOptimizer`.
        decoder_dim: width of the mask decoder.
        num_queries: Q.
        decoder_layers: layers of the transformer decoder.
        decoder_heads: heads of the transformer decoder.
        decoder_feedforward: hidden width of the transformer decoder's feed-forward.
        pixel_layers: layers of the pixel decoder.
        pixel_heads: heads of the pixel decoder.
        pixel_feedforward: hidden width of the pixel decoder's feed-forward.
    """

    in_channels: int = 3
    classes: tuple[str, ...] = ("object",)
    embed_dim: int = 1024
    depth: int = 24
    num_heads: int = 16
    position_grid: int = 14
    stage_ends: tuple[int, ...] = (6, 12, 18, 24)
    layer_scale: float = 1e-3
    train_trunk: bool = False
    drop_path: float = 0.4
    inner_channels: int = 64
    expert_kernel_sizes: tuple[int, ...] = (1, 3, 5, 7, 9, 11, 13)
    top_k: int = 4
    wavelet: str = "haar"
    injection_heads: int = 16
    value_ratio: float = 0.5
    see_ratio: float = 0.25
    last_stage_enhancers: int = 3
    esto: bool = True
    esto_statistics: Literal["image", "batch"] = "image"
    decoder_dim: int = 96
    num_queries: int = 100
    decoder_layers: int = 9
    decoder_heads: int = 8
    decoder_feedforward: int = 768
    pixel_layers: int = 6
    pixel_heads: int = 8
    pixel_feedforward: int = 320

    def __post_init__(self) -> None:
        for name in ("classes", "stage_ends", "expert_kernel_sizes"):
            object.__setattr__(self, name, tuple(getattr(self, name)))  # JSON has lists only
        if self.in_channels < 3:
            raise ValueError(f"in_channels must be 3 or more, not {self.in_channels}; repeat a single band instead")
        if len(self.stage_ends) != STAGES or sorted(self.stage_ends) != list(self.stage_ends):
            raise ValueError(f"stage_ends must be {STAGES} rising layer numbers, not {self.stage_ends}")
        if self.stage_ends[-1] != self.depth:
            raise ValueError(f"the last stage must end at layer {self.depth}, not {self.stage_ends[-1]}")

    @property
    def num_classes(self) -> int:
        """K, background included."""
        return len(self.classes) + 1


class Weft(nn.Module):
    """The whole model, in the figure's order: experts, then four stages of adapter and frozen trunk, then masks.

    Args:
        config: its shape.
        contract: what it expects of a scene; carried along by checkpoints and exports.
    """

    def __init__(self, config: WeftConfig, contract: ModelContract | None = None) -> None:
        super().__init__()
        self.config = config
        self.contract = contract or ModelContract(bands=config.in_channels, classes=config.classes)
        D = config.embed_dim
        self.trunk = UniPerceiver(
            config.in_channels,
            D,
            config.depth,
            config.num_heads,
            position_grid=config.position_grid,
            drop_path=config.drop_path,
            layer_scale=config.layer_scale,
        )
        self.expert_extractor = WaveletExpertExtractor(
            config.in_channels, config.inner_channels, D, config.expert_kernel_sizes, config.top_k, config.wavelet
        )
        self.level_embed = nn.Parameter(torch.empty(3, D))
        self.stages = nn.ModuleList(
            ECAdapterStage(
                D,
                ExpertInjection(D, config.injection_heads, 4, config.value_ratio, config.esto, config.esto_statistics),
                config.last_stage_enhancers if stage == STAGES - 1 else 1,
                config.see_ratio,
                config.drop_path,
            )
            for stage in range(STAGES)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(D) for _ in range(4))
        self.mask_decoder = MaskDecoder(
            D,
            config.num_classes,
            config.decoder_dim,
            config.num_queries,
            config.decoder_layers,
            config.decoder_heads,
            config.decoder_feedforward,
            config.pixel_layers,
            config.pixel_heads,
            config.pixel_feedforward,
        )
        self.reset_adapter()
        self.trunk.requires_grad_(config.train_trunk)

    def reset_adapter(self) -> None:
        """The research code's initialisation of the experts and the adapter (weft-facts, §4)."""
        nn.init.normal_(self.level_embed)
        for module in (*self.expert_extractor.modules(), *self.stages.modules()):
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Conv2d):
                fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
                nn.init.normal_(module.weight, std=(2.0 / fan_out) ** 0.5)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for module in self.stages.modules():
            if isinstance(module, DeformableAttention):
                module.reset_parameters()

    def features(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """[B, C, H, W], H and W multiples of 32 and ≥ 64 → maps [B, D, H/s, W/s] of s = 4, 8, 16, 32."""
        H, W = images.shape[-2] // 16, images.shape[-1] // 16
        c1, *maps = self.expert_extractor(images)
        sizes: Sizes = tuple((m.shape[-2], m.shape[-1]) for m in maps)
        c = torch.cat(
            [m.flatten(2).transpose(1, 2) + level for m, level in zip(maps, self.level_embed, strict=True)], dim=1
        )
        x = self.trunk.embed(images)
        reference = cell_centres(H, W, x)

        states = []
        start = 0
        for stage, end in zip(self.stages, self.config.stage_ends, strict=True):
            assert isinstance(stage, ECAdapterStage)
            x = stage.injection(x, c, reference, sizes)
            for layer in self.trunk.layers[start:end]:
                x = layer(x)
            c = stage.enhance(c, sizes)
            states.append(x.transpose(1, 2).reshape(x.shape[0], -1, H, W))
            start = end

        parts = split_levels(c, sizes)
        c2, c3, c4 = (p.transpose(1, 2).reshape(p.shape[0], -1, h, w) for p, (h, w) in zip(parts, sizes, strict=True))
        c1 = c1 + _resize(c2, c1)
        fused = (c1 + _resize(states[0], c1), c2 + _resize(states[1], c2), c3 + states[2], c4 + _resize(states[3], c4))
        f1, f2, f3, f4 = (norm(f) for norm, f in zip(self.norms, fused, strict=True))
        return f1, f2, f3, f4

    def forward(self, images: Tensor) -> MaskDecoderOutput:
        """Class and mask logits of every query.

        Args:
            images: [B, C, H, W], normalised as the contract says, H and W ≥ 32. Other sizes than multiples of 32 are
                padded at the bottom and right by repeating the border, and the masks cropped.

        Returns:
            Masks of ceil(H/4) × ceil(W/4).
        """
        H, W = images.shape[-2:]
        if min(H, W) < MULTIPLE_OF:
            raise ValueError(f"an image must be at least {MULTIPLE_OF}×{MULTIPLE_OF} px, not {H}×{W}; pad it first")
        bottom, right = _padding(H), _padding(W)
        if bottom or right:
            images = F.pad(images, (0, right, 0, bottom), mode="replicate")
        out: MaskDecoderOutput = self.mask_decoder(*self.features(images))
        if not (bottom or right):
            return out
        h, w = -(-H // 4), -(-W // 4)
        aux = [a._replace(mask_logits=a.mask_logits[..., :h, :w]) for a in out.aux]
        return MaskDecoderOutput(out.class_logits, out.mask_logits[..., :h, :w], aux)

    def semantic_scores(self, images: Tensor) -> Tensor:
        """[B, C, H, W] → [B, K, ceil(H/4), ceil(W/4)]: sums over queries of class times mask, not probabilities."""
        return semantic_scores(self(images))

    def probabilities(self, images: Tensor) -> Tensor:
        """[B, C, H, W] → [B, K, H, W] in [0, 1], summing to one over classes; channel 0 is the background.

        Scores are resized bilinearly and shared out: s_k / Σ s. For one class of objects this decides at ½ as the
        research code's argmax does.
        """
        scores = F.interpolate(self.semantic_scores(images), scale_factor=4, mode="bilinear", align_corners=False)
        scores = scores[..., : images.shape[-2], : images.shape[-1]]
        return scores / scores.sum(dim=1, keepdim=True).clamp_min(1e-12)

    def num_total(self) -> int:
        """Values in all parameters, the fixed Haar filters included, as the research code counts them."""
        return sum(p.numel() for p in self.parameters())

    def num_trainable(self) -> int:
        """Values in the parameters that training changes."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)


def semantic_scores(prediction: MaskDecoderOutput) -> Tensor:
    """[B, K, h, w]: Σ over queries of softmax(class), "no object" left out, times sigmoid(mask)."""
    classes = prediction.class_logits.softmax(dim=-1)[..., :-1]
    return torch.einsum("bqk,bqhw->bkhw", classes, prediction.mask_logits.sigmoid())


def _resize(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


def _padding(size: int) -> int:
    return max(-(-size // MULTIPLE_OF) * MULTIPLE_OF, MIN_SIZE) - size
