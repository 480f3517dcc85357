"""Copies a GeoTIFF as a cloud-optimised one: a program of its own (``python copy_as_cog.py SOURCE TARGET OPTIONS``).

The copy is one call of GDAL that may take minutes, and GDAL has no way to end it from Python. A process can be ended;
this one also ends by itself when the one that started it is gone, and with it the other end of its stdin.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import warnings
from typing import Any

import rasterio
import rasterio.shutil
from rasterio._err import CPLE_BaseError
from rasterio.errors import NotGeoreferencedWarning, RasterioError, RasterioIOError
from rasterio.windows import Window


def main() -> None:
    """Copies; what fails is said on stderr."""
    source, target, options = sys.argv[1:]
    threading.Thread(target=_end_with, args=(os.dup(0),), daemon=True).start()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # weft_geo.stdin says why; this program imports nothing of weft_geo
    try:
        copy(source, target, json.loads(options))
    except (RasterioError, OSError) as error:
        sys.exit(str(error))


def copy(source: str, target: str, options: dict[str, Any]) -> None:
    """Copies in this process.

    Raises:
        RasterioError, OSError: GDAL could not.
    """
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            rasterio.shutil.copy(source, target, driver="COG", **options)
            _read_back(target)
        except (CPLE_BaseError, SystemError) as error:  # rasterio lets GDAL's own errors through, and nameless ones
            raise RasterioIOError(str(error)) from error


def _read_back(path: str) -> None:
    """Reads all of a copy, for rasterio does not say what fails as GDAL closes it: a full disk above all."""
    with rasterio.open(path) as whole:
        levels = len(whole.overviews(1))
    for level in range(-1, levels):
        with rasterio.open(
            path, num_threads="all_cpus", **({"overview_level": level} if level >= 0 else {})
        ) as dataset:
            high, wide = dataset.block_shapes[0]
            for top in range(0, dataset.height, high):
                for left in range(0, dataset.width, 8 * wide):  # some blocks at a time, which are decoded in threads
                    area = Window(left, top, 8 * wide, high).intersection(Window(0, 0, dataset.width, dataset.height))
                    dataset.read(window=area)
                    dataset.dataset_mask(window=area)


def _end_with(pipe: int) -> None:
    while os.read(pipe, 4096):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
