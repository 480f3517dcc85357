"""Writes a raster from top to bottom, and leaves a whole Cloud Optimized GeoTIFF or nothing.

Rows go to a tiled GeoTIFF in a folder beside the output; GDAL's COG driver turns it into the final layout, in which
overviews come first (https://gdal.org/drivers/raster/cog.html); a rename puts it in place.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from weft_geo.errors import RunError
from weft_geo.geo import copy_as_cog
from weft_geo.geo.whole_files import move_into_place, part_of

BLOCK = 512
"""Side of a tile in pixels."""

QUICK_BYTES = 1 << 27
"""What GDAL lays out anew in about a second. More is left to a process: it can be ended, and takes more memory."""

HERE_BYTES, APART_BYTES = 24 << 20, 112 << 20
"""What the final layout takes in this process and in one of its own, as measured, beside GDAL's block cache."""


class CogWriter:
    """A uint8 Cloud Optimized GeoTIFF under way.

    Use as a context manager: ``write`` rows in order, then ``finish``, then ``commit``. Leaving without ``commit``
    leaves nothing behind. One writer a path at a time: hold the output's lock.

    Args:
        path: The output, ``.tif`` or ``.tiff``.
        bands: Bands.
        height: Rows in all.
        width: Columns.
        crs: The CRS.
        transform: Pixel → CRS coordinates.
        nodata: Value of invalid pixels; None writes a mask band instead.
        average: Overviews average (for quantities) rather than take the nearest pixel (for classes).
        descriptions: One name a band.
        tags: Metadata of the file.
    """

    def __init__(
        self,
        path: Path,
        *,
        bands: int,
        height: int,
        width: int,
        crs: CRS,
        transform: Affine,
        nodata: int | None,
        average: bool,
        descriptions: tuple[str, ...],
        tags: dict[str, str],
    ) -> None:
        self.path = path
        self._scratch = part_of(path)
        self._profile: dict[str, Any] = {
            "driver": "GTiff",
            "count": bands,
            "height": height,
            "width": width,
            "dtype": "uint8",
            "crs": crs,
            "transform": transform,
            "nodata": nodata,
            "tiled": True,
            "blockxsize": BLOCK,
            "blockysize": BLOCK,
            "interleave": "band",
            "photometric": "minisblack",  # three or four classes are no colours, and the fourth is no opacity
            "alpha": "unspecified",
            "compress": "zstd",  # a fifth of the time of deflate at its fastest, and read once
            "zstd_level": 1,
            "bigtiff": "if_safer",
        }
        if bands > 1:  # GDAL 3.10 compresses them right in threads, but prints errors of its own making meanwhile
            self._profile["num_threads"] = 1
        self._average = average
        self._descriptions = descriptions
        self._tags = tags
        self._masked = nodata is None
        rows = min(BLOCK, height)
        self._values = np.zeros((bands, rows, width), np.uint8)
        self._mask = np.zeros((rows, width), np.uint8)
        self._filled = 0
        self._written = 0
        self._dataset: Any = None

    @staticmethod
    def bytes_needed(bands: int, height: int, width: int) -> tuple[int, int]:
        """Bytes in this process, and in one of its own at the end.

        The rows that wait for a tile to be full, and the final layout in the making.
        """
        rows = (bands + 1) * BLOCK * width
        if bands * height * width <= QUICK_BYTES:
            return rows + HERE_BYTES, 0
        return rows, APART_BYTES + _cache_bytes(bands, width)

    def __enter__(self) -> Self:
        self._clean()  # what a killed run has left
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            try:
                self._scratch.mkdir()
                self._dataset = rasterio.open(self._beside("strips"), "w", **self._profile)
            except (RasterioError, OSError) as error:
                self._clean()
                raise RunError(f"{self.path} cannot be written: {error}") from error
        self._dataset.update_tags(**self._tags)
        for band, name in enumerate(self._descriptions, start=1):
            self._dataset.set_band_description(band, name)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clean()

    def write(self, values: NDArray[np.uint8], valid: NDArray[np.bool_]) -> None:
        """Appends rows.

        Args:
            values: ``[bands, rows, width]``; invalid pixels hold the nodata value already, if there is one.
            valid: ``[rows, width]``.

        Raises:
            RunError: If they cannot be written, for instance because the disk is full.
        """
        done, rows = 0, values.shape[1]
        while done < rows:
            take = min(rows - done, self._values.shape[1] - self._filled)
            there, here = slice(self._filled, self._filled + take), slice(done, done + take)
            self._values[:, there] = values[:, here]
            self._mask[there] = valid[here] * np.uint8(255)
            self._filled += take
            done += take
            if self._filled == self._values.shape[1]:
                self._flush()

    def finish(self) -> None:
        """Makes the final layout, still beside the output.

        Raises:
            RunError: If it cannot be written.
        """
        self._flush()
        if self._written != self._profile["height"]:
            raise AssertionError(f"{self._written} rows of {self._profile['height']} were written")
        options = {"compress": "deflate", "blocksize": BLOCK, "bigtiff": "if_safer", "num_threads": "all_cpus"}
        options["overview_resampling"] = "average" if self._average else "nearest"
        try:
            self._dataset.close()
            self._dataset = None
        except (RasterioError, OSError) as error:
            raise RunError(f"{self.path} cannot be written: {error}") from error
        source, target = self._beside("strips"), self._beside("cog")
        bands, height, width = (self._profile[key] for key in ("count", "height", "width"))
        if bands * height * width <= QUICK_BYTES:
            failed = _copy_here(source, target, options)
        else:
            failed = _copy_apart(source, target, options, _cache_bytes(bands, width))
        if failed:
            raise RunError(f"{self.path} cannot be written: {failed}")

    def commit(self) -> None:
        """Puts the finished file in place, over an older one if there is one.

        Raises:
            RunError: If the disk does not take it.
        """
        try:
            move_into_place(self._beside("cog"), self.path)
        except OSError as error:
            raise RunError(f"{self.path} cannot be written: {error}") from error

    def _flush(self) -> None:
        if not self._filled:
            return
        window = rasterio.windows.Window(0, self._written, self._profile["width"], self._filled)
        try:
            self._dataset.write(self._values[:, : self._filled], window=window)
            if self._masked:
                self._dataset.write_mask(self._mask[: self._filled], window=window)
        except (RasterioError, OSError) as error:
            raise RunError(f"{self.path} cannot be written: {error}") from error
        self._written += self._filled
        self._filled = 0

    def _beside(self, stage: str) -> Path:
        return self._scratch / f"{stage}.tif"

    def _clean(self) -> None:
        if self._dataset is not None:
            self._dataset.close()
            self._dataset = None
        shutil.rmtree(self._scratch, ignore_errors=True)  # whoever writes there next says what stays


