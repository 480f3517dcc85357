"""Trunks that WEFT adapts."""

from weft_geo.errors import UnknownNameError
from weft_geo.models.backbones.timm_vit import PREFIX, TimmTrunk, trunk_shape
from weft_geo.models.backbones.trunk import Trunk
from weft_geo.models.backbones.uni_perceiver import UniPerceiver
from weft_geo.models.config import WeftConfig

__all__ = ["TimmTrunk", "Trunk", "UniPerceiver", "build_trunk", "trunk_shape"]


def build_trunk(config: WeftConfig) -> Trunk:
    """The trunk that a configuration names, with random values.

    Raises:
        UnknownNameError: it is neither "uni-perceiver" nor "timm/NAME".
    """
    if config.backbone == "uni-perceiver":
        return UniPerceiver(
            config.in_channels,
            config.embed_dim,
            config.depth,
            config.num_heads,
            position_grid=config.position_grid,
            drop_path=config.drop_path,
            layer_scale=config.layer_scale,
        )
    if config.backbone.startswith(PREFIX):
        return TimmTrunk(config.backbone.removeprefix(PREFIX), config.in_channels, config.drop_path)
    raise UnknownNameError("backbone", config.backbone, ["uni-perceiver", "timm/NAME"])
