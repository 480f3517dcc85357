"""Objects that are whole: the parts that the strips knew of each, brought together and put in order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from weft_geo.vector.arrays import Bools, Ints
from weft_geo.vector.marks import Table


@dataclass(frozen=True)
class Finished:
    """Objects whose last row has passed, in the order of their first pixels.

    Attributes:
        marks: [n] `MARK`; components numbered from 0 so that those of one object follow each other.
        owner: [components] object of each component.
        group: [objects] objects with the same number touch.
        value: [objects] class, 1…K.
        first: [objects] row × width + column of the first pixel.
        count: [objects] number of pixels.
        score: [objects] mean score.
        best: [objects] greatest score.
        edge: [objects] has a pixel on the raster's rim.
        nodata: [objects] has a pixel with an invalid one among its eight neighbours.
    """

    marks: Table
    owner: Ints
    group: Ints
    value: npt.NDArray[np.uint8]
    first: Ints
    count: Ints
    score: npt.NDArray[np.float64]
    best: npt.NDArray[np.float64]
    edge: Bools
    nodata: Bools


def bring_together(marks: Table, parts: Table, owner: Ints, group: Ints, scale: float) -> Finished:
    """Bring the parts of each object together and put the objects in order.

    Args:
        marks: of whole objects.
        parts: of whole objects.
        owner: [parts] any number that tells the objects apart.
        group: [parts] any number that tells the groups apart.
        scale: what the scores of the parts are divided by to lie in [0, 1].
    """
    component, where = np.unique(parts["component"], return_inverse=True)
    n = len(component)
    first = np.full(n, np.iinfo(np.int64).max)
    np.minimum.at(first, where, parts["first"])
    some_part = np.empty(n, dtype=np.int64)
    some_part[where] = np.arange(len(parts))
    _, owner = np.unique(owner, return_inverse=True)
    m = int(owner.max()) + 1 if len(owner) else 0
    object_first = np.full(m, np.iinfo(np.int64).max)
    np.minimum.at(object_first, owner, parts["first"])
    rank = np.empty(m, dtype=np.int64)
    rank[np.argsort(object_first)] = np.arange(m)
    owner = rank[owner]
    of_component = owner[some_part]
    component_order = np.lexsort((first, of_component))
    component_rank = np.empty(n, dtype=np.int64)
    component_rank[component_order] = np.arange(n)
    marks["component"] = component_rank[np.searchsorted(component, marks["component"])]
    value, groups = np.zeros(m, dtype=np.uint8), np.zeros(m, dtype=np.int64)
    value[owner], groups[owner] = parts["value"], group
    count = np.bincount(owner, parts["count"], m)
    best = np.zeros(m)
    np.maximum.at(best, owner, parts["best"])
    return Finished(
        marks=marks,
        owner=of_component[component_order],
        group=groups,
        value=value,
        first=np.sort(object_first),
        count=count.astype(np.int64),
        score=np.bincount(owner, parts["total"], m) / scale / np.maximum(count, 1),
        best=best / scale,
        edge=np.bincount(owner, parts["edge"], m) > 0,
        nodata=np.bincount(owner, parts["nodata"], m) > 0,
    )
