"""What every model here has in common: four feature maps of a trunk, a mask decoder, probabilities at any size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from weft_geo.geo.contract import ModelContract
from weft_geo.models.backbones import Trunk, build_trunk
from weft_geo.models.config import WeftConfig
from weft_geo.models.mask_decoder import MaskDecoder, MaskDecoderOutput
from weft_geo.models.precision import full_precision
from weft_geo.models.recompute import Recomputable
from weft_geo.models.resize import resize

MULTIPLE_OF = 32
MIN_SIZE = 64  # SEE pads the stride-32 map by reflection, which needs two rows and columns


class Segmenter(nn.Module):
    """A trunk, something that tunes it (the subclass), four batch norms and the mask decoder.

    Args:
        config: its shape.
        contract: what it expects of a scene; carried along by checkpoints and exports.
    """

    def __init__(self, config: WeftConfig, contract: ModelContract | None = None) -> None:
        super().__init__()
        self.config = config
        self.contract = contract or ModelContract(bands=config.in_channels, classes=config.classes)
        self.trunk: Trunk = build_trunk(config)
        self.trunk.requires_grad_(not config.trunk_is_frozen)

    def add_decoder(self) -> None:
        """Make the batch norms and the mask decoder; called by the subclass, after its own modules."""
        config = self.config
        self.norms = nn.ModuleList(nn.BatchNorm2d(config.embed_dim) for _ in range(4))
        self.mask_decoder = MaskDecoder(
            config.embed_dim,
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

    def features(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """[B, C, H, W], H and W multiples of 32 and ≥ 64 → maps [B, D, H/s, W/s] of s = 4, 8, 16, 32."""
        raise TypeError(f"{type(self).__name__} must say how its features are made")

    def recompute_in_backward(self, parts: bool | Literal["adapter"]) -> None:
        """Which parts run again in the backward pass instead of keeping what they went through (`recompute`).

        Args:
            parts: "adapter" for what surrounds the trunk, True for the trunk's layers too, False for none.
        """
        for module in self.modules():
            if isinstance(module, Recomputable):
                module.recompute = bool(parts)
        self.trunk.recompute = parts is True

    def trunk_state(self) -> dict[str, Tensor]:
        """The trunk's own values by their own names, without what LoRA put between them."""
        return {own_name(key): value for key, value in self.trunk.state_dict().items() if "lora_" not in key}

    def load_trunk_state(self, state: dict[str, Tensor]) -> None:
        """Take over what `trunk_state` gave; keys and shapes must be exactly those."""
        names = {own_name(key): key for key in self.trunk.state_dict() if "lora_" not in key}
        self.trunk.load_state_dict({names[key]: value for key, value in state.items()}, strict=False)

    def forward(self, images: Tensor) -> MaskDecoderOutput:
        """Class and mask logits of every query.

        Args:
            images: [B, C, H, W], normalised as the contract says, H and W ≥ 32. Other sizes than multiples of 32 are
                padded at the bottom and right by repeating the border, and the masks cropped.

        Returns:
            Masks of ceil(H/4) × ceil(W/4).
        """
        if images.ndim != 4 or images.shape[1] != self.contract.bands:
            raise ValueError(f"images of shape {list(images.shape)} came; expected [B, {self.contract.bands}, H, W]")
        H, W = images.shape[-2:]
        if min(H, W) < MULTIPLE_OF:
            raise ValueError(f"an image must be at least {MULTIPLE_OF}×{MULTIPLE_OF} px, not {H}×{W}; pad it first")
        bottom, right = padded_size(H) - H, padded_size(W) - W
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
    with full_precision(prediction.mask_logits.device):  # half would leave a few hundred different probabilities
        classes = prediction.class_logits.float().softmax(dim=-1)[..., :-1]
        return torch.einsum("bqk,bqhw->bkhw", classes, prediction.mask_logits.float().sigmoid())


def pyramid(states: Sequence[Tensor]) -> list[Tensor]:
    """A trunk's four states [B, D, h, w] of stride 16, bilinearly at strides 4, 8, 16 and 32."""
    height, width = states[0].shape[-2:]
    return [
        resize(states[0], (4 * height, 4 * width)),
        resize(states[1], (2 * height, 2 * width)),
        states[2],
        F.interpolate(states[3], scale_factor=0.5, mode="bilinear", align_corners=False),
    ]


def padded_size(side: int) -> int:
    """The side that an image is padded to inside the model."""
    return max(-(-side // MULTIPLE_OF) * MULTIPLE_OF, MIN_SIZE)


def own_name(key: str) -> str:
    """The name that a tensor of the trunk has without LoRA, which moves a layer into its `base_layer`."""
    return key.replace(".base_layer.", ".")
