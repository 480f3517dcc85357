"""Predicted objects against true ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyproj
import shapely
from affine import Affine

from weft_geo.errors import CrsError, InputError
from weft_geo.vector.ground import Ground, as_pyproj
from weft_geo.vector.polygons import MULTIPOLYGON, POLYGON, Shapes

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
        area_iou: intersection over union of the two covered areas, objects aside; 1 where both are empty.
    """

    true_positives: int
    false_positives: int
    false_negatives: int
    precision: float
    recall: float
    f1: float
    mean_iou: float
    area_iou: float


def match_objects(predicted: geopandas.GeoDataFrame, truth: geopandas.GeoDataFrame, iou: float = 0.5) -> ObjectScores:
    """Pair predicted with true objects, one to one, best IoU first.

    Both layers are brought into one equal-area frame (Lambert azimuthal, centred on them), so that they may come in
    different CRSs. Invalid geometries are repaired, points and lines left out, and exact duplicates within a layer
    (common in OpenStreetMap extracts) counted once.

    Args:
        predicted: polygons in any CRS.
        truth: polygons in any CRS; without a CRS only if `predicted` has none either.
        iou: least intersection over union of a pair, in (0, 1].

    Returns:
        The scores.

    Raises:
        InputError: `iou` is out of range.
        CrsError: one layer has a CRS and the other has none, or they share no ground.
    """
    if not 0.0 < iou <= 1.0:
        raise InputError(f"iou is {iou!r}; give a share above 0 and up to 1")
    found, true = _equal_area(predicted, truth)
    matched = _greedy_pairs(found, true, iou)
    hits, misses, extra = len(matched), len(true) - len(matched), len(found) - len(matched)
    nothing = not len(found) and not len(true)
    precision = 1.0 if nothing else hits / len(found) if len(found) else 0.0
    recall = 1.0 if nothing else hits / len(true) if len(true) else 0.0
    return ObjectScores(
        true_positives=hits,
        false_positives=extra,
        false_negatives=misses,
        precision=precision,
        recall=recall,
        f1=2 * precision * recall / (precision + recall) if precision + recall else 0.0,
        mean_iou=float(np.mean(matched)) if hits else 0.0,
        area_iou=1.0 if nothing else _area_iou(found, true),
    )


def _greedy_pairs(found: Shapes, true: Shapes, iou: float) -> list[float]:
    """The IoU of each pair, pairs taken from the best downwards."""
    left, right = shapely.STRtree(true).query(found, predicate="intersects")
    shared = shapely.area(shapely.intersection(found[left], true[right]))
    ious = shared / (shapely.area(found)[left] + shapely.area(true)[right] - shared)
    # A shape against itself may come out a rounding below 1.
    candidates = np.flatnonzero(ious >= iou - 1e-9)
    used_left, used_right, matched = set(), set(), []
    for k in candidates[np.lexsort((right[candidates], left[candidates], -ious[candidates]))]:
        if left[k] not in used_left and right[k] not in used_right:
            used_left.add(left[k])
            used_right.add(right[k])
            matched.append(float(ious[k]))
    return matched


def _area_iou(found: Shapes, true: Shapes) -> float:
    parts = [shapely.get_parts(shapely.union_all(shapes)) for shapes in (found, true)]
    left, right = shapely.STRtree(parts[1]).query(parts[0], predicate="intersects")
    shared = float(shapely.area(shapely.intersection(parts[0][left], parts[1][right])).sum())
    total = sum(float(shapely.area(part).sum()) for part in parts) - shared
    return shared / total if total > 0 else 0.0


def _equal_area(predicted: geopandas.GeoDataFrame, truth: geopandas.GeoDataFrame) -> tuple[Shapes, Shapes]:
    layers = [_polygons(layer) for layer in (predicted, truth)]
    systems = [as_pyproj(layer.crs) for layer in (predicted, truth)]
    known = [crs for crs in systems if crs is not None]
    if not known:
        return layers[0], layers[1]
    for name, crs, layer in zip(("predicted", "true"), systems, layers, strict=True):
        if crs is None and len(layer):
            raise CrsError(f"the {name} layer has no CRS and the other has one; set it with set_crs")
    if len(set(known)) == 1 and not Ground(Affine.identity(), known[0]).is_geodesic:
        return layers[0], layers[1]
    geographic = [_reproject(layer, crs, "EPSG:4326") for layer, crs in zip(layers, systems, strict=True)]
    lon, lat = shapely.get_coordinates(np.concatenate(geographic[::-1])).T
    if not len(lon):
        return layers[0], layers[1]
    turn = np.radians(lon)
    centre = np.degrees(np.arctan2(np.sin(turn).mean(), np.cos(turn).mean()))
    frame = pyproj.CRS.from_proj4(f"+proj=laea +lat_0={lat.mean():.9f} +lon_0={centre:.9f} +datum=WGS84 +units=m")
    flat = [_repair(_reproject(layer, crs, frame)) for layer, crs in zip(layers, systems, strict=True)]
    return flat[0], flat[1]


def _reproject(shapes: Shapes, crs: pyproj.CRS | None, target: Any) -> Shapes:
    if crs is None or not len(shapes):
        return shapes
    try:
        change = pyproj.Transformer.from_crs(crs, target, always_xy=True)
        moved = shapely.transform(
            shapes, lambda xy: np.column_stack(change.transform(xy[:, 0], xy[:, 1], errcheck=True))
        )
    except pyproj.exceptions.ProjError as error:
        raise CrsError(f"{crs.name} cannot be turned into longitude and latitude: {error}") from error
    return np.asarray(moved, dtype=object)


def _polygons(layer: geopandas.GeoDataFrame) -> Shapes:
    """Valid, two-dimensional polygons without exact duplicates."""
    shapes = np.asarray(layer.geometry.array, dtype=object)
    shapes = shapely.force_2d(shapes[~(shapely.is_missing(shapes) | shapely.is_empty(shapes))])
    shapes = _repair(np.asarray(shapes, dtype=object))
    # Not np.unique, whose fixed-width strings would all be as long as the longest.
    first: dict[bytes, int] = {}
    for k, wkb in enumerate(shapely.to_wkb(shapely.normalize(shapes))):
        first.setdefault(wkb, k)
    return np.asarray(shapes[list(first.values())], dtype=object)


def _repair(shapes: Shapes) -> Shapes:
    fixed = shapes.copy()
    bad = ~shapely.is_valid(fixed)
    fixed[bad] = shapely.make_valid(fixed[bad], method="structure", keep_collapsed=False)
    for k in np.flatnonzero(~np.isin(shapely.get_type_id(fixed), (POLYGON, MULTIPOLYGON))):
        parts = shapely.get_parts(shapely.get_parts(fixed[k]))
        fixed[k] = shapely.multipolygons(parts[shapely.get_type_id(parts) == POLYGON])
    return np.asarray(fixed[shapely.area(fixed) > 0], dtype=object)
