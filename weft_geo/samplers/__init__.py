"""Which items, and which parts of scenes, are drawn in which order: beside torchgeo's own samplers (train extra)."""

from weft_geo.samplers.covering import CoveringGeoSampler
from weft_geo.samplers.object_balanced import ObjectBalancedGeoSampler
from weft_geo.samplers.process_share import ProcessShare
from weft_geo.samplers.resumable import ResumableSampler

__all__ = ["CoveringGeoSampler", "ObjectBalancedGeoSampler", "ProcessShare", "ResumableSampler"]
