"""Decides how a scene will be run through a model, before anything is run: grid, bands, scaling, batch, memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from rasterio.crs import CRS

from weft_geo.errors import InputError
from weft_geo.geo.aoi import AreaOfInterest, Box, read_aoi
from weft_geo.geo.cog import CogWriter
from weft_geo.geo.ground import PixelSize, choose_resampling, crs_name, describe_pixel
from weft_geo.geo.normalize import Normalizer, measure_normalizer, select_bands
from weft_geo.geo.raster import Raster, open_raster
from weft_geo.geo.windows import WindowGrid
from weft_geo.inference.backends import Predictor
from weft_geo.inference.blending import RollingBand
from weft_geo.inference.columns import ColumnBlock, split_columns
from weft_geo.inference.memory import available_memory_bytes, parse_memory, peak_memory_bytes, resident_memory_bytes
from weft_geo.inference.processors import count_processors
from weft_geo.inference.stages import several
from weft_geo.inference.strips import MOST_ROWS, StripReader

READ_AHEAD = 2
"""Batches made before the model asks for them."""

BLEND_BEHIND = 2
"""Answers of the model that wait to be blended."""

STORE_BEHIND = 2
"""Rows of windows that wait to be written and outlined."""

LOT_PIXELS = 1 << 22
"""Finished rows are written and outlined in lots of at most so many pixels, which bounds their memory."""

OUTLINING_BYTES = 72 << 20
"""What outlining takes for a scene of few objects, as measured; it grows with the objects."""

LEAST_CACHE_BYTES = 32 << 20
"""GDAL's block cache where every block is read whole and once."""

Bands = str | tuple[int, ...] | list[int]


@dataclass(frozen=True)
class SceneJob:
    """An open scene and everything decided about it.

    Attributes:
        raster: The scene on the grid that the model sees.
        bands: 1-based band numbers in the model's order.
        normalizer: How values are scaled.
        aoi: Area of interest, on that grid.
        origin: (row, column) of the output's corner on that grid.
        grid: The windows over the output.
        blocks: Its columns, in one block unless the band of rows would not fit in memory.
        batch_size: Windows in a batch.
        workers: Threads that decode, normalise and cut.
        pixel: Pixel of that grid on the ground.
        cache_bytes: How much GDAL's block cache needs for each block to be decoded once.
        warnings: What the user should know.
    """

    raster: Raster
    bands: tuple[int, ...]
    normalizer: Normalizer
    aoi: AreaOfInterest | None
    origin: tuple[int, int]
    grid: WindowGrid
    blocks: tuple[ColumnBlock, ...]
    batch_size: int
    workers: int
    pixel: PixelSize
    cache_bytes: int
    warnings: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the output."""
        return self.grid.rows.length, self.grid.cols.length

    @property
    def windows(self) -> int:
        """Windows to run, those that blocks of columns share counted for each."""
        return len(self.grid.rows.starts) * sum(block.end - block.first for block in self.blocks)

    @property
    def lot_rows(self) -> int:
        """Rows of pixels that are written and outlined at once."""
        return max(1, LOT_PIXELS // self.grid.cols.length)

    @property
    def transform(self) -> Affine:
        """Output pixel (column, row) → CRS coordinates."""
        top, left = self.origin
        return self.raster.info.transform @ Affine.translation(left, top)

    @property
    def crs(self) -> CRS:
        """CRS of the outputs: the scene's."""
        return self.raster.info.required_crs


@dataclass(frozen=True)
class ScenePlan:
    """What a run would do.

    Attributes:
        scene: The scene's path.
        model: The model's name.
        height: Rows of the output.
        width: Columns of the output.
        crs: Name of its CRS.
        pixel: Its pixel on the ground, in words.
        bands: 1-based band numbers of the scene, in the model's order.
        windows: Windows to run, those that will turn out to be empty included.
        blocks: Blocks of columns, worked on one after the other; 1 unless memory is short.
        window: (height, width) of a window.
        overlap: Pixels that neighbouring windows share.
        batch_size: Windows in a batch.
        memory_bytes: Estimated peak of this process' resident memory, for a scene of not too many objects.
        warnings: What the user should know.
    """

    scene: str
    model: str
    height: int
    width: int
    crs: str
    pixel: str
    bands: tuple[int, ...]
    windows: int
    blocks: int
    window: tuple[int, int]
    overlap: int
    batch_size: int
    memory_bytes: int
    warnings: tuple[str, ...]


