"""Vectors: probabilities and masks to whole, measured polygons. No torch."""

from weft_geo.vector.match import ObjectScores, match_objects
from weft_geo.vector.options import VectorOptions
from weft_geo.vector.polygonize import polygonize, vectorize_raster
from weft_geo.vector.stream import ObjectStream

__all__ = ["ObjectScores", "ObjectStream", "VectorOptions", "match_objects", "polygonize", "vectorize_raster"]
