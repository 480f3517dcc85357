"""A raster decimated, by nearest neighbour or from its overviews, and which of its blocks are stored at all."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Compression, Interleaving
from rasterio.windows import Window

from weft_geo.geo.pixels import Pixels
from weft_geo.geo.remote import is_remote

MOST_SAMPLED_ROWS = 1024
"""Whole rows of blocks as high as this at most are read to pick pixels from."""

SPARSE_BELOW = 0.9
"""Of a file that holds a smaller share of its blocks, what it leaves out is not to be made up just to pick from it."""


def stored_blocks(pixels: Pixels, bands: tuple[int, ...]) -> NDArray[np.bool_] | None:
    """Which blocks the file holds, or None if the format does not tell: see ``Raster.stored_blocks``."""
    info = pixels.info
    high, wide = info.block_shape
    # Only tiles: GDAL may show one long strip as many short ones, which have no place in the file of their own.
    if info.driver != "GTiff" or wide >= info.width:
        return None
    rows, cols = -(-info.height // high), -(-info.width // wide)
    # Interleaved by pixel, bands share their blocks.
    asked = bands if pixels.dataset.interleaving == Interleaving.band else bands[:1]
    stored = np.zeros((rows, cols), bool)
    for row, col in np.ndindex(rows, cols):
        # https://gdal.org/en/stable/drivers/raster/gtiff.html, metadata domain "TIFF": no offset, no block
        item = f"BLOCK_OFFSET_{col}_{row}"
        stored[row, col] = any(pixels.dataset.get_tag_item(item, "TIFF", band) for band in asked)
    return stored


def sample(pixels: Pixels, bands: tuple[int, ...], max_side: int) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """The whole raster, neither side longer than ``max_side``: see ``Raster.sample``."""
    info = pixels.info
    factor = max(1.0, max(info.height, info.width) / max_side)
    shape = (max(1, int(info.height / factor)), max(1, int(info.width / factor)))
    if 1 < factor < info.block_shape[0] <= MOST_SAMPLED_ROWS and _is_decimated_slowly(pixels, bands):
        return _picked(pixels, bands, shape)
    whole = Window(0, 0, info.width, info.height)
    values = pixels.read(bands, whole, shape)
    return values, pixels.valid(whole, shape, values)


def _is_decimated_slowly(pixels: Pixels, bands: tuple[int, ...]) -> bool:
    """Whether GDAL has nothing smaller to start from, and would decode block after block in one thread."""
    info = pixels.info
    if info.driver != "GTiff" or info.overviews or is_remote(info.path):
        return False
    if pixels.dataset.compression == Compression.jpeg:  # GDAL can decode every second pixel alone
        return False
    stored = stored_blocks(pixels, bands)
    return stored is None or bool(stored.mean() > SPARSE_BELOW)


def _picked(pixels: Pixels, bands: tuple[int, ...], shape: tuple[int, int]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """What GDAL's nearest neighbour gives, from whole rows of blocks, which it decodes in threads."""
    info, step = pixels.info, pixels.info.block_shape[0]
    rows, cols = (
        ((np.arange(size) + 0.5) * (whole / size) + 1e-10).astype(np.int64)  # as GDAL rounds
        for size, whole in zip(shape, (info.height, info.width), strict=True)
    )
    values = np.empty((len(bands), *shape), info.dtype)
    valid = np.empty(shape, bool)
    for top in range(0, info.height, step):
        first, end = np.searchsorted(rows, (top, top + step))
        lot = min(step, info.height - top)
        area = Window(0, top, info.width, lot)
        read = pixels.read(bands, area)
        row, col = rows[first:end, None] - top, cols[None, :]
        values[:, first:end] = read[:, row, col]
        valid[first:end] = pixels.valid(area, (lot, info.width), read)[row, col]
    return values, valid
