"""Predicted objects against true ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import shapely
from shapely.geometry.base import BaseGeometry

from weft_geo.geo.aoi import Box
from weft_geo.vector.arrays import Bools, Shapes
from weft_geo.vector.pairs import ObjectPairs, pair_objects

if TYPE_CHECKING:
    import geopandas


@dataclass(frozen=True)
class ObjectScores:
    """How well two layers agree.

    Attributes:
        true_positives: pairs of one predicted and one true object with an IoU of at least the threshold.
        false_positives: predicted objects without a partner.
        false_negatives: true objects without a partner.
        precision: true positives over predicted objects (1 where there is neither a predicted nor a true object).
        recall: true positives over true objects (same rule).
        f1: harmonic mean of both.
        mean_iou: mean IoU of the pairs; 0 without pairs.
        area_iou: intersection over union of the two covered areas, objects aside; 1 where both are empty. By class:
            the intersections of all classes over their unions, so what is taken for another class counts as wrong.
        classes: the same of each class, sorted by name; empty where classes are left aside.
    """

    true_positives: int
    false_positives: int
    false_negatives: int
    precision: float
    recall: float
    f1: float
    mean_iou: float
    area_iou: float
    classes: dict[str, ObjectScores] = field(default_factory=dict)


def match_objects(
    predicted: geopandas.GeoDataFrame,
    truth: geopandas.GeoDataFrame,
    iou: float = 0.5,
    by: str | None = None,
    aoi: str | Path | Box | None = None,
) -> ObjectScores:
    """Pair predicted with true objects, one to one, best IoU first, and count.

    Both layers are brought into one equal-area frame (Lambert azimuthal, centred on them), so that they may come in
    different CRSs. Invalid geometries are repaired, points and lines left out, and exact duplicates within a layer
    (common in OpenStreetMap extracts) counted once.

    Args:
        predicted: polygons in any CRS.
        truth: polygons in any CRS; without a CRS only if `predicted` has none either.
        iou: least intersection over union of a pair, in (0, 1].
        by: attribute of `truth` that says what an object is; that of `predicted` has the same name, or is `class`.
            Only objects of one class become pairs. None leaves classes aside.
        aoi: a vector file in any CRS, or minx, miny, maxx, maxy in the CRS of `predicted`: only what is there counts.
            Objects count whole or not at all (see `weft_geo.vector.pairs`); areas end at its border.

    Returns:
        The scores.

    Raises:
        InputError: `iou` is out of range, or the area of interest lies elsewhere.
        CrsError: one layer has a CRS and the other has none, or they share no ground.
        VectorError: a layer has no such attribute, or it is not filled; the area cannot be read.
    """
    return score_pairs(pair_objects(predicted, truth, iou, by, aoi), by is not None)


def score_pairs(pairs: ObjectPairs, by_class: bool) -> ObjectScores:
    """Count what `pair_objects` found, also class by class if wanted."""
    found, true = pairs.found.classes, pairs.true.classes
    names = sorted({*found, *true})
    parts = [_Counts.of(pairs, found == name, true == name) for name in names]
    classes = {name: part.scores() for name, part in zip(names, parts, strict=True) if part.found or part.true}
    total = sum(parts, _Counts())
    return total.scores(classes if by_class else None)


@dataclass(frozen=True)
class _Counts:
    """What can be added up over classes; areas in the frame's unit."""

    hits: int = 0
    found: int = 0
    true: int = 0
    iou_sum: float = 0.0
    shared: float = 0.0
    covered: float = 0.0

    @classmethod
    def of(cls, pairs: ObjectPairs, found: Bools, true: Bools) -> _Counts:
        hit = found[pairs.left]
        areas = _shared_and_covered(pairs.found.shapes[found], pairs.true.shapes[true], pairs.area)
        counts = (found & pairs.found_counts).sum(), (true & pairs.true_counts).sum()
        return cls(int(hit.sum()), int(counts[0]), int(counts[1]), float(pairs.iou[hit].sum()), *areas)

    def __add__(self, other: _Counts) -> _Counts:
        return _Counts(*(one + two for one, two in zip(vars(self).values(), vars(other).values(), strict=True)))

    def scores(self, classes: dict[str, ObjectScores] | None = None) -> ObjectScores:
        nothing = not self.found and not self.true
        precision = 1.0 if nothing else self.hits / self.found if self.found else 0.0
        recall = 1.0 if nothing else self.hits / self.true if self.true else 0.0
        return ObjectScores(
            true_positives=self.hits,
            false_positives=self.found - self.hits,
            false_negatives=self.true - self.hits,
            precision=precision,
            recall=recall,
            f1=2 * precision * recall / (precision + recall) if precision + recall else 0.0,
            mean_iou=self.iou_sum / self.hits if self.hits else 0.0,
            area_iou=self.shared / self.covered if self.covered > 0 else 1.0,
            classes=classes or {},
        )


def _shared_and_covered(found: Shapes, true: Shapes, within: BaseGeometry | None) -> tuple[float, float]:
    """The area that both cover, and that either covers."""
    covers = [shapely.union_all(shapes) for shapes in (found, true)]
    parts = [
        shapely.get_parts(shapely.intersection(cover, within) if within is not None else cover) for cover in covers
    ]
    left, right = shapely.STRtree(parts[1]).query(parts[0], predicate="intersects")
    shared = float(shapely.area(shapely.intersection(parts[0][left], parts[1][right])).sum())
    return shared, sum(float(shapely.area(part).sum()) for part in parts) - shared
