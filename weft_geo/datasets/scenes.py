"""Your own rasters and your own polygons, held in memory at the ground sampling distance that a model is trained at."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.features import rasterize
from shapely import MultiPolygon
from shapely.geometry.base import BaseGeometry

from weft_geo.datasets.labels import IGNORE as IGNORE
from weft_geo.errors import VectorError
from weft_geo.geo.access import is_local, what_hinders
from weft_geo.geo.aoi import polygon_parts
from weft_geo.geo.contract import ModelContract, Scale
from weft_geo.geo.normalize import measure_normalizer, select_bands
from weft_geo.geo.raster import open_raster
from weft_geo.geo.vector_file import read_vector_file

BANDS = 3


@dataclass(frozen=True)
class LabelledScene:
    """A scene and what is known of each of its pixels.

    Attributes:
        name: for messages and splits.
        image: uint8 [3, H, W], red, green, blue.
        labels: uint8 [H, W]: 0 background, 1 object, 255 unknown (nodata).
        gsd_m: metres per pixel on the ground.
    """

    name: str
    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    gsd_m: float


def load_scene(image: str | Path, polygons: str | Path, gsd_m: float, scale: Scale = None) -> LabelledScene:
    """Read a raster and its polygons at a ground sampling distance.

    Args:
        image: a raster with a CRS and at least three bands.
        polygons: a vector layer in any CRS and format that OGR reads; everything in it is an object.
        gsd_m: metres per pixel on the ground; the raster is resampled to it.
        scale: how values become 0…255, as the contract of the model to be trained says.

    Raises:
        VectorError: the layer cannot be read, has no CRS, or has no polygon that meets the raster.
        RasterError, CrsError: the raster cannot be read or placed.
    """
    contract = ModelContract(bands=BANDS, gsd_m=gsd_m, scale=scale)
    with open_raster(image) as source:
        bands, _ = select_bands(source.info, BANDS)
        normalizer = measure_normalizer(source, bands, contract)
        change = source.info.resampling(gsd_m, None)
        if change is None:
            info, values, valid = source.info, *source.whole(bands)
        else:
            with source.resampled(change) as raster:
                info, values, valid = raster.info, *raster.whole(bands)
    labels = burn_objects(polygons, info.height, info.width, info.transform, info.required_crs)
    labels[~valid] = IGNORE
    scaled = normalizer(values, valid).round().astype(np.uint8)
    return LabelledScene(Path(image).stem, scaled, labels, gsd_m)


def burn_objects(polygons: str | Path, height: int, width: int, transform: Affine, crs: CRS) -> NDArray[np.uint8]:
    """Burn a polygon layer into a grid: uint8 [height, width], 1 inside objects.

    Where two objects touch, the pixels along their border stay background, so that a model can learn to part them.

    Raises:
        VectorError: as for `load_scene`.
    """
    shapes = read_polygons(polygons, crs).geometry.array
    labels = burn_shapes(shapes, np.ones(len(shapes), np.uint8), height, width, transform)
    if not labels.any():
        raise VectorError(f"no polygon of {polygons} meets the raster; are both of the same place?")
    return labels


def read_polygons(path: str | Path, crs: CRS) -> gpd.GeoDataFrame:
    """The polygons of a layer in any format that OGR reads, with their attributes, brought to a CRS.

    Those in a collection are one object; points and lines are left out.

    Raises:
        VectorError: the layer cannot be read or has no CRS.
    """
    require_layer(path)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "More than one layer found")  # the first is meant
            layer = read_vector_file(path)
    except VectorError:
        raise
    except Exception as error:  # pyogrio raises many kinds for one reason: OGR cannot read the file
        reason = str(error).split(";")[0].rstrip(".")  # what follows is advice on GDAL's drivers
        raise VectorError(f"{path} cannot be read as a vector layer: {reason}") from error
    if not isinstance(layer, gpd.GeoDataFrame):
        raise VectorError(f"{path} is a table without geometries; expected a layer of polygons")
    if layer.crs is None:
        raise VectorError(f"{path} has no CRS, so its polygons cannot be laid over the raster; assign one first")
    layer = layer.to_crs(crs)
    mixed = (layer.geom_type == "GeometryCollection").to_numpy()
    layer.loc[mixed, layer.geometry.name] = [MultiPolygon([*polygon_parts(some)]) for some in layer.geometry[mixed]]
    return layer[layer.geom_type.isin(("Polygon", "MultiPolygon")) & ~layer.is_empty]


def require_layer(path: str | Path) -> None:
    """Refuse a local layer that is not there, or may not be read.

    Raises:
        VectorError: it is not.
    """
    if is_local(path) and (hindrance := what_hinders(path)):
        advice = "; give the layer that holds the polygons" if hindrance == "does not exist" else ""
        raise VectorError(f"{path} {hindrance}{advice}")


def burn_shapes(
    shapes: Sequence[BaseGeometry], values: NDArray[np.uint8], height: int, width: int, transform: Affine
) -> NDArray[np.uint8]:
    """Burn polygons into a grid, 0 elsewhere and where two of them touch: uint8 [height, width].

    Args:
        shapes: polygons [N] in the CRS of the grid; a later one lies over an earlier one.
        values: what to burn [N].
        height: rows.
        width: columns.
        transform: pixel (column, row) → CRS.
    """
    if not len(shapes):
        return np.zeros((height, width), np.uint8)
    numbered = ((shape, number) for number, shape in enumerate(shapes, start=1))
    numbers: NDArray[np.int32] = rasterize(numbered, out_shape=(height, width), transform=transform, dtype=np.int32)
    burnt = np.concatenate(([0], values)).astype(np.uint8)[numbers]
    burnt[_touches_another(numbers)] = 0
    return burnt


def _touches_another(numbers: NDArray[np.int32]) -> NDArray[np.bool_]:
    """[H, W]: pixels of an object with a pixel of another object among their four neighbours."""
    touching = np.zeros(numbers.shape, bool)
    for axis in (0, 1):
        one = np.moveaxis(numbers, axis, 0)
        meet = (one[1:] != one[:-1]) & (one[1:] > 0) & (one[:-1] > 0)
        flagged = np.moveaxis(touching, axis, 0)
        flagged[1:] |= meet
        flagged[:-1] |= meet
    return touching
