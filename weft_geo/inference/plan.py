"""Decides how a scene will be run through a model, before anything is run: grid, bands, scaling, batch, memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from operator import index
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.crs import CRS

from weft_geo.errors import InputError
from weft_geo.geo.aoi import Box, read_aoi
from weft_geo.geo.fit import units_for_pixels
from weft_geo.geo.ground import crs_name, describe_pixel
from weft_geo.geo.normalize import Bands, measure_normalizer, select_bands
from weft_geo.geo.processors import count_processors
from weft_geo.geo.raster import open_raster
from weft_geo.geo.raster_info import RasterInfo
from weft_geo.geo.windows import WindowGrid
from weft_geo.inference.backends import Predictor, as_predictor
from weft_geo.inference.columns import split_columns
from weft_geo.inference.estimate import Wanted, estimate_engine_bytes, fit_into_memory, measure_model
from weft_geo.inference.job import SceneJob
from weft_geo.inference.strips import MOST_ROWS

LEAST_CACHE_BYTES = 32 << 20
"""GDAL's block cache where every block is read whole and once."""
MOST_CACHE_BYTES = 1 << 30


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
    wanted: Wanted = (True, False, False),
) -> Iterator[SceneJob]:
    """Opens a scene and decides how a model will run over it. For the arguments see ``predict_scene``.

    ``wanted`` says which layers will be written, which the memory depends on.

    Raises:
        InputError: Or one of its leaves, if scene, model and arguments do not fit each other.
        RunError: If the scene cannot be read.
    """
    contract = predictor.contract
    workers = _count_workers(workers)
    with rasterio.Env(GDAL_NUM_THREADS=str(workers)), open_raster(scene, crs) as source:
        info = source.info
        notes = []
        if replaced := info.describe_replaced_crs():
            notes.append(replaced)
        pixel = info.pixel
        if not info.georeferenced:
            notes.append(units_for_pixels(info))
        chosen, band_notes = select_bands(info, contract.bands, bands)
        source.require_one_type(chosen)
        notes += band_notes
        if odd := source.describe_odd_alpha():
            notes.append(odd)
        change = info.resampling(gsd, contract.gsd_m)
        with rasterio.Env(GDAL_CACHEMAX=_cache_of_two_rows(info)):  # a decimated read comes back to every block
            normalizer = measure_normalizer(source, chosen, contract)
        cache_bytes = _choose_cache(info, change is not None)
        with (
            rasterio.Env(GDAL_CACHEMAX=cache_bytes),
            source.resampled(change) if change else nullcontext(source) as raster,
        ):
            if change:
                notes.append(change.reason)
                pixel = raster.info.pixel
            size = (raster.info.height, raster.info.width)
            grid = _choose_grid(size, predictor, window, overlap)
            area, origin, output = None, (0, 0), (0, 0, *size)
            if aoi is not None:
                area = read_aoi(aoi, raster.info)
                top, rows = grid.rows.around(area.top, area.height)
                left, cols = grid.cols.around(area.left, area.width)
                origin, output = (top, left), (area.top - top, area.left - left, area.height, area.width)
                grid = WindowGrid(rows, cols)
            job = SceneJob(
                raster=raster,
                files=source.files,
                is_mosaic=source.info.driver == "VRT",
                bands=chosen,
                normalizer=normalizer,
                aoi=area,
                origin=origin,
                grid=grid,
                output=output,
                blocks=split_columns(grid, 1),
                batch_size=_choose_batch(batch_size, grid, predictor.device),
                workers=workers,
                pixel=pixel,
                cache_bytes=cache_bytes,
                warnings=tuple(notes),
            )
            yield fit_into_memory(job, predictor, wanted, max_memory, batch_size is None)


def plan_scene(
    scene: str | Path,
    predictor: Predictor | str | Path,
    *,
    objects: bool = True,
    mask: bool = False,
    probability: bool = False,
    **arguments: Any,
) -> ScenePlan:
    """Says what ``predict_scene`` would do, and how much memory it would take.

    The model's own need is measured: it is run on zeros, on as many batches as it takes at the same time.

    Args:
        scene: The scene's path.
        predictor: The model, as for ``predict_scene``.
        objects: Objects would be written.
        mask: A mask would be written.
        probability: A probability raster would be written.
        **arguments: ``window``, ``overlap``, ``batch_size``, ``bands``, ``crs``, ``gsd``, ``aoi``, ``max_memory`` and
            ``workers`` of ``predict_scene``.

    Raises:
        InputError: Or one of its leaves, as ``predict_scene`` would.
        RunError: If the scene cannot be read, or the model cannot run at this batch size.
    """
    wanted = (objects, mask, probability)
    predictor = as_predictor(predictor)
    with open_job(scene, predictor, wanted=wanted, **arguments) as job:
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
            memory_bytes=measure_model(predictor, job) + estimate_engine_bytes(job, predictor, wanted),
            warnings=job.warnings,
        )


def _count_workers(workers: int | None) -> int:
    if workers is None:
        return min(4, count_processors())
    return _whole("workers", workers)


def _choose_grid(size: tuple[int, int], predictor: Predictor, window: int | None, overlap: int | None) -> WindowGrid:
    contract = predictor.contract
    window = contract.window if window is None else _whole("window", window)
    if predictor.fixed_size and window != contract.window:
        raise InputError(f"{predictor.name} takes windows of {contract.window} px and no others, got {window}")
    if overlap is None:
        # Keeps the contract's proportion when the user changes the window alone.
        overlap = contract.overlap * window // contract.window
    overlap = _whole("overlap", overlap, at_least=0)
    return WindowGrid.cover(*size, window, overlap, contract.multiple_of, fixed=predictor.fixed_size)


def _whole(name: str, value: int, at_least: int = 1) -> int:
    """A number as Python's own: journal and provenance hold no integers of NumPy's."""
    try:
        whole = index(value)
    except TypeError as error:
        raise InputError(f"{name} must be a whole number, got {value!r}") from error
    if whole < at_least:
        raise InputError(f"{name} must be at least {at_least}, got {whole}")
    return whole


def _choose_batch(batch_size: int | None, grid: WindowGrid, device: str) -> int:
    """On a CPU larger batches only take memory; a GPU wants enough pixels to be busy."""
    if batch_size is not None:
        return min(_whole("batch size", batch_size), len(grid))
    pixels = grid.shape[0] * grid.shape[1]
    most, full = (4, 512 * 512) if device.startswith("cpu") else (32, 16 * 512 * 512)
    return max(1, min(most, full // pixels, len(grid)))


def _choose_cache(info: RasterInfo, is_resampled: bool) -> int:
    """Whole rows of blocks are read, so nothing is needed twice unless it is warped or a mask is made from it."""
    again = is_resampled or info.nodata is not None or info.masked or info.block_shape[0] > MOST_ROWS
    return _cache_of_two_rows(info) if again else LEAST_CACHE_BYTES


def _cache_of_two_rows(info: RasterInfo) -> int:
    block_row = info.block_shape[0] * info.width * info.bands * np.dtype(info.dtype).itemsize
    return min(max(2 * block_row, LEAST_CACHE_BYTES), MOST_CACHE_BYTES)
