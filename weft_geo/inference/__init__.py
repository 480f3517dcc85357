"""Scene in, layers out: windows, predictors, blending, and the engine that joins them. No torch."""

from weft_geo.geo.contract import ModelContract

__all__ = ["ModelContract"]
