"""WEFT: a frozen vision transformer, adapted to object segmentation by wavelet experts (arXiv 2601.09108)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from weft_geo.geo.contract import ModelContract
from weft_geo.models.config import STAGES, WeftConfig
from weft_geo.models.deformable_attention import DeformableAttention, Sizes, cell_centres, split_levels
from weft_geo.models.ec_adapter import ECAdapterStage, ExpertInjection
from weft_geo.models.resize import resize
from weft_geo.models.segmenter import Segmenter, pyramid
from weft_geo.models.wavelet_expert_extractor import WaveletExpertExtractor


class Weft(Segmenter):
    """The whole model, in the figure's order: experts, then four stages of adapter and frozen trunk, then masks.

    Args:
        config: its shape.
        contract: what it expects of a scene; carried along by checkpoints and exports.
    """

    def __init__(self, config: WeftConfig, contract: ModelContract | None = None) -> None:
        super().__init__(config, contract)
        D = config.embed_dim
        self.expert_extractor = WaveletExpertExtractor(
            config.in_channels,
            config.inner_channels,
            D,
            config.expert_kernel_sizes if config.twe else (),
            config.top_k,
            config.wavelet,
        )
        self.level_embed = nn.Parameter(torch.empty(3, D))
        self.stages = nn.ModuleList(
            ECAdapterStage(
                D,
                ExpertInjection(D, config.injection_heads, 4, config.value_ratio, config.esto, config.esto_statistics),
                config.last_stage_enhancers if stage == STAGES - 1 else 1,
                config.see_ratio,
                config.drop_path,
                config.see,
            )
            for stage in range(STAGES)
        )
        self.add_decoder()
        self.reset_adapter()

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
        tokens = self.trunk.embed(images)
        extra, x = tokens[:, : self.trunk.num_extra], tokens[:, self.trunk.num_extra :]
        reference = cell_centres(H, W, x)

        states = []
        start = 0
        for stage, end in zip(self.stages, self.config.stage_ends, strict=True):
            assert isinstance(stage, ECAdapterStage)
            x = stage.injection(x, c, reference, sizes)
            extra, x = self.trunk.run(extra, x, start, end, (H, W))
            c = stage.enhance(c, sizes)
            states.append(x.transpose(1, 2).reshape(x.shape[0], -1, H, W))
            start = end

        parts = split_levels(c, sizes)
        c2, c3, c4 = (p.transpose(1, 2).reshape(p.shape[0], -1, h, w) for p, (h, w) in zip(parts, sizes, strict=True))
        c1 = c1 + resize(c2, c1.shape[-2:])
        fused = (c + state for c, state in zip((c1, c2, c3, c4), pyramid(states), strict=True))
        f1, f2, f3, f4 = (norm(f) for norm, f in zip(self.norms, fused, strict=True))
        return f1, f2, f3, f4