def _cache_bytes(bands: int, width: int) -> int:
    """Of GDAL's block cache for the final layout: two rows of blocks if they are not too many."""
    return min(max(8 << 20, 2 * (bands + 1) * BLOCK * width), 32 << 20)


def _copy_here(source: Path, target: Path, options: dict[str, Any]) -> str:
    """What went wrong, if anything did."""
    try:
        copy_as_cog.copy(str(source), str(target), options)
    except (RasterioError, OSError) as error:
        return str(error)
    return ""


def _copy_apart(source: Path, target: Path, options: dict[str, Any], cache_bytes: int) -> str:
    """The same in a process of its own, which ends when this wait is ended, by a signal above all."""
    environment = os.environ | {"GDAL_CACHEMAX": str(cache_bytes)}
    command = [sys.executable, "-P", copy_as_cog.__file__, str(source), str(target), json.dumps(options)]
    with (
        tempfile.TemporaryFile("w+", errors="replace") as said,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said, env=environment
        ) as process,
    ):
        try:
            while process.poll() is None:
                with suppress(subprocess.TimeoutExpired):  # on Windows a wait hears no signal until it ends
                    process.wait(timeout=0.5)
        except BaseException:
            process.kill()
            raise
        said.seek(0)
        words = " ".join(said.read().split())
    return "" if process.returncode == 0 else words or f"GDAL ended with code {process.returncode}"
