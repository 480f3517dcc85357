"""Reads every block of rasters before they are used, so that a damaged one is told before a training and not within it.

What it costs is one read of the files. Rasters on a network are left out: their errors pass, and a read of all of them
may take longer than the training.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from weft_geo.errors import RasterError, RunError
from weft_geo.geo.raster import Raster, open_raster
from weft_geo.geo.remote import is_remote
from weft_geo.progress import Progress, silent

STAGE = "check"
_PIXELS = 1 << 22
"""In a region that is read at once; it bounds the memory of a thread."""


@dataclass(frozen=True)
class _Region:
    """A rectangle of whole blocks."""

    path: str
    top: int
    left: int
    height: int
    width: int


def require_readable(paths: Sequence[str], workers: int | None = None, progress: Progress | None = None) -> None:
    """Read rasters block by block, in threads, and refuse to go on with any that cannot be read whole.

    Args:
        paths: the rasters; those on a network are left out.
        workers: threads; None for one per core.
        progress: hears of the progress.

    Raises:
        RasterError: names the first damaged file, the block, and how many more files are damaged.
    """
    tell = progress or silent
    regions = [region for path in paths if not is_remote(path) for region in _regions(path)]
    problems: dict[str, str] = {}
    tell("start", STAGE, 0, len(regions), "")
    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        for done, (region, problem) in enumerate(zip(regions, pool.map(_problem, regions), strict=True), start=1):
            if problem:
                problems.setdefault(region.path, problem)
            tell("progress", STAGE, done, len(regions), "")
    tell("done", STAGE, len(regions), len(regions), "")
    if problems:
        more = f" ({len(problems) - 1} more rasters are damaged)" if len(problems) > 1 else ""
        raise RasterError(next(iter(problems.values())) + more)


def _regions(path: str) -> Iterator[_Region]:
    with open_raster(path) as raster:
        info = raster.info
    block_height, block_width = info.block_shape
    width = min(info.width, max(_PIXELS // block_height // block_width, 1) * block_width)
    height = min(info.height, max(_PIXELS // width // block_height, 1) * block_height)
    for top in range(0, info.height, height):
        for left in range(0, info.width, width):
            yield _Region(path, top, left, min(height, info.height - top), min(width, info.width - left))


def _problem(region: _Region) -> str:
    with open_raster(region.path) as raster:
        try:
            _read(raster, region)
        except RunError as error:
            block, cause = _first_bad_block(raster, region) or (region, error)
            last_row, last_column = block.top + block.height - 1, block.left + block.width - 1
            reason = str((cause.__cause__ and (cause.__cause__.__cause__ or cause.__cause__)) or cause).rstrip(".")
            return (
                f"{region.path} is damaged in rows {block.top} to {last_row}, columns {block.left} to {last_column}: "
                f"{reason}. Fetch or write it again, or leave it out"
            )
    return ""


def _first_bad_block(raster: Raster, region: _Region) -> tuple[_Region, RunError] | None:
    block_height, block_width = raster.info.block_shape
    for top in range(region.top, region.top + region.height, block_height):
        for left in range(region.left, region.left + region.width, block_width):
            height = min(block_height, region.top + region.height - top)
            width = min(block_width, region.left + region.width - left)
            block = _Region(region.path, top, left, height, width)
            try:
                _read(raster, block)
            except RunError as error:
                return block, error
    return None


def _read(raster: Raster, region: _Region) -> None:
    where = (region.top, region.left, region.height, region.width)
    raster.read(tuple(range(1, raster.info.bands + 1)), *where)
    raster.valid(*where)
