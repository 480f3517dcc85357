"""What the paper compares WEFT with: other ways to tune a trunk, under the same mask decoder.

    full       every value of the trunk is trained
    frozen     none is
    lora       low-rank updates of the attention's queries, keys and values (Hu et al., ICLR 2022), through peft
    vpt        learnt prompt tokens before every layer (VPT-deep; Jia et al., ECCV 2022)
    adapter    a bottleneck behind every layer (Pfeiffer et al., EACL 2021)

In all of them the mask decoder and the batch norms before it are trained too, as in WEFT.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from weft_geo.errors import InputError, MissingExtraError
from weft_geo.geo.contract import ModelContract
from weft_geo.models.backbones import TimmTrunk
from weft_geo.models.config import WeftConfig
from weft_geo.models.segmenter import Segmenter, pyramid
from weft_geo.models.weft import Weft


class TunedTrunk(Segmenter):
    """A trunk tuned without wavelet experts: its states after each stage become the four feature maps.

    Args:
        config: its shape; `strategy` is not "weft".
        contract: what it expects of a scene.

    Raises:
        InputError: the strategy cannot be had on this backbone.
        MissingExtraError: LoRA needs peft.
    """

    def __init__(self, config: WeftConfig, contract: ModelContract | None = None) -> None:
        super().__init__(config, contract)
        D, depth = config.embed_dim, config.depth
        self.prompts: nn.Parameter | None = None
        self.adapters: nn.ModuleList | None = None
        if config.strategy == "lora":
            self._add_lora(config.lora_rank)
        elif config.strategy == "vpt":
            if isinstance(self.trunk, TimmTrunk) and (self.trunk.windowed or self.trunk.rope is not None):
                raise InputError(
                    f"{config.backbone} has no place for prompt tokens (its attention follows the grid); "
                    "choose another strategy or backbone"
                )
            self.prompts = nn.Parameter(torch.empty(depth, config.prompts, D))
            nn.init.trunc_normal_(self.prompts, std=0.02)
        elif config.strategy == "adapter":
            self.adapters = nn.ModuleList(Bottleneck(D, config.adapter_dim) for _ in range(depth))
        self.add_decoder()

    def _add_lora(self, rank: int) -> None:
        try:
            from peft import LoraConfig, inject_adapter_in_model
        except ImportError as error:
            raise MissingExtraError("the strategy lora", "train") from error
        targets = list(self.trunk.attention_layers())
        inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=rank, target_modules=targets), self.trunk)

    def features(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """[B, C, H, W], H and W multiples of 32 and ≥ 64 → maps [B, D, H/s, W/s] of s = 4, 8, 16, 32."""
        H, W = images.shape[-2] // 16, images.shape[-1] // 16
        tokens = self.trunk.embed(images)
        extra, x = tokens[:, : self.trunk.num_extra], tokens[:, self.trunk.num_extra :]
        states = []
        for index in range(self.config.depth):
            extra, x = self._layer(index, extra, x, (H, W))
            if index + 1 in self.config.stage_ends:
                states.append(x.transpose(1, 2).reshape(x.shape[0], -1, H, W))
        f1, f2, f3, f4 = (norm(f) for norm, f in zip(self.norms, pyramid(states), strict=True))
        return f1, f2, f3, f4

    def _layer(self, index: int, extra: Tensor, x: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        if self.prompts is not None:
            prompts = self.prompts[index].expand(len(x), -1, -1)
            tokens = self.trunk.once(index, torch.cat((extra, prompts, x), dim=1), size)
            return tokens[:, : extra.shape[1]], tokens[:, extra.shape[1] + prompts.shape[1] :]
        extra, x = self.trunk.run(extra, x, index, index + 1, size)
        return extra, x if self.adapters is None else self.adapters[index](x)


class Bottleneck(nn.Module):
    """x + up(GELU(down(x))), `up` starting at zero, so that training starts from the trunk as it was."""

    def __init__(self, dim: int, inner: int) -> None:
        super().__init__()
        self.down = nn.Linear(dim, inner)
        self.up = nn.Linear(inner, dim)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, D] → [B, N, D]."""
        out: Tensor = x + self.up(nn.functional.gelu(self.down(x)))
        return out


def assemble(config: WeftConfig, contract: ModelContract | None = None) -> Segmenter:
    """The model that a configuration describes, with random values."""
    return Weft(config, contract) if config.strategy == "weft" else TunedTrunk(config, contract)
