"""How much of a raster is worked on at a time, so that outlining it stays within an amount of memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from weft_geo.errors import InputError
from weft_geo.geo.memory import parse_memory, resident_memory_bytes
from weft_geo.geo.raster_info import RasterInfo

LOT_PIXELS = 1 << 21
"""Rows are outlined in lots of at most about this many pixels, which bounds the memory however they arrive."""

LOT_BYTES = 40
"""What a pixel of a lot takes while it is outlined, as measured on a raster full of small objects."""

WRITING_BYTES = 176 << 20
"""What the programs that outline and write objects take beside that, as measured; it grows with the objects."""


@dataclass(frozen=True)
class Budget:
    """What is held at a time.

    Attributes:
        lot_pixels: Pixels that are outlined at once.
        cache_bytes: Of GDAL's block cache.
    """

    lot_pixels: int
    cache_bytes: int

    def bytes_needed(self, info: RasterInfo) -> int:
        """Bytes that this process will take at most, with all that it holds already."""
        rows = max(info.block_shape[0], self.lot_pixels // info.width)
        read = min(rows, info.height) * info.width * (info.bands * np.dtype(info.dtype).itemsize + 2)
        return resident_memory_bytes() + WRITING_BYTES + self.cache_bytes + read + LOT_BYTES * self.lot_pixels


BUDGETS = tuple(Budget(LOT_PIXELS >> less, 64 << 20 >> less) for less in range(4))
"""From the fastest to the smallest. Every block is read whole and once, so a larger cache would hold nothing of use."""


def choose_budget(info: RasterInfo, max_memory: str | int | None) -> Budget:
    """The fastest that fits.

    Args:
        info: The raster.
        max_memory: Memory that this process may take, in bytes or as ``"1GB"``; None for no limit.

    Raises:
        InputError: None fits, or ``max_memory`` is no amount.
    """
    if max_memory is None:
        return BUDGETS[0]
    limit = parse_memory(max_memory)
    for budget in BUDGETS:
        if budget.bytes_needed(info) <= limit:
            return budget
    raise InputError(
        f"{info.name} needs at least {BUDGETS[-1].bytes_needed(info) / 2**20:.0f} MiB to be outlined; "
        f"--max-memory is {limit / 2**20:.0f} MiB. Give more"
    )
