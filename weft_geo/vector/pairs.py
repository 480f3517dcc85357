"""Which predicted object is which true one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import shapely

from weft_geo.errors import InputError
from weft_geo.vector.equal_area import FlatLayer, lay_flat
from weft_geo.vector.ground import Floats
from weft_geo.vector.object_classes import read_classes
from weft_geo.vector.outline import Ints

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
    """

    found: FlatLayer
    true: FlatLayer
    left: Ints
    right: Ints
    iou: Floats


def pair_objects(
    predicted: geopandas.GeoDataFrame, truth: geopandas.GeoDataFrame, iou: float = 0.5, by: str | None = None
) -> ObjectPairs:
    """Pair predicted with true objects, one to one, best IoU first: see `match_objects`, which counts them."""
    if not 0.0 < iou <= 1.0:
        raise InputError(f"iou is {iou!r}; give a share above 0 and up to 1")
    found, true = lay_flat(predicted, truth, read_classes(predicted, truth, by))
    left, right = shapely.STRtree(true.shapes).query(found.shapes, predicate="intersects")
    same = found.classes[left] == true.classes[right]
    left, right = left[same], right[same]
    shared = shapely.area(shapely.intersection(found.shapes[left], true.shapes[right]))
    ious = shared / (shapely.area(found.shapes)[left] + shapely.area(true.shapes)[right] - shared)
    chosen = _best_first(left, right, ious, iou)
    return ObjectPairs(found, true, left[chosen], right[chosen], ious[chosen])


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
