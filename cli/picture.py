"""A picture of objects over their scene."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
import rasterio.features
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from weft_geo.errors import RunError, VectorError
from weft_geo.geo.normalize import STRETCH_PERCENTILES, select_bands
from weft_geo.geo.raster import Raster
from weft_geo.geo.raster_info import RasterInfo
from weft_geo.geo.whole_files import written_whole

if TYPE_CHECKING:
    import geopandas

FOUND, TRUE = (255, 0, 220), (0, 230, 255)


def read_picture(raster: Raster, max_side: int) -> NDArray[np.uint8]:
    """Read a scene for the eye.

    Args:
        raster: The scene.
        max_side: Longest side of the picture, pixels.

    Returns:
        uint8 [3, h, w]; black where there is no image.
    """
    bands, _ = select_bands(raster.info, min(3, raster.info.bands))
    values, valid = raster.sample(bands, max_side)
    if values.dtype != np.uint8:
        values = values.astype(np.float32)
        if valid.any():
            low, high = np.percentile(values[:, valid], STRETCH_PERCENTILES)
            values = np.clip((values - low) / max(high - low, 1e-9) * 255, 0, 255)
    picture = np.where(valid, np.nan_to_num(values), 0).astype(np.uint8)
    return np.broadcast_to(picture[:1], (3, *valid.shape)).copy() if len(picture) < 3 else picture


def draw_objects(
    picture: NDArray[np.uint8],
    info: RasterInfo,
    objects: geopandas.GeoDataFrame,
    colour: tuple[int, int, int],
    fill: float = 0.0,
) -> None:
    """Draw outlines over a picture, in place.

    Args:
        picture: uint8 [3, h, w], the whole scene.
        info: The scene at full size.
        objects: Polygons in any CRS; without one they are taken to be in the scene's.
        colour: Of the outlines.
        fill: Opacity of the same colour inside.

    Raises:
        VectorError: None of the objects lies on the scene, though there are some.
    """
    height, width = picture.shape[1:]
    if objects.crs is not None:
        objects = objects.to_crs(info.required_crs.to_wkt())
    to_picture = Affine.scale(width / info.width, height / info.height) @ ~info.transform
    matrix = np.array([[to_picture.a, to_picture.b], [to_picture.d, to_picture.e]])
    offset = np.array([to_picture.c, to_picture.f])
    shapes = shapely.transform(np.asarray(objects.geometry.array, dtype=object), lambda xy: xy @ matrix.T + offset)
    shapes = shapes[shapely.intersects(shapes, shapely.box(0, 0, width, height))]
    if not len(shapes):
        if len(objects):
            raise VectorError(f"none of the {len(objects)} objects lies on {info.name}; is it another scene's layer?")
        return
    shapes = shapely.get_parts(shapely.get_parts(shapes))  # a collection has no boundary
    thick = max(0.75, max(height, width) / 1600)
    inside = _burn(shapes, (height, width))
    lines = _burn(shapely.buffer(shapely.boundary(shapes), thick), (height, width))
    for band, value in enumerate(colour):
        plane = picture[band].astype(np.float32)
        plane += inside * np.float32(fill) * (value - plane)
        picture[band] = np.where(lines, value, plane).astype(np.uint8)


def _burn(shapes: NDArray[np.object_], size: tuple[int, int]) -> NDArray[np.bool_]:
    kept = [(shape, 1) for shape in shapes if shape is not None and not shape.is_empty]
    burnt: NDArray[Any] = rasterio.features.rasterize(kept, out_shape=size, dtype="uint8") if kept else np.zeros(size)
    return burnt > 0


def write_png(path: Path, picture: NDArray[np.uint8]) -> None:
    """Write a picture [3, h, w] as PNG, without a world file beside it."""
    height, width = picture.shape[1:]
    with written_whole(path) as beside, rasterio.Env(GDAL_PAM_ENABLED="NO"), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            with rasterio.open(beside, "w", driver="PNG", height=height, width=width, count=3, dtype="uint8") as target:
                target.write(picture)
        except (RasterioError, CPLE_BaseError) as error:
            raise RunError(f"{path} could not be written: {error}") from error
