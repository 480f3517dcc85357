"""Which items, and which parts of scenes, are drawn in which order: beside torchgeo's own samplers (train extra)."""

from importlib.util import find_spec

if not all(find_spec(name) is not None for name in ("torch", "torchgeo")):
    from weft_geo.errors import MissingExtraError

    raise MissingExtraError("drawing from data sets", "train")

from weft_geo.samplers.covering import CoveringGeoSampler
from weft_geo.samplers.object_balanced import ObjectBalancedGeoSampler
from weft_geo.samplers.process_share import ProcessShare
from weft_geo.samplers.resumable import ResumableSampler

__all__ = ["CoveringGeoSampler", "ObjectBalancedGeoSampler", "ProcessShare", "ResumableSampler"]