@contextmanager
def open_job(
    scene: str | Path,
    predictor: Predictor,
    *,
    window: int | None = None,
    overlap: int | None = None,
    batch_size: int | None = None,
    bands: Bands | None = None,
    crs: str | CRS | None = None,
    gsd: str | float = "auto",
    aoi: str | Path | Box | None = None,
    max_memory: str | int | None = None,
    workers: int | None = None,
    rasters: tuple[bool, bool] = (False, False),
) -> Iterator[SceneJob]:
    """Opens a scene and decides how a model will run over it. For the arguments see ``predict_scene``.

    ``rasters`` says whether a mask and a probability raster will be written.

    Raises:
        InputError: Or one of its leaves, if scene, model and arguments do not fit each other.
        RunError: If the scene cannot be read.
    """
    contract = predictor.contract
    workers = _count_workers(workers)
    with rasterio.Env(GDAL_NUM_THREADS=str(workers)), open_raster(scene, crs) as source:
        info = source.info
        notes = []
        if crs is not None and info.stored_crs is not None and info.stored_crs != info.crs:
            notes.append(f"{info.name} says {crs_name(info.stored_crs)}; {crs_name(info.required_crs)} is used instead")
        pixel = info.pixel
        chosen, band_notes = select_bands(info, contract.bands, bands)
        notes += band_notes
        change = choose_resampling(pixel, gsd, contract.gsd_m)
        normalizer = measure_normalizer(source, chosen, contract)
        with source.resampled(change) if change else _as_it_is(source) as raster:
            if change:
                notes.append(change.reason)
                pixel = raster.info.pixel
            area = None if aoi is None else read_aoi(aoi, raster.info)
            origin, size = (0, 0), (raster.info.height, raster.info.width)
            if area is not None:
                origin, size = (area.top, area.left), (area.height, area.width)
            grid = _choose_grid(size, predictor, window, overlap)
            job = SceneJob(
                raster=raster,
                bands=chosen,
                normalizer=normalizer,
                aoi=area,
                origin=origin,
                grid=grid,
                blocks=split_columns(grid, 1),
                batch_size=_choose_batch(batch_size, grid, predictor.device),
                workers=workers,
                pixel=pixel,
                cache_bytes=_choose_cache(source, change is not None),
                warnings=tuple(notes),
            )
            yield _fit(job, predictor, rasters, max_memory, batch_size is None)


def plan_scene(
    scene: str | Path,
    predictor: Predictor,
    *,
    mask: bool = False,
    probability: bool = False,
    **arguments: Any,
) -> ScenePlan:
    """Says what ``predict_scene`` would do, and how much memory it would take.

    The model's own need is measured: it is run once, on one batch of zeros.

    Args:
        scene: The scene's path.
        predictor: The model.
        mask: A mask would be written.
        probability: A probability raster would be written.
        **arguments: ``window``, ``overlap``, ``batch_size``, ``bands``, ``crs``, ``gsd``, ``aoi``, ``max_memory`` and
            ``workers`` of ``predict_scene``.

    Raises:
        InputError: Or one of its leaves, as ``predict_scene`` would.
        RunError: If the scene cannot be read, or the model cannot run at this batch size.
    """
    with open_job(scene, predictor, rasters=(mask, probability), **arguments) as job:
        return ScenePlan(
            scene=str(scene),
            model=predictor.name,
            height=job.shape[0],
            width=job.shape[1],
            crs=crs_name(job.crs),
            pixel=describe_pixel(job.pixel),
            bands=job.bands,
            windows=job.windows,
            blocks=len(job.blocks),
            window=job.grid.shape,
            overlap=job.grid.rows.overlap,
            batch_size=job.batch_size,
            memory_bytes=_measure_model(predictor, job) + estimate_engine_bytes(job, predictor, (mask, probability)),
            warnings=job.warnings,
        )


def estimate_engine_bytes(job: SceneJob, predictor: Predictor, rasters: tuple[bool, bool]) -> int:
    """Bytes that the engine's own buffers take at their largest, the model's aside.

    Args:
        job: The job.
        predictor: The model.
        rasters: Whether a mask and a probability raster are written.
    """
    grid, info, classes = job.grid, job.raster.info, len(predictor.contract.classes)
    itemsize = np.dtype(info.dtype).itemsize
    width = max(block.width for block in job.blocks)
    window = 4 * job.batch_size * grid.shape[0] * grid.shape[1]
    held = StripReader.bytes_needed(grid, width, len(job.bands), itemsize, job.batch_size, info.block_shape[0])
    beside = predictor.concurrency if predictor.concurrency > 1 else 0  # batches in flight but the first, and one more
    held += window * (len(job.bands) * (READ_AHEAD + 1 + beside) + classes * (BLEND_BEHIND + 1 + beside))
    held += RollingBand.bytes_needed(grid, width, classes)
    lot = min(job.lot_rows, grid.rows.length) * grid.cols.length
    held += lot * (2 * classes + 2) * (1 if len(job.blocks) == 1 else 2) + OUTLINING_BYTES
    mask, probability = rasters
    held += CogWriter.bytes_needed(1, grid.cols.length) if mask else 0
    held += CogWriter.bytes_needed(classes, grid.cols.length) if probability else 0
    decoded = info.height * info.width * info.bands * itemsize
    return held + min(job.cache_bytes, decoded)


