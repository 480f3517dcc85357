"""Which predicted object is which true one, and which of them count.

In an area of interest, whole objects count or do not, so that its border makes none smaller:

- pairs are made over the whole of both layers, so the border parts none;
- a true object counts if at least half of its area lies inside, and with it its partner;
- so does a predicted object without a partner, unless at least half of it covers true objects that do not count: what
  is left of those where a prediction ends at the border is neither right nor wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyproj
import shapely
from shapely.geometry.base import BaseGeometry

from weft_geo.errors import CrsError, InputError
from weft_geo.geo.aoi import Box, place_area, read_area
from weft_geo.geo.ground import parse_crs
from weft_geo.vector.arrays import Bools, Floats, Ints, Shapes
from weft_geo.vector.equal_area import FlatLayer, lay_flat
from weft_geo.vector.object_classes import read_classes

if TYPE_CHECKING:
    import geopandas


@dataclass(frozen=True)
class ObjectPairs:
    """The objects of two layers, and the pairs that they make.

    Attributes:
        found: the predicted objects, in one frame with the true ones.
        true: the true objects.
        left: [pairs] predicted object of each pair, as its place in `found`.
        right: [pairs] true object of each, as its place in `true`.
        iou: [pairs] intersection over union of each.
        found_counts: [found] whether it counts; all do without an area of interest, and both of a pair or none.
        true_counts: [true] likewise.
        area: the area of interest in the same frame; None for everything.
    """

    found: FlatLayer
    true: FlatLayer
    left: Ints
    right: Ints
    iou: Floats
    found_counts: Bools
    true_counts: Bools
    area: BaseGeometry | None


def pair_objects(
    predicted: geopandas.GeoDataFrame,
    truth: geopandas.GeoDataFrame,
    iou: float = 0.5,
    by: str | None = None,
    aoi: str | Path | Box | None = None,
) -> ObjectPairs:
    """Pair predicted with true objects, one to one, best IoU first: see `match_objects`, which counts them."""
    if not 0.0 < iou <= 1.0:
        raise InputError(f"iou is {iou!r}; give a share above 0 and up to 1")
    for layer in (predicted, truth):
        if not (hasattr(layer, "geometry") and hasattr(layer, "crs")):
            raise InputError(
                f"a layer is a GeoDataFrame with geometries, not an object of type {type(layer).__name__}; "
                "read a file first (geopandas.read_file)"
            )
    found, true, frame = lay_flat(predicted, truth, read_classes(predicted, truth, by))
    area = None if aoi is None else _lay_area(aoi, predicted.crs or truth.crs, frame, found, true)
    left, right = shapely.STRtree(true.shapes).query(found.shapes, predicate="intersects")
    same = found.classes[left] == true.classes[right]
    left, right = left[same], right[same]
    shared = shapely.area(shapely.intersection(found.shapes[left], true.shapes[right]))
    size = shapely.area(found.shapes)
    ious = shared / (size[left] + shapely.area(true.shapes)[right] - shared)
    chosen = _best_first(left, right, ious, iou)
    true_counts = _mostly_inside(true.shapes, area)
    left_aside = ~true_counts[right]
    on_left_aside = np.bincount(left[left_aside], shared[left_aside], len(size))
    found_counts = _mostly_inside(found.shapes, area) & (on_left_aside < size / 2)
    found_counts[left[chosen]] = true_counts[right[chosen]]
    chosen = chosen[true_counts[right[chosen]]]
    return ObjectPairs(found, true, left[chosen], right[chosen], ious[chosen], found_counts, true_counts, area)


def _lay_area(
    aoi: str | Path | Box, own_crs: Any, frame: pyproj.CRS | None, found: FlatLayer, true: FlatLayer
) -> BaseGeometry:
    """An area of interest in the frame of both layers; a box without a CRS is in `own_crs`."""
    area, crs = read_area(aoi, "the predicted layer")
    shapes = np.concatenate([found.shapes, true.shapes])
    if not len(shapes):
        return area
    west, south, east, north = map(float, shapely.total_bounds(shapes))
    if frame is None:
        if crs is not None:
            raise CrsError(f"the layers have no CRS, so the area of interest {aoi} has no place on them; give them one")
    else:
        known = crs or parse_crs(pyproj.CRS.from_user_input(own_crs).to_wkt())
        area = place_area(area, known, parse_crs(frame.to_wkt()), (west, south, east, north))
    if not shapely.intersects(area, shapely.box(west, south, east, north)):
        raise InputError(f"the area of interest {aoi} does not overlap the objects; is it in the right CRS?")
    return area


def _mostly_inside(shapes: Shapes, area: BaseGeometry | None) -> Bools:
    """Which polygons have at least half of their area inside."""
    if area is None:
        return np.ones(len(shapes), dtype=bool)
    shapely.prepare(area)
    inside = np.asarray(shapely.contains_properly(area, shapes))
    partly = np.asarray(shapely.intersects(area, shapes)) & ~inside
    some = shapes[partly]
    inside[partly] = shapely.area(shapely.intersection(some, area)) >= shapely.area(some) / 2
    return inside


def _best_first(left: Ints, right: Ints, ious: Floats, iou: float) -> Ints:
    """Which overlaps become pairs, taken from the best downwards."""
    # A shape against itself may come out a rounding below 1.
    candidates = np.flatnonzero(ious >= iou - 1e-9)
    used_left, used_right, chosen = set(), set(), []
    for k in candidates[np.lexsort((right[candidates], left[candidates], -ious[candidates]))]:
        if left[k] not in used_left and right[k] not in used_right:
            used_left.add(left[k])
            used_right.add(right[k])
            chosen.append(k)
    return np.array(chosen, dtype=np.int64)
