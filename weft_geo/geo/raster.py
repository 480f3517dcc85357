"""One open raster: its pixels row by row, which of them are valid, and the same on a coarser or finer grid.

Opens whatever GDAL opens: local files, VRTs, ``https://``, ``s3://``, ``/vsizip/…``.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, cast
from xml.sax.saxutils import escape

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Compression, Interleaving, MaskFlags
from rasterio.enums import Resampling as Kernel
from rasterio.errors import NotGeoreferencedWarning, RasterioError, RasterioIOError
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from weft_geo.errors import RasterError, RunError
from weft_geo.geo.dataset import Dataset, closing, noting_failure
from weft_geo.geo.gdal_settings import CAREFUL_OPTIONS
from weft_geo.geo.ground import Resampling, parse_crs
from weft_geo.geo.not_opened import not_opened, require_path, some
from weft_geo.geo.raster_info import RasterInfo
from weft_geo.geo.remote import NETWORK_OPTIONS, WAITS, gdal_name, is_remote, patiently, refusal
from weft_geo.geo.source_files import source_files

MOST_SAMPLED_ROWS = 1024
"""Whole rows of blocks as high as this at most are read to pick pixels from."""

MOST_ALPHAS = 16
"""Degrees of transparency; a band that has more of them, and seldom the highest, is an image."""

SPARSE_BELOW = 0.9
"""Of a file that holds a smaller share of its blocks, what it leaves out is not to be made up just to pick from it."""


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
        self._reading = dataset
        # GDAL takes an alpha band for a mask only if it is 8 or 16 bits deep; that of a resampled float raster is not.
        self._alpha_band = info.colors.index("alpha") + 1 if "alpha" in info.colors else None
        # To GDAL a mask takes the place of alpha. Here a pixel needs both: who writes one often leaves the other full.
        self._masked_twice = self._alpha_band is not None and self._dataset.mask_flag_enums[0] == [
            MaskFlags.per_dataset
        ]
        self._all_valid = self._alpha_band is None and all(
            flags == [MaskFlags.all_valid] for flags in self._dataset.mask_flag_enums
        )
        self._may_hold_nan = any(np.issubdtype(np.dtype(dtype), np.floating) for dtype in self._dataset.dtypes)

    @property
    def _dataset(self) -> Any:
        return self._reading.current

    @property
    def files(self) -> tuple[str, ...]:
        """The files that it is read from, see ``source_files``."""
        return source_files(self._dataset)

    def require_one_type(self, bands: tuple[int, ...]) -> None:
        """Makes sure that some bands can be read together.

        Raises:
            RasterError: If one is not of the first band's type.
        """
        for band in bands:
            if (dtype := self._dataset.dtypes[band - 1]) != self.info.dtype:
                raise RasterError(
                    f"{self.info.name} has bands of several types, band {band} {dtype} and the first "
                    f"{self.info.dtype}; convert it to one (gdal_translate -ot …)"
                )

    def require_one_nodata(self, purpose: str) -> None:
        """Makes sure that one nodata value holds for all bands: rasterio warps all of them with the first one's.

        Args:
            purpose: What else the raster cannot be, for the message.

        Raises:
            RasterError: If bands have values of their own.
        """
        values = self._dataset.nodatavals
        if not self.info.masked and len(set(map(repr, values))) > 1:  # a NaN is not like itself
            listed = ", ".join("none" if value is None else f"{value:g}" for value in values)
            raise RasterError(
                f"{self.info.name} has bands with different nodata values ({listed}), so it cannot be {purpose}, or "
                "bring them to one first (gdalwarp -srcnodata … -dstnodata …)"
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
        """
        return self._read(bands, Window(left, top, width, height))

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
        valid = np.ones((height, width), bool) if self._all_valid else self._mask(Window(left, top, width, height))
        if values is not None and self._may_hold_nan:
            valid &= np.isfinite(values).all(axis=0)
        return valid

    def describe_odd_alpha(self) -> str | None:
        """What to say of an alpha band that looks like an image, such as near infrared that a writer marked as alpha.

        Looks at some rows in the middle. Transparency is 0 or full, but for soft edges, or the same everywhere.
        """
        if self._alpha_band is None:
            return None
        top = self.info.height // 2
        alpha = self._read((self._alpha_band,), Window(0, top, self.info.width, min(64, self.info.height - top)))
        seen = alpha[alpha > 0]
        if seen.size > 2 * np.count_nonzero(seen == seen.max(initial=0)) and len(np.unique(seen)) > MOST_ALPHAS:
            return (
                f"band {self._alpha_band} of {self.info.name} is marked as alpha and looks like an image; pixels of "
                "which it is 0 are left out. If it is one, say so (gdal_translate -colorinterp_"
                f"{self._alpha_band} undefined)"
            )
        return None

    def stored_blocks(self, bands: tuple[int, ...]) -> NDArray[np.bool_] | None:
        """Which blocks the file holds; a sparse GeoTIFF leaves out those that are nodata, or 0 where it has none.

        Args:
            bands: 1-based band numbers; a block counts as stored if it is for one of them.

        Returns:
            ``[block rows, block columns]`` by `info.block_shape`, or None if the format does not tell.
        """
        high, wide = self.info.block_shape
        # Only tiles: GDAL may show one long strip as many short ones, which have no place in the file of their own.
        if self.info.driver != "GTiff" or wide >= self.info.width:
            return None
        rows, cols = -(-self.info.height // high), -(-self.info.width // wide)
        # Interleaved by pixel, bands share their blocks.
        asked = bands if self._dataset.interleaving == Interleaving.band else bands[:1]
        stored = np.zeros((rows, cols), bool)
        for row, col in np.ndindex(rows, cols):
            # https://gdal.org/en/stable/drivers/raster/gtiff.html, metadata domain "TIFF": no offset, no block
            item = f"BLOCK_OFFSET_{col}_{row}"
            stored[row, col] = any(self._dataset.get_tag_item(item, "TIFF", band) for band in asked)
        return stored

    def whole(self, bands: tuple[int, ...]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Reads the whole raster, which must fit in memory: values ``[len(bands), H, W]`` and validity ``[H, W]``."""
        values = self.read(bands, 0, 0, self.info.height, self.info.width)
        return values, self.valid(0, 0, self.info.height, self.info.width, values)

    def sample(self, bands: tuple[int, ...], max_side: int = 1024) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Reads the whole raster decimated, by nearest neighbour or from overviews.

        Returns:
            Values ``[len(bands), h, w]`` and validity ``[h, w]``, neither side longer than ``max_side``.
        """
        factor = max(1.0, max(self.info.height, self.info.width) / max_side)
        shape = (max(1, int(self.info.height / factor)), max(1, int(self.info.width / factor)))
        if 1 < factor < self.info.block_shape[0] <= MOST_SAMPLED_ROWS and self._is_decimated_slowly(bands):
            return self._picked(bands, shape)
        whole = Window(0, 0, self.info.width, self.info.height)
        values = self._read(bands, whole, shape)
        valid = np.ones(shape, bool) if self._all_valid else self._mask(whole, shape)
        if self._may_hold_nan:
            valid &= np.isfinite(values).all(axis=0)
        return values, valid

    def _is_decimated_slowly(self, bands: tuple[int, ...]) -> bool:
        """Whether GDAL has nothing smaller to start from, and would decode block after block in one thread."""
        if self.info.driver != "GTiff" or self.info.overviews or is_remote(self.info.path):
            return False
        if self._dataset.compression == Compression.jpeg:  # GDAL can decode every second pixel alone
            return False
        stored = self.stored_blocks(bands)
        return stored is None or bool(stored.mean() > SPARSE_BELOW)

    def _picked(self, bands: tuple[int, ...], shape: tuple[int, int]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """What GDAL's nearest neighbour gives, from whole rows of blocks, which it decodes in threads."""
        info, step = self.info, self.info.block_shape[0]
        rows, cols = (
            ((np.arange(size) + 0.5) * (whole / size) + 1e-10).astype(np.int64)  # as GDAL rounds
            for size, whole in zip(shape, (info.height, info.width), strict=True)
        )
        values = np.empty((len(bands), *shape), info.dtype)
        valid = np.empty(shape, bool)
        for top in range(0, info.height, step):
            first, end = np.searchsorted(rows, (top, top + step))
            area = (top, 0, min(step, info.height - top), info.width)
            read = self.read(bands, *area)
            row, col = rows[first:end, None] - top, cols[None, :]
            values[:, first:end] = read[:, row, col]
            valid[first:end] = self.valid(*area, read)[row, col]
        return values, valid

    @contextmanager
    def resampled(self, change: Resampling) -> Iterator[Raster]:
        """The same raster on another grid: same CRS, same extent, larger or smaller pixels.

        Averages when pixels grow, interpolates bilinearly when they shrink; invalid pixels take no part. Starts from
        the smallest overview that is not coarser than the new pixels, so that no more is read than needed.
        """
        info = self.info
        height, width = change.size(info.height, info.width)
        transform = info.transform @ Affine.scale(info.width / width, info.height / height)
        finer = min(change.down, change.across)
        with self._warped(
            info.required_crs, transform, height, width, change.coarser, finer, covered=self._all_valid
        ) as grid:
            yield grid

    @contextmanager
    def on_grid(self, crs: CRS, transform: Affine, height: int, width: int, coarser: bool) -> Iterator[Raster]:
        """The raster on any other grid, in any CRS; what it does not cover is invalid.

        Args:
            crs: Of the grid.
            transform: Pixel (column, row) of the grid → its CRS.
            height: Rows.
            width: Columns.
            coarser: Average, since the grid's pixels are larger; else interpolate bilinearly.
        """
        with self._warped(crs, transform, height, width, coarser, finer=1.0, covered=False) as grid:
            yield grid

    @contextmanager
    def _warped(
        self, crs: CRS, transform: Affine, height: int, width: int, coarser: bool, finer: float, covered: bool
    ) -> Iterator[Raster]:
        """`finer`: an overview may be read that is decimated by at most this; `covered`: all of the grid is valid."""
        self.require_one_nodata("resampled; give --gsd native")
        if self._masked_twice:
            raise RasterError(
                f"{self.info.name} has a mask beside its alpha band, so it cannot be resampled; write it without "
                "one of them first (gdal_translate -mask none, or -b 1 -b 2 -b 3), or give --gsd native"
            )
        options: dict[str, Any] = {"UNIFIED_SRC_NODATA": "YES"}
        if not covered and "alpha" not in self.info.colors:
            options["add_alpha"] = True
        if self._may_hold_nan and self._all_valid:
            options["src_nodata"] = math.nan  # else it spreads to whatever is interpolated from it

        def warp(base: Any) -> WarpedVRT:
            return WarpedVRT(
                base,
                src_crs=self.info.required_crs,
                crs=crs,
                transform=transform,
                height=height,
                width=width,
                resampling=Kernel.average if coarser else Kernel.bilinear,
                **options,
            )

        @contextmanager
        def opened(again: bool) -> Iterator[tuple[Any, Any]]:
            with self._overview(finer, again) as base, warp(base) as grid:
                yield base, grid

        with Dataset(self.info.path, opened) as dataset:
            yield Raster(dataset, RasterInfo.of(dataset.current, self.info.path, crs))

    @contextmanager
    def _overview(self, factor: float, again: bool) -> Iterator[Any]:
        """The dataset of the smallest overview that is decimated by at most ``factor``, or the raster's own.

        ``again``: not the raster's own, but the same opened once more.
        """
        overview = self._open_overview(factor)
        if overview is not None:
            with closing(overview):
                yield overview
        elif again:
            with self._reading.once_more() as (_, dataset):
                yield dataset
        else:
            yield self._dataset

    def _open_overview(self, factor: float) -> Any:
        fine = [level for level, decimation in enumerate(self.info.overviews) if decimation <= factor]
        if not fine:
            return None
        try:
            overview = rasterio.open(self.info.path, overview_level=fine[-1])
        except RasterioIOError:  # some formats list overviews that cannot be opened alone
            return None
        if self._masks_alike(overview, self.info.overviews[fine[-1]]):
            return overview
        overview.close()
        return None

    def _masks_alike(self, overview: Any, decimation: int) -> bool:
        """Whether the mask has that overview too: of a mask that has none, GDAL's overview is all valid."""
        if MaskFlags.per_dataset not in overview.mask_flag_enums[0] or self._alpha_band is not None:
            return True
        # The overviews of a mask are those of a VRT in which it is the only band; rasterio has no other way to them.
        source = f"<SourceFilename>{escape(gdal_name(self.info.path))}</SourceFilename><SourceBand>mask,1</SourceBand>"
        with rasterio.open(
            f'<VRTDataset rasterXSize="{self.info.width}" rasterYSize="{self.info.height}">'
            "<GeoTransform>0, 1, 0, 0, 0, -1</GeoTransform>"
            f'<VRTRasterBand dataType="Byte"><SimpleSource>{source}</SimpleSource></VRTRasterBand></VRTDataset>'
        ) as mask:
            return decimation in mask.overviews(1)

    def _read(self, bands: tuple[int, ...], window: Window, shape: tuple[int, int] | None = None) -> NDArray[Any]:
        # GDAL 3.10 gives wrong pixels where a band that it decodes in threads is asked for twice in one read.
        once = tuple(dict.fromkeys(bands))
        try:
            values: NDArray[Any] = self._reading.read(
                lambda dataset: dataset.read(
                    list(once), window=window, out_shape=None if shape is None else (len(once), *shape)
                )
            )
        except RasterioError as error:
            raise self._unreadable(window, error) from error
        return values if once == bands else values[[once.index(band) for band in bands]]

    def _mask(self, window: Window, shape: tuple[int, int] | None = None) -> NDArray[np.bool_]:
        if self._alpha_band is not None:
            opaque: NDArray[np.bool_] = self._read((self._alpha_band,), window, shape)[0] != 0
            return opaque & self._stored_mask(window, shape) if self._masked_twice else opaque
        return self._stored_mask(window, shape)

    def _stored_mask(self, window: Window, shape: tuple[int, int] | None) -> NDArray[np.bool_]:
        try:
            mask: NDArray[np.bool_] = (
                self._reading.read(lambda dataset: dataset.dataset_mask(window=window, out_shape=shape)) != 0
            )
        except RasterioError as error:
            raise self._unreadable(window, error) from error
        return mask

    def _in_one_thread(self, window: Window) -> Exception | None:
        """What GDAL says of a window that it decodes in one thread: of a mosaic, which tile it cannot read."""
        if self.info.driver == "VRT" and not isinstance(self._dataset, WarpedVRT):
            try:
                with (
                    rasterio.Env(GDAL_NUM_THREADS="1"),
                    closing(rasterio.open(self.info.path)) as again,
                    noting_failure(again),
                ):
                    again.read(window=window)
            except RasterioError as error:
                return cast(Exception, error)
        return None

    def _unreadable(self, window: Window, error: Exception) -> RunError:
        first, last = window.row_off, window.row_off + window.height - 1
        error = self._in_one_thread(window) or error
        cause = str(error.__cause__ or error).rstrip(".")
        hint = "The file may be damaged or cut short"
        if said := refusal(error):
            hint = f"Of what it is read from, {said}"
        elif is_remote(self.info.path):
            hint = f"It was tried {len(WAITS) + 1} times; the server or the network may be down, or the file cut short"
        return RunError(f"{self.info.name} cannot be read in rows {first} to {last}: {cause}. {hint}")


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
            raise RasterError(f"{path} holds no bands itself but {len(inside)} rasters; give one: {some(inside)}")
        if any(dtype.startswith("complex") for dtype in dataset.dtypes):  # complex_int16 is no type of numpy's
            raise RasterError(f"{path} holds complex numbers; convert it to real ones first (gdal_calc.py)")
        if dataset.driver == "GTI":  # what it cannot open of its tiles it reads as 0 (seen with GDAL 3.10)
            raise RasterError(
                f"{path} is a tile index, of which tiles that are missing would go unnoticed; make a mosaic of them "
                "first (gdalbuildvrt mosaic.vrt TILE…)"
            )
        if dataset.gcps[0] and dataset.transform == Affine.identity():
            raise RasterError(f"{path} is placed by ground control points only; warp it first (gdalwarp)")
        yield Raster(reading, RasterInfo.of(dataset, str(path), override or dataset.crs))