def _fit(
    job: SceneJob, predictor: Predictor, rasters: tuple[bool, bool], max_memory: str | int | None, free_batch: bool
) -> SceneJob:
    """The job in smaller batches, then in as many blocks of columns as it takes to stay within the memory.

    Without a limit the engine's buffers may take half of what the machine has left.
    """

    def engine(job: SceneJob) -> int:
        return estimate_engine_bytes(job, predictor, rasters)

    if max_memory is None:
        available = available_memory_bytes()
        if available is None or engine(job) <= available // 2:
            return job
        limit, model = available // 2, 0
    else:
        limit, model = parse_memory(max_memory), _measure_model(predictor, job)
        if free_batch and model + engine(job) > limit and job.batch_size > 1:
            job = replace(job, batch_size=1)
    most, tried, count = len(job.grid.cols.starts), [job], 1
    while model + engine(tried[-1]) > limit and count < most:
        count = min(most, count + 1 + count // 4)
        tried.append(replace(job, blocks=split_columns(job.grid, count)))
    if model + engine(tried[-1]) <= limit:
        return tried[-1]
    best = min(tried, key=engine)
    if max_memory is None:
        return best
    raise InputError(
        f"{job.raster.info.name} needs at least {(model + engine(best)) / 2**20:.0f} MiB with this model, of which the "
        f"model itself takes {model / 2**20:.0f}; --max-memory is {limit / 2**20:.0f} MiB. Give more, or a smaller "
        "--window"
    )


def _count_workers(workers: int | None) -> int:
    if workers is None:
        return min(4, count_processors())
    if workers < 1:
        raise InputError(f"workers must be at least 1, got {workers}")
    return workers


def _measure_model(predictor: Predictor, job: SceneJob) -> int:
    before = peak_memory_bytes()
    images = np.zeros((job.batch_size, len(job.bands), *job.grid.shape), np.float32)
    for _ in several(predictor, [images] * predictor.concurrency, predictor.concurrency, "measure"):
        pass
    peak = peak_memory_bytes()
    return peak if peak > before else resident_memory_bytes()


@contextmanager
def _as_it_is(raster: Raster) -> Iterator[Raster]:
    yield raster


def _choose_grid(size: tuple[int, int], predictor: Predictor, window: int | None, overlap: int | None) -> WindowGrid:
    contract = predictor.contract
    if window is None:
        window = contract.window
    elif predictor.fixed_size and window != contract.window:
        raise InputError(f"{predictor.name} takes windows of {contract.window} px and no others, got {window}")
    if overlap is None:
        # Keeps the contract's proportion when the user changes the window alone.
        overlap = contract.overlap * window // contract.window
    return WindowGrid.cover(*size, window, overlap, contract.multiple_of, fixed=predictor.fixed_size)


def _choose_batch(batch_size: int | None, grid: WindowGrid, device: str) -> int:
    """On a CPU larger batches only take memory; a GPU wants enough pixels to be busy."""
    if batch_size is not None:
        if batch_size < 1:
            raise InputError(f"batch size must be at least 1, got {batch_size}")
        return batch_size
    pixels = grid.shape[0] * grid.shape[1]
    most, full = (4, 512 * 512) if device.startswith("cpu") else (32, 16 * 512 * 512)
    return max(1, min(most, full // pixels, len(grid)))


def _choose_cache(source: Raster, is_resampled: bool) -> int:
    """Whole rows of blocks are read, so nothing is needed twice unless it is warped or a mask is made from it."""
    info = source.info
    again = is_resampled or info.nodata is not None or info.masked or info.block_shape[0] > MOST_ROWS
    block_row = info.block_shape[0] * info.width * info.bands * np.dtype(info.dtype).itemsize
    return min(max(2 * block_row, LEAST_CACHE_BYTES), 1 << 30) if again else LEAST_CACHE_BYTES
