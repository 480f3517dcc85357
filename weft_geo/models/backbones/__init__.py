"""Trunks that WEFT adapts."""

from weft_geo.models.backbones.uni_perceiver import UniPerceiver

__all__ = ["UniPerceiver"]
