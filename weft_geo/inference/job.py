"""One scene on its way through a model: everything that is decided before the first window is cut."""

from __future__ import annotations

from dataclasses import dataclass

from affine import Affine
from rasterio.crs import CRS

from weft_geo.geo.aoi import AreaOfInterest
from weft_geo.geo.ground import PixelSize
from weft_geo.geo.normalize import Normalizer
from weft_geo.geo.raster import Raster
from weft_geo.geo.windows import WindowGrid
from weft_geo.inference.columns import ColumnBlock

READ_AHEAD = 2
"""Batches made before the model asks for them."""

BLEND_BEHIND = 2
"""Answers of the model that wait to be blended."""

STORE_BEHIND = 2
"""Rows of windows that wait to be written and outlined."""

STORED_LOT_PIXELS = 1 << 22
"""Finished rows are written and outlined in lots of at most so many pixels, which bounds their memory."""


@dataclass(frozen=True)
class SceneJob:
    """An open scene and everything decided about it.

    Attributes:
        raster: The scene on the grid that the model sees.
        files: The files that the scene is read from, see ``Raster.files``.
        is_mosaic: Whether all but the first of them are its tiles.
        bands: 1-based band numbers in the model's order.
        normalizer: How values are scaled.
        aoi: Area of interest, on that grid; None for all of it.
        origin: (row, column) on that grid of the corner of the windows.
        grid: The windows: those of the whole scene that touch the output, so that it is what the whole scene gives
            there.
        output: (row, column, height, width) of the output, counted from ``origin``.
        blocks: The grid's columns, in one block unless the band of rows would not fit in memory.
        batch_size: Windows in a batch.
        workers: Threads that decode, normalise and cut.
        pixel: Pixel of that grid on the ground.
        cache_bytes: How much GDAL's block cache needs for each block to be decoded once.
        warnings: What the user should know.
    """

    raster: Raster
    files: tuple[str, ...]
    is_mosaic: bool
    bands: tuple[int, ...]
    normalizer: Normalizer
    aoi: AreaOfInterest | None
    origin: tuple[int, int]
    grid: WindowGrid
    output: tuple[int, int, int, int]
    blocks: tuple[ColumnBlock, ...]
    batch_size: int
    workers: int
    pixel: PixelSize
    cache_bytes: int
    warnings: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the output."""
        return self.output[2:]

    @property
    def windows(self) -> int:
        """Windows to run, those that blocks of columns share counted for each."""
        return len(self.grid.rows.starts) * sum(block.end - block.first for block in self.blocks)

    @property
    def lot_rows(self) -> int:
        """Rows of pixels that are written and outlined at once."""
        return max(1, STORED_LOT_PIXELS // self.grid.cols.length)

    @property
    def transform(self) -> Affine:
        """Output pixel (column, row) → CRS coordinates."""
        (top, left), (row, col, _, _) = self.origin, self.output
        return self.raster.info.transform @ Affine.translation(left + col, top + row)

    @property
    def crs(self) -> CRS:
        """CRS of the outputs: the scene's."""
        return self.raster.info.required_crs
