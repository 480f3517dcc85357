"""Two layers of polygons in one frame where areas are true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyproj
import shapely
from affine import Affine

from weft_geo.errors import CrsError
from weft_geo.geo.aoi import polygon_parts
from weft_geo.vector.arrays import Bools, Ints, Shapes
from weft_geo.vector.ground import Ground, as_pyproj
from weft_geo.vector.object_classes import Names
from weft_geo.vector.polygons import MULTIPOLYGON, POLYGON

if TYPE_CHECKING:
    import geopandas


@dataclass(frozen=True)
class FlatLayer:
    """The objects of a layer that can be compared.

    Attributes:
        shapes: [n] valid, two-dimensional polygons that cover some ground.
        rows: [n] which row of the layer each comes from.
        classes: [n] what each is.
    """

    shapes: Shapes
    rows: Ints
    classes: Names

    def take(self, some: Bools | Ints) -> FlatLayer:
        """Some of them."""
        return FlatLayer(self.shapes[some], self.rows[some], self.classes[some])

    def reproject(self, crs: pyproj.CRS | None, target: Any) -> FlatLayer:
        """The same objects in another CRS, without those that have no area there."""
        return _repair(FlatLayer(reproject(self.shapes, crs, target), self.rows, self.classes))


def lay_flat(
    predicted: geopandas.GeoDataFrame, truth: geopandas.GeoDataFrame, classes: tuple[Names, Names]
) -> tuple[FlatLayer, FlatLayer, pyproj.CRS | None]:
    """Bring two layers into one frame: Lambert azimuthal equal-area, centred on them, if they lie on the Earth.

    Returns:
        What can be compared of both, and the CRS that it is in now.

    Raises:
        CrsError: one layer has a CRS and the other has none, or they share no ground.
    """
    found, true = (_comparable(layer, names) for layer, names in zip((predicted, truth), classes, strict=True))
    systems = [as_pyproj(layer.crs) for layer in (predicted, truth)]
    known = [crs for crs in systems if crs is not None]
    if not known:
        return found, true, None
    for name, crs, layer in zip(("predicted", "true"), systems, (found, true), strict=True):
        if crs is None and len(layer.rows):
            raise CrsError(f"the {name} layer has no CRS and the other has one; set it with set_crs")
    if len(set(known)) == 1 and not Ground(Affine.identity(), known[0]).is_geodesic:
        return found, true, known[0]
    geographic = [reproject(layer.shapes, crs, "EPSG:4326") for layer, crs in zip((found, true), systems, strict=True)]
    lon, lat = shapely.get_coordinates(np.concatenate(geographic[::-1])).T
    if not len(lon):
        return found, true, known[0]
    turn = np.radians(lon)
    centre = np.degrees(np.arctan2(np.sin(turn).mean(), np.cos(turn).mean()))
    frame = pyproj.CRS.from_proj4(f"+proj=laea +lat_0={lat.mean():.9f} +lon_0={centre:.9f} +datum=WGS84 +units=m")
    return found.reproject(systems[0], frame), true.reproject(systems[1], frame), frame


def reproject(shapes: Shapes, crs: pyproj.CRS | None, target: Any) -> Shapes:
    """Geometries in another CRS, vertex by vertex; as they are if they have none.

    Raises:
        CrsError: some have no place there.
    """
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


def _comparable(layer: geopandas.GeoDataFrame, classes: Names) -> FlatLayer:
    """The polygons of a layer, those that are there twice as the same class counted once."""
    shapes = np.asarray(layer.geometry.array, dtype=object)
    rows = np.flatnonzero(~(shapely.is_missing(shapes) | shapely.is_empty(shapes)))
    some = _repair(FlatLayer(np.asarray(shapely.force_2d(shapes[rows]), dtype=object), rows, classes[rows]))
    # Not np.unique, whose fixed-width strings would all be as long as the longest.
    first: dict[tuple[bytes, str], int] = {}
    for k, wkb in enumerate(shapely.to_wkb(shapely.normalize(some.shapes))):
        first.setdefault((wkb, some.classes[k]), k)
    return some.take(np.array(list(first.values()), dtype=np.int64))


def _repair(layer: FlatLayer) -> FlatLayer:
    fixed = layer.shapes.copy()
    bad = ~shapely.is_valid(fixed)
    fixed[bad] = shapely.make_valid(fixed[bad], method="structure", keep_collapsed=False)
    for k in np.flatnonzero(~np.isin(shapely.get_type_id(fixed), (POLYGON, MULTIPOLYGON))):
        fixed[k] = shapely.multipolygons(polygon_parts(fixed[k]))
    return FlatLayer(fixed, layer.rows, layer.classes).take(np.asarray(shapely.area(fixed) > 0))
