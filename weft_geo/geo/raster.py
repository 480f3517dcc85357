"""One open raster: its pixels row by row, which of them are valid, and the same on a coarser or finer grid.

Opens whatever GDAL opens: local files, VRTs, ``https://``, ``s3://``, ``/vsizip/…``.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import MaskFlags
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError
from rasterio.windows import Window

from weft_geo.errors import RasterError
from weft_geo.geo.dataset import Dataset, closing
from weft_geo.geo.decimated import sample, stored_blocks
from weft_geo.geo.gdal_settings import CAREFUL_OPTIONS
from weft_geo.geo.ground import Resampling, parse_crs
from weft_geo.geo.not_opened import not_opened, require_path, some
from weft_geo.geo.pixels import Pixels
from weft_geo.geo.raster_info import RasterInfo
from weft_geo.geo.remote import NETWORK_OPTIONS, is_remote, patiently
from weft_geo.geo.source_files import source_files
from weft_geo.geo.warped import warped

MOST_ALPHAS = 16
"""Degrees of transparency; a band that has more of them, and seldom the highest, is an image."""


class Raster:
    """An open raster. Not for two threads at once, as is usual with GDAL.

    Args:
        dataset: What it is read from.
        info: What it is.

    Attributes:
        info: What it is.
    """

    def __init__(self, dataset: Dataset, info: RasterInfo) -> None:
        self.info = info
        self._pixels = Pixels(dataset, info)

    @property
    def files(self) -> tuple[str, ...]:
        """The files that it is read from, see ``source_files``; its own name where GDAL lists none."""
        return source_files(self._pixels.dataset) or (self.info.path,)

    @property
    def tags(self) -> dict[str, str]:
        """The file's metadata."""
        return dict(self._pixels.dataset.tags())

    @property
    def descriptions(self) -> tuple[str | None, ...]:
        """What the file calls each band; None where it does not say."""
        return tuple(self._pixels.dataset.descriptions)

    @property
    def all_valid(self) -> bool:
        """Whether neither mask, alpha nor nodata value leaves any pixel out; a NaN may all the same."""
        return self._pixels.all_valid

    @property
    def nodata_values(self) -> tuple[float | None, ...]:
        """Each band's nodata value; None where it has none."""
        return tuple(self._pixels.dataset.nodatavals)

    def require_unpacked(self) -> None:
        """Makes sure that values are meant as they are stored.

        Raises:
            RasterError: If a band declares a scale or an offset for them.
        """
        dataset = self._pixels.dataset
        for scale, offset in zip(dataset.scales, dataset.offsets, strict=True):
            if (scale, offset) != (1, 0):
                raise RasterError(
                    f"{self.info.name} holds packed values, to be taken × {scale:g} + {offset:g}; "
                    "unpack them first (gdal_translate -unscale -ot Float32)"
                )

    def require_one_type(self, bands: tuple[int, ...]) -> None:
        """Makes sure that some bands can be read together.

        Raises:
            RasterError: If one is not of the first band's type.
        """
        for band in bands:
            if (dtype := self._pixels.dataset.dtypes[band - 1]) != self.info.dtype:
                raise RasterError(
                    f"{self.info.name} has bands of several types, band {band} {dtype} and the first "
                    f"{self.info.dtype}; convert it to one (gdal_translate -ot …)"
                )

    def require_one_nodata(self, purpose: str) -> None:
        """Makes sure that one nodata value holds for all bands: rasterio warps all of them with the first one's.

        Args:
            purpose: What else the raster cannot be, for the message.

        Raises:
            RasterError: If bands have values of their own, or one of 64 bits, which GDAL heeds where pixels are read as
                they are stored and rasterio does not tell.
        """
        values = self.nodata_values
        if not self.info.masked and len(set(map(repr, values))) > 1:  # a NaN is not like itself
            listed = ", ".join("none" if value is None else f"{value:g}" for value in values)
            raise RasterError(
                f"{self.info.name} has bands with different nodata values ({listed}), so it cannot be {purpose}, or "
                "bring them to one first (gdalwarp -srcnodata … -dstnodata …)"
            )
        if values[0] is None and [MaskFlags.nodata] in self._pixels.dataset.mask_flag_enums:
            raise RasterError(
                f"{self.info.name} has a nodata value too large for a float, so it cannot be {purpose}, or take "
                "another one first (gdalwarp -dstnodata …)"
            )

    def read(self, bands: tuple[int, ...], top: int, left: int, height: int, width: int) -> NDArray[Any]:
        """Reads a rectangle as it is stored.

        Args:
            bands: 1-based band numbers, repeats allowed.
            top: First row.
            left: First column.
            height: Rows.
            width: Columns.

        Returns:
            ``[len(bands), height, width]`` in the raster's own type.

        Raises:
            RunError: If the file cannot be read there.
            RasterError: If a band is not of the first one's type.
        """
        self.require_one_type(bands)
        return self._pixels.read(bands, Window(left, top, width, height))

    def valid(
        self, top: int, left: int, height: int, width: int, values: NDArray[Any] | None = None
    ) -> NDArray[np.bool_]:
        """Which pixels hold an image: by mask band, alpha band or nodata value of the source, and by being finite.

        A nodata value must be in all bands for a pixel to be invalid, as GDAL has it; a NaN in one band is enough.

        Args:
            top: First row.
            left: First column.
            height: Rows.
            width: Columns.
            values: ``[C, height, width]`` read from the same rectangle, searched for NaN.

        Returns:
            ``[height, width]``.

        Raises:
            RunError: If the file cannot be read there.
        """
        return self._pixels.valid(Window(left, top, width, height), (height, width), values)

    def describe_odd_alpha(self) -> str | None:
        """What to say of an alpha band that looks like an image, such as near infrared that a writer marked as alpha.

        Looks at some rows in the middle. Transparency is 0 or full, but for soft edges, or the same everywhere.
        """
        band = self._pixels.alpha_band
        if band is None:
            return None
        top = self.info.height // 2
        alpha = self._pixels.read((band,), Window(0, top, self.info.width, min(64, self.info.height - top)))
        seen = alpha[alpha > 0]
        if seen.size > 2 * np.count_nonzero(seen == seen.max(initial=0)) and len(np.unique(seen)) > MOST_ALPHAS:
            return (
                f"band {band} of {self.info.name} is marked as alpha and looks like an image; pixels of "
                "which it is 0 are left out. If it is one, say so (gdal_translate -colorinterp_"
                f"{band} undefined)"
            )
        return None

    def stored_blocks(self, bands: tuple[int, ...]) -> NDArray[np.bool_] | None:
        """Which blocks the file holds; a sparse GeoTIFF leaves out those that are nodata, or 0 where it has none.

        Args:
            bands: 1-based band numbers; a block counts as stored if it is for one of them.

        Returns:
            ``[block rows, block columns]`` by `info.block_shape`, or None if the format does not tell.
        """
        return stored_blocks(self._pixels, bands)

    def whole(self, bands: tuple[int, ...]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Reads the whole raster, which must fit in memory: values ``[len(bands), H, W]`` and validity ``[H, W]``."""
        values = self.read(bands, 0, 0, self.info.height, self.info.width)
        return values, self.valid(0, 0, self.info.height, self.info.width, values)

    def sample(self, bands: tuple[int, ...], max_side: int = 1024) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Reads the whole raster decimated, by nearest neighbour or from overviews.

        Returns:
            Values ``[len(bands), h, w]`` and validity ``[h, w]``, neither side longer than ``max_side``.

        Raises:
            RunError: If the file cannot be read.
            RasterError: If a band is not of the first one's type.
        """
        self.require_one_type(bands)
        return sample(self._pixels, bands, max_side)

    def resampled(self, change: Resampling) -> AbstractContextManager[Raster]:
        """The same raster on another grid: same CRS, same extent, larger or smaller pixels.

        Averages when pixels grow, interpolates bilinearly when they shrink; invalid pixels take no part. Starts from
        the smallest overview that is not coarser than the new pixels, so that no more is read than needed.
        """
        info = self.info
        height, width = change.size(info.height, info.width)
        transform = info.transform @ Affine.scale(info.width / width, info.height / height)
        finer, covered = min(change.down, change.across), self._pixels.all_valid
        crs = info.required_crs
        return self._on(crs, warped(self._pixels, crs, transform, height, width, change.coarser, finer, covered))

    def on_grid(
        self, crs: CRS, transform: Affine, height: int, width: int, coarser: bool
    ) -> AbstractContextManager[Raster]:
        """The raster on any other grid, in any CRS; what it does not cover is invalid.

        Args:
            crs: Of the grid.
            transform: Pixel (column, row) of the grid → its CRS.
            height: Rows.
            width: Columns.
            coarser: Average, since the grid's pixels are larger; else interpolate bilinearly.
        """
        return self._on(crs, warped(self._pixels, crs, transform, height, width, coarser))

    @contextmanager
    def _on(self, crs: CRS, grid: Dataset) -> Iterator[Raster]:
        self.require_one_nodata("resampled; give --gsd native")
        with grid as dataset:
            yield Raster(dataset, RasterInfo.of(dataset.current, self.info.path, crs))


@contextmanager
def open_raster(path: str | Path, crs: str | CRS | None = None) -> Iterator[Raster]:
    """Opens a raster for reading.

    Args:
        path: A file, a URL, or anything else that GDAL opens.
        crs: Takes the place of the raster's own CRS, ``EPSG:n`` or WKT.

    Raises:
        RasterError: If it is not there, is not a raster, or holds no bands.
        CrsError: If ``crs`` is not a CRS.
    """
    require_path(path)
    override = None if crs is None else parse_crs(crs)

    @contextmanager
    def opened(again: bool) -> Iterator[tuple[Any, Any]]:
        dataset = rasterio.open(path) if again else patiently(lambda: rasterio.open(path), str(path))
        with closing(dataset):
            yield dataset, dataset

    with ExitStack() as stack:  # settings of what cannot be opened must not stay either
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                network = NETWORK_OPTIONS if is_remote(str(path)) else {}
                stack.enter_context(rasterio.Env(**CAREFUL_OPTIONS, **network))
                reading = stack.enter_context(Dataset(str(path), opened))
        except RasterioIOError as error:
            raise not_opened(path, error) from error
        dataset = reading.current
        if dataset.count == 0:
            inside = dataset.subdatasets
            if not inside:
                raise RasterError(f"{path} holds no bands and leads to no raster; are files missing beside it?")
            raise RasterError(f"{path} holds no bands itself but {len(inside)} rasters; give one: {some(inside)}")
        if any(dtype.startswith("complex") for dtype in dataset.dtypes):  # complex_int16 is no type of numpy's
            raise RasterError(f"{path} holds complex numbers; convert it to real ones first (gdal_calc.py)")
        if dataset.driver == "GTI":  # what it cannot open of its tiles it reads as 0 (seen with GDAL 3.10)
            raise RasterError(
                f"{path} is a tile index, of which tiles that are missing would go unnoticed; make a mosaic of them "
                "first (gdalbuildvrt mosaic.vrt TILE…)"
            )
        if dataset.transform == Affine.identity():  # asked first, for GDAL looks beside it for files with RPCs
            if dataset.gcps[0]:
                raise RasterError(f"{path} is placed by ground control points only; warp it first (gdalwarp)")
            if dataset.rpcs:
                advice = "warp it first (gdalwarp -rpc, best with -to RPC_DEM=…)"
                raise RasterError(f"{path} is placed by RPCs only; {advice}")
        yield Raster(reading, RasterInfo.of(dataset, str(path), override or dataset.crs))
