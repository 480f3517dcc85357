"""The pixels of an open dataset: values and masks of a rectangle, and what is said where they cannot be read."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, cast

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import MaskFlags
from rasterio.errors import RasterioError
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from weft_geo.errors import RunError
from weft_geo.geo.dataset import Dataset, closing, noting_failure
from weft_geo.geo.raster_info import RasterInfo
from weft_geo.geo.remote import WAITS, is_remote, refusal


class Pixels:
    """The pixels of a dataset. Not for two threads at once, as is usual with GDAL.

    Args:
        dataset: What they are read from.
        info: What it is.

    Attributes:
        info: What it is.
        alpha_band: The 1-based number of the alpha band, or None.
        masked_twice: There is a mask beside the alpha band.
        all_valid: Neither mask, alpha nor nodata value leaves any pixel out.
        may_hold_nan: A band is of floats.
    """

    def __init__(self, dataset: Dataset, info: RasterInfo) -> None:
        self.info = info
        self._reading = dataset
        # GDAL takes an alpha band for a mask only if it is 8 or 16 bits deep; that of a resampled float raster is not.
        self.alpha_band = info.colors.index("alpha") + 1 if "alpha" in info.colors else None
        flags = self.dataset.mask_flag_enums
        # To GDAL a mask takes the place of alpha. Here a pixel needs both: who writes one often leaves the other full.
        self.masked_twice = self.alpha_band is not None and flags[0] == [MaskFlags.per_dataset]
        self.all_valid = self.alpha_band is None and all(flag == [MaskFlags.all_valid] for flag in flags)
        self.may_hold_nan = any(np.issubdtype(np.dtype(dtype), np.floating) for dtype in self.dataset.dtypes)

    @property
    def dataset(self) -> Any:
        """Of rasterio, open; another one after a failure."""
        return self._reading.current

    def once_more(self) -> AbstractContextManager[tuple[Any, Any]]:
        """The same dataset, opened once more: see ``Dataset``."""
        return self._reading.once_more()

    def read(self, bands: tuple[int, ...], window: Window, shape: tuple[int, int] | None = None) -> NDArray[Any]:
        """Values ``[len(bands), *shape]`` of a window; `shape` is its own size, or smaller for one that is decimated.

        Raises:
            RunError: If the file cannot be read there.
        """
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

    def valid(self, window: Window, shape: tuple[int, int], values: NDArray[Any] | None = None) -> NDArray[np.bool_]:
        """Which pixels of a window hold an image, ``[*shape]``; `values` of them are searched for NaN.

        Raises:
            RunError: If the file cannot be read there.
        """
        valid = np.ones(shape, bool) if self.all_valid else self._mask(window, shape)
        if values is not None and self.may_hold_nan:
            valid &= np.isfinite(values).all(axis=0)
        return valid

    def _mask(self, window: Window, shape: tuple[int, int]) -> NDArray[np.bool_]:
        if self.alpha_band is not None:
            opaque: NDArray[np.bool_] = self.read((self.alpha_band,), window, shape)[0] != 0
            return opaque & self._stored_mask(window, shape) if self.masked_twice else opaque
        return self._stored_mask(window, shape)

    def _stored_mask(self, window: Window, shape: tuple[int, int]) -> NDArray[np.bool_]:
        try:
            mask: NDArray[np.bool_] = (
                self._reading.read(lambda dataset: dataset.dataset_mask(window=window, out_shape=shape)) != 0
            )
        except RasterioError as error:
            raise self._unreadable(window, error) from error
        return mask

    def _in_one_thread(self, window: Window) -> Exception | None:
        """What GDAL says of a window that it decodes in one thread: of a mosaic, which tile it cannot read."""
        if self.info.driver == "VRT" and not isinstance(self.dataset, WarpedVRT):
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
