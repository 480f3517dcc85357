"""Everything that shapes a model, and the models that are known by name. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from weft_geo.errors import UnknownNameError

STAGES = 4
Strategy = Literal["weft", "full", "frozen", "lora", "vpt", "adapter"]
STRATEGIES: tuple[str, ...] = get_args(Strategy)


@dataclass(frozen=True)
class WeftConfig:
    """Everything that shapes a Weft. The defaults are the paper's configuration on UniPerceiver-L.

    Attributes:
        backbone: "uni-perceiver", or "timm/NAME" for a plain vision transformer of timm (see `backbones.timm_vit`).
        strategy: how the trunk is tuned: "weft" is the paper's model, the others are what it is compared with (see
            `peft`).
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
        twe: run the wavelet experts; without them the expert branch is its convolutional stem alone (ablation).
        esto: run ESTO in the injection.
        see: run the spatial enhancer inside the SEE blocks; without it they are plain feed-forwards (ablation).
        esto_statistics: over "image" or over "batch" (research code); see `SubspaceTokenOptimizer`.
        decoder_dim: width of the mask decoder.
        num_queries: Q.
        decoder_layers: layers of the transformer decoder.
        decoder_heads: heads of the transformer decoder.
        decoder_feedforward: hidden width of the transformer decoder's feed-forward.
        pixel_layers: layers of the pixel decoder.
        pixel_heads: heads of the pixel decoder.
        pixel_feedforward: hidden width of the pixel decoder's feed-forward.
        lora_rank: rank of the updates of the strategy "lora".
        prompts: prompt tokens a layer of the strategy "vpt".
        adapter_dim: inner width of the bottlenecks of the strategy "adapter".
    """

    backbone: str = "uni-perceiver"
    strategy: Strategy = "weft"
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
    twe: bool = True
    esto: bool = True
    see: bool = True
    esto_statistics: Literal["image", "batch"] = "image"
    decoder_dim: int = 96
    num_queries: int = 100
    decoder_layers: int = 9
    decoder_heads: int = 8
    decoder_feedforward: int = 768
    pixel_layers: int = 6
    pixel_heads: int = 8
    pixel_feedforward: int = 320
    lora_rank: int = 16
    prompts: int = 50
    adapter_dim: int = 64

    def __post_init__(self) -> None:
        for name in ("classes", "stage_ends", "expert_kernel_sizes"):
            object.__setattr__(self, name, tuple(getattr(self, name)))  # JSON has lists only
        if self.strategy not in STRATEGIES:
            raise UnknownNameError("strategy", self.strategy, list(STRATEGIES))
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

    @property
    def trunk_is_frozen(self) -> bool:
        """Whether training leaves the trunk's own values as they are."""
        return self.strategy != "full" and not (self.strategy == "weft" and self.train_trunk)


CONFIGS: dict[str, WeftConfig] = {
    # The paper's configuration on UniPerceiver-L: 317,734,232 values, 14,373,720 of them trainable.
    "weft-large": WeftConfig(),
    # A WEFT small enough to ship and to train on a CPU, on a plain ViT that starts from random values and so is
    # trained too.
    "weft-tiny": WeftConfig(
        embed_dim=128,
        depth=8,
        num_heads=4,
        position_grid=16,
        stage_ends=(2, 4, 6, 8),
        layer_scale=0.1,
        train_trunk=True,
        drop_path=0.1,
        inner_channels=32,
        injection_heads=4,
        last_stage_enhancers=1,
        decoder_dim=64,
        num_queries=16,
        decoder_layers=3,
        decoder_feedforward=256,
        pixel_layers=2,
        pixel_feedforward=192,
    ),
}


def model_names() -> list[str]:
    """The names that `build_model` knows."""
    return sorted(CONFIGS)
