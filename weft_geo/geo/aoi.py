"""An area of interest: the part of a scene that is to be looked at."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer
from pyproj.enums import TransformDirection
from rasterio.crs import CRS
from rasterio.features import geometry_mask
from shapely.affinity import affine_transform
from shapely.geometry.base import BaseGeometry

from weft_geo.errors import CrsError, InputError, VectorError
from weft_geo.geo.access import is_endless, is_there
from weft_geo.geo.ground import parse_crs
from weft_geo.geo.raster_info import RasterInfo
from weft_geo.geo.vector_file import read_vector_file

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class AreaOfInterest:
    """An area in pixel coordinates of one grid.

    Attributes:
        geometry: Polygons, in (column, row).
        top: First row that the area touches.
        left: First column.
        height: Rows that it touches.
        width: Columns.
    """

    geometry: BaseGeometry
    top: int
    left: int
    height: int
    width: int

    def mask(self, top: int, left: int, height: int, width: int) -> NDArray[np.bool_]:
        """Which pixels of a rectangle have their centre inside.

        Args:
            top: First row.
            left: First column.
            height: Rows.
            width: Columns.

        Returns:
            ``[height, width]``.
        """
        corner = Affine.translation(left, top)
        inside: NDArray[np.bool_] = geometry_mask(
            [self.geometry], out_shape=(height, width), transform=corner, invert=True
        )
        return inside


def read_aoi(aoi: str | Path | Box, info: RasterInfo) -> AreaOfInterest:
    """Reads an area of interest and places it on a scene's grid.

    Args:
        aoi: A vector file in any CRS, or a box ``minx,miny,maxx,maxy`` in the scene's CRS; ``,EPSG:n`` behind it says
            that it is in another.
        info: The grid, with a CRS.

    Raises:
        InputError: If the box is not one, or lies outside of the scene.
        VectorError: If the file cannot be read or holds no polygons.
        CrsError: If the file names no CRS.
    """
    area, crs = read_area(aoi)
    corners = np.array([info.transform @ (x, y) for x in (0, info.width) for y in (0, info.height)])
    area = place_area(area, crs or info.required_crs, info.required_crs, (*corners.min(0), *corners.max(0)))
    inverse = ~info.transform
    pixels = affine_transform(area, [inverse.a, inverse.b, inverse.d, inverse.e, inverse.c, inverse.f])
    pixels = shapely.intersection(pixels, shapely.box(0, 0, info.width, info.height))
    # Lines and points remain of polygons that touch the scene from outside; drawn as pixels, lines would be as wide.
    pixels = shapely.union_all(polygon_parts(pixels))
    if pixels.is_empty or pixels.area == 0:
        raise InputError(f"the area of interest {aoi} does not overlap {info.name}; is it in the right CRS?")
    min_col, min_row, max_col, max_row = pixels.bounds
    top, left = math.floor(min_row), math.floor(min_col)
    return AreaOfInterest(pixels, top, left, math.ceil(max_row) - top, math.ceil(max_col) - left)


def read_area(aoi: str | Path | Box, of: str = "the scene") -> tuple[BaseGeometry, CRS | None]:
    """Reads an area of interest where it is.

    Args:
        aoi: As for ``read_aoi``.
        of: What it is an area of, for messages: a box without a CRS is in that one's.

    Returns:
        The area and its CRS; None for a box that names none.

    Raises:
        InputError, VectorError, CrsError: As for ``read_aoi``.
    """
    box = parse_box(aoi, of)
    return _read_polygons(str(aoi), of) if box is None else (shapely.box(*box[0]), box[1])


def parse_box(aoi: str | Path | Box, of: str = "the scene") -> tuple[Box, CRS | None] | None:
    """A box and its CRS, None for the scene's; None instead of both if it is the name of a file."""
    if isinstance(aoi, Path):
        return None
    if isinstance(aoi, str) and (aoi.count(",") not in (3, 4) or is_there(aoi)):
        return None
    try:
        parts: list[Any] = aoi.split(",") if isinstance(aoi, str) else list(aoi)
        min_x, min_y, max_x, max_y = (float(part) for part in parts[:4])
    except (TypeError, ValueError) as error:
        got = repr(aoi)
        if not isinstance(aoi, (str, tuple, list)):
            got = f"an object of type {type(aoi).__name__}; write polygons to a file first (to_file)"
        raise InputError(
            f"aoi must be a file or minx,miny,maxx,maxy in {of}'s CRS, or with a CRS behind it, got {got}"
        ) from error
    if not (math.isfinite(min_x + min_y + max_x + max_y) and min_x < max_x and min_y < max_y):
        raise InputError(f"aoi must be minx,miny,maxx,maxy with min below max, got {aoi!r}")
    return (min_x, min_y, max_x, max_y), parse_crs(str(parts[4])) if len(parts) == 5 else None


def _read_polygons(path: str, of: str) -> tuple[BaseGeometry, CRS]:
    if is_endless(path):
        raise VectorError(f"{path} is a device or a pipe, not a file; give a file")
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "More than one layer found")  # the first is meant
            layer = read_vector_file(path)
    except VectorError:
        raise
    except Exception as error:  # pyogrio raises several unrelated types for one unreadable file
        raise VectorError(f"{path} cannot be read as a vector layer: {error}") from error
    shapes = polygon_parts(shapely.make_valid(layer.geometry.dropna().to_numpy()))
    if not len(shapes):
        raise VectorError(f"{path} holds no polygons, so it is no area of interest")
    if layer.crs is None:
        raise CrsError(f"{path} has no CRS; give it one, or give the area as minx,miny,maxx,maxy in {of}'s CRS")
    return shapely.union_all(shapes), CRS.from_wkt(layer.crs.to_wkt())


def polygon_parts(shapes: Any) -> NDArray[np.object_]:
    """The polygons in one or more geometries of any type, those in multipolygons and collections too, however deep."""
    parts = np.atleast_1d(shapes)
    while (shapely.get_type_id(parts) > shapely.GeometryType.POLYGON).any():
        parts = shapely.get_parts(parts)
    return np.asarray(parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON], dtype=object)


def place_area(area: BaseGeometry, crs: CRS, onto: CRS, bounds: Box) -> BaseGeometry:
    """An area in another CRS, as far as it is near some ground there.

    Args:
        area: Polygons.
        crs: Theirs.
        onto: The CRS to bring them to.
        bounds: West, south, east and north of that ground, in ``onto``.
    """
    if crs == onto:
        return shapely.make_valid(area)
    change = Transformer.from_crs(crs.to_wkt(), onto.to_wkt(), always_xy=True)
    left, bottom, right, top = change.transform_bounds(*bounds, direction=TransformDirection.INVERSE)
    if left < right and np.isfinite([left, bottom, right, top]).all():  # else it lies across the antimeridian
        # Only what is near: an area may reach where the other CRS has no numbers.
        margin = (right - left + top - bottom) / 10
        area = shapely.intersection(area, shapely.box(left - margin, bottom - margin, right + margin, top + margin))
    if area.is_empty:
        return area
    # A long straight edge in one CRS is a curve in another.
    left, bottom, right, top = area.bounds
    return shapely.make_valid(
        shapely.transform(
            shapely.segmentize(area, max(right - left, top - bottom) / 100),
            lambda xy: np.column_stack(change.transform(xy[:, 0], xy[:, 1])),
        )
    )
