"""A raster on another grid, from the smallest of its overviews that will do."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from xml.sax.saxutils import escape

import rasterio
from affine import Affine
from rasterio.crs import CRS
from rasterio.enums import MaskFlags
from rasterio.enums import Resampling as Kernel
from rasterio.errors import RasterioIOError
from rasterio.vrt import WarpedVRT

from weft_geo.errors import RasterError
from weft_geo.geo.dataset import Dataset, closing
from weft_geo.geo.pixels import Pixels
from weft_geo.geo.remote import gdal_name


def warped(
    pixels: Pixels,
    crs: CRS,
    transform: Affine,
    height: int,
    width: int,
    coarser: bool,
    finer: float = 1.0,
    covered: bool = False,
) -> Dataset:
    """A raster on another grid, to be opened.

    Args:
        pixels: Of the raster; one nodata value holds for all of its bands.
        crs: Of the grid.
        transform: Pixel (column, row) of the grid → its CRS.
        height: Rows.
        width: Columns.
        coarser: Average, since the grid's pixels are larger; else interpolate bilinearly. Invalid pixels take no part.
        finer: An overview may be read that is decimated by at most this.
        covered: All of the grid is valid.

    Raises:
        RasterError: If the raster has a mask beside its alpha band.
    """
    info = pixels.info
    if pixels.masked_twice:
        raise RasterError(
            f"{info.name} has a mask beside its alpha band, so it cannot be resampled; write it without "
            "one of them first (gdal_translate -mask none, or -b 1 -b 2 -b 3), or give --gsd native"
        )
    options: dict[str, Any] = {"UNIFIED_SRC_NODATA": "YES"}
    if not covered and "alpha" not in info.colors:
        options["add_alpha"] = True
    if pixels.may_hold_nan and pixels.all_valid:
        options["src_nodata"] = math.nan  # else it spreads to whatever is interpolated from it

    def warp(base: Any) -> WarpedVRT:
        return WarpedVRT(
            base,
            src_crs=info.required_crs,
            crs=crs,
            transform=transform,
            height=height,
            width=width,
            resampling=Kernel.average if coarser else Kernel.bilinear,
            **options,
        )

    @contextmanager
    def opened(again: bool) -> Iterator[tuple[Any, Any]]:
        with _overview(pixels, finer, again) as base, warp(base) as grid:
            yield base, grid

    return Dataset(info.path, opened)


@contextmanager
def _overview(pixels: Pixels, factor: float, again: bool) -> Iterator[Any]:
    """The dataset of the smallest overview that is decimated by at most ``factor``, or the raster's own.

    ``again``: not the raster's own, but the same opened once more.
    """
    overview = _open_overview(pixels, factor)
    if overview is not None:
        with closing(overview):
            yield overview
    elif again:
        with pixels.once_more() as (_, dataset):
            yield dataset
    else:
        yield pixels.dataset


def _open_overview(pixels: Pixels, factor: float) -> Any:
    info = pixels.info
    fine = [level for level, decimation in enumerate(info.overviews) if decimation <= factor]
    if not fine:
        return None
    try:
        overview = rasterio.open(info.path, overview_level=fine[-1])
    except RasterioIOError:  # some formats list overviews that cannot be opened alone
        return None
    if _masks_alike(pixels, overview, info.overviews[fine[-1]]):
        return overview
    overview.close()
    return None


def _masks_alike(pixels: Pixels, overview: Any, decimation: int) -> bool:
    """Whether the mask has that overview too: of a mask that has none, GDAL's overview is all valid."""
    info = pixels.info
    if MaskFlags.per_dataset not in overview.mask_flag_enums[0] or pixels.alpha_band is not None:
        return True
    # The overviews of a mask are those of a VRT in which it is the only band; rasterio has no other way to them.
    source = f"<SourceFilename>{escape(gdal_name(info.path))}</SourceFilename><SourceBand>mask,1</SourceBand>"
    with rasterio.open(
        f'<VRTDataset rasterXSize="{info.width}" rasterYSize="{info.height}">'
        "<GeoTransform>0, 1, 0, 0, 0, -1</GeoTransform>"
        f'<VRTRasterBand dataType="Byte"><SimpleSource>{source}</SimpleSource></VRTRasterBand></VRTDataset>'
    ) as mask:
        return decimation in mask.overviews(1)
