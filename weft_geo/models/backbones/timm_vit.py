"""Any plain vision transformer of timm as the trunk: AugReg, MAE, DINOv2, SigLIP … (ViT), DINOv3 (EVA), SAM (ViTDet).

The paper leaves open what WEFT does on other backbones than UniPerceiver-L.
"""

from __future__ import annotations

import difflib
from importlib import import_module
from pathlib import Path
from typing import Any

import timm
import torch
import torch.nn.functional as F
from timm.models import adapt_input_conv, load_state_dict
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from timm.models.vision_transformer_sam import VisionTransformerSAM
from torch import Tensor, nn

from weft_geo.errors import CheckpointError, InputError
from weft_geo.geo.access import cannot_be_read, is_file
from weft_geo.models.backbones.trunk import Trunk
from weft_geo.models.resize import resize

PREFIX = "timm/"
STRIDE = 16
# What comes after the last layer. A trunk is read in between, so nothing of it would ever run.
_AFTER_THE_LAYERS = ("norm", "fc_norm", "head", "attn_pool", "neck")


class TimmTrunk(Trunk):
    """A vision transformer of timm whose tokens lie on a grid of stride 16, whatever its patches are.

    For patches of another size than 16 px the image is resized so that the grid stays the same: a window of 512 px is
    448 px to a ViT with patches of 14. Learnt positions are resized bicubically, rotary ones computed, for any image.
    Class and register tokens pass through the layers beside the grid.

    Args:
        name: timm's name of the model, without "timm/".
        in_channels: bands of the image.
        drop_path: rate of stochastic depth of the last layer.
    """

    def __init__(self, name: str, in_channels: int = 3, drop_path: float = 0.0) -> None:
        super().__init__()
        self.name = name
        options: dict[str, Any] = {"in_chans": in_channels, "drop_path_rate": drop_path}
        vit = create_vit(name, **options)
        if getattr(getattr(vit, "rope", None), "pos_embed", None) is not None:  # fixed for one size of image (EVA-02)
            vit = create_vit(name, dynamic_img_size=True, **options)
        for part in _AFTER_THE_LAYERS:
            if hasattr(vit, part):
                setattr(vit, part, nn.Identity())
        self.vit = vit
        self.patch_size = vit.patch_embed.proj.kernel_size[0]
        self.windowed = isinstance(vit, VisionTransformerSAM)
        self.any_size_when_traced = not self.windowed  # its relative positions are cut to size by plain numbers
        self.rope = getattr(vit, "rope", None)
        self.num_extra = 0 if self.windowed else vit.num_prefix_tokens

    @property
    def layers(self) -> nn.Module:  # type: ignore[override]
        """Its transformer layers, in order."""
        return self.vit.blocks  # type: ignore[no-any-return]

    def embed(self, images: Tensor) -> Tensor:
        """[B, C, H, W], H and W multiples of 32 → tokens [B, E + (H/16)·(W/16), D], E extra ones first."""
        vit = self.vit
        if self.patch_size != STRIDE:
            images = F.interpolate(images, scale_factor=self.patch_size / STRIDE, mode="bilinear", align_corners=False)
        grid = vit.patch_embed.proj(images)
        extra, positions = self._positions(grid)
        tokens = grid.flatten(2).transpose(1, 2)
        if positions is not None:
            tokens = tokens + positions
        if extra is not None:
            tokens = torch.cat((extra.expand(tokens.shape[0], -1, -1), tokens), dim=1)
        embedded: Tensor = vit.norm_pre(tokens)
        return embedded

    def layer(self, index: int, tokens: Tensor, size: tuple[int, int]) -> Tensor:
        """One layer on all tokens [B, E + h·w, D] of a grid of (height, width)."""
        block: Any = self.vit.blocks[index]
        if self.windowed:
            B, _, D = tokens.shape
            out: Tensor = block(tokens.view(B, *size, D)).flatten(1, 2)
        elif self.rope is not None:
            angles = self.rope.get_embed(shape=size)
            out = block(tokens, rope=angles[index] if getattr(self.vit, "rope_mixed", False) else angles)
        else:
            out = block(tokens)
        return out

    def _positions(self, grid: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """The extra tokens [1, E, D] with their positions, and the grid's positions [1, h·w, D]."""
        vit = self.vit
        found = [getattr(vit, name, None) for name in ("cls_token", "reg_token")]
        extra = torch.cat([token for token in found if token is not None], dim=1) if self.num_extra else None
        table = vit.pos_embed
        if table is None:
            return extra, None
        if self.windowed:
            table = table.permute(0, 3, 1, 2)
        else:
            of_extra = 0 if vit.no_embed_class else self.num_extra
            if extra is not None and of_extra:
                extra = extra + table[:, :of_extra]
            table = table[:, of_extra:].transpose(1, 2).unflatten(2, vit.patch_embed.grid_size)
        resized = resize(table, grid.shape[-2:], "bicubic")
        return extra, resized.flatten(2).transpose(1, 2)


def create_vit(name: str, **options: Any) -> Any:
    """A vision transformer of timm without its classifier.

    Raises:
        InputError: timm does not know the name, or it names another kind of network.
    """
    if not timm.is_model(name):
        close = difflib.get_close_matches(name, timm.list_models(), n=3, cutoff=0.4)
        near = f"; close to it: {', '.join(close)}" if close else "; timm.list_models() has those that it knows"
        raise InputError(f"timm knows no model {name!r}{near}")
    vit = timm.create_model(name, num_classes=0, **options)
    if not isinstance(vit, VisionTransformer | Eva | VisionTransformerSAM):
        raise InputError(
            f"timm/{name} is a {type(vit).__name__}, no plain vision transformer; "
            "give one such as timm/vit_large_patch14_dinov2"
        )
    return vit


def trunk_shape(backbone: str, stages: int = 4) -> dict[str, Any]:
    """The fields of `WeftConfig` that follow from a backbone "timm/NAME"."""
    with torch.device("meta"):
        vit = create_vit(backbone.removeprefix(PREFIX))
    depth, attention = len(vit.blocks), vit.blocks[0].attn
    return {
        "backbone": backbone,
        "embed_dim": vit.embed_dim,
        "depth": depth,
        "num_heads": attention.num_heads,
        "stage_ends": tuple(round(depth * (stage + 1) / stages) for stage in range(stages)),
        "train_trunk": False,
    }


def load_timm_weights(trunk: TimmTrunk, source: str | Path) -> None:
    """Fill the trunk with a checkpoint of its model, in any form that timm reads.

    Args:
        trunk: what to fill, in place.
        source: a file, or "pretrained" for the weights that timm downloads for this name.

    Raises:
        CheckpointError: the file cannot be read, or is one of another model.
    """
    if str(source) != "pretrained" and (hindrance := cannot_be_read(source)):
        raise CheckpointError(f"{source} {hindrance}")
    if str(source) != "pretrained" and not is_file(source):
        raise CheckpointError(f"{source} is not a file; expected weights of timm/{trunk.name}")
    model, own = trunk.vit, trunk.vit.state_dict()
    try:
        if str(source) == "pretrained":
            bands = model.patch_embed.proj.in_channels
            loaded = create_vit(trunk.name, pretrained=True, in_chans=bands).state_dict()
        else:
            rename = import_module(type(model).__module__).checkpoint_filter_fn
            loaded = rename(load_state_dict(str(source), weights_only=True), model)
            kernel = loaded.get("patch_embed.proj.weight")
            if kernel is not None and kernel.shape[1] == 3 < model.patch_embed.proj.in_channels:
                loaded["patch_embed.proj.weight"] = adapt_input_conv(model.patch_embed.proj.in_channels, kernel)
    except Exception as error:  # timm, torch and the hub raise many kinds for one reason: there are no such weights
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"no weights of timm/{trunk.name} could be taken from {source}: {reason}") from error
    unfit = sorted(key for key, value in own.items() if key not in loaded or loaded[key].shape != value.shape)
    if unfit:
        raise CheckpointError(
            f"{source} does not fit timm/{trunk.name} in {len(unfit)} places: {'; '.join(unfit[:5])} "
            "are missing or of another shape"
        )
    model.load_state_dict({key: loaded[key] for key in own})
