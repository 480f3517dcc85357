"""How much memory a run will take, and how a job is made to fit into what there is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from weft_geo.errors import InputError
from weft_geo.geo.cog import CogWriter
from weft_geo.geo.memory import available_memory_bytes, parse_memory, peak_memory_bytes, resident_memory_bytes
from weft_geo.inference.backends import Predictor, takes_stored
from weft_geo.inference.blending import RollingBand
from weft_geo.inference.columns import split_columns
from weft_geo.inference.job import BLEND_BEHIND, READ_AHEAD, SceneJob
from weft_geo.inference.stages import several
from weft_geo.inference.stored_windows import StoredWindows
from weft_geo.inference.strips import StripReader

RETAINED_BYTES = 96 << 20
"""What a run that has predicted all still holds, as measured, while another process makes the final layout."""

Wanted = tuple[bool, bool, bool]
"""Whether objects, a mask and a probability raster are wanted."""

OUTLINING_BYTES = 96 << 20
"""What outlining takes for a scene of few objects, as measured; it grows with the objects."""


def estimate_engine_bytes(job: SceneJob, predictor: Predictor, wanted: Wanted) -> int:
    """Bytes that the engine's own buffers take at their largest, the model's aside.

    Args:
        job: The job.
        predictor: The model.
        wanted: The layers that are written.
    """
    grid, info, classes = job.grid, job.raster.info, len(predictor.contract.classes)
    itemsize = np.dtype(info.dtype).itemsize
    width = max(block.width for block in job.blocks)
    image, answer = 4 * len(job.bands), 4 * classes
    if takes_stored(predictor):
        image, answer = itemsize * len(job.bands) + 1, 2 * classes
    held = StripReader.bytes_needed(job, width)
    beside = predictor.concurrency if predictor.concurrency > 1 else 0  # batches in flight but the first, and one more
    pixels = job.batch_size * grid.shape[0] * grid.shape[1]
    held += pixels * (image * (READ_AHEAD + 2 + beside) + answer * (BLEND_BEHIND + 1 + beside))
    held += RollingBand.bytes_needed(grid, width, classes)
    lot = min(job.lot_rows, grid.rows.length) * grid.cols.length
    held += lot * (2 * classes + 2) * (1 if len(job.blocks) == 1 else 2)
    objects, mask, probability = wanted
    outlining = OUTLINING_BYTES if objects else 0
    rasters = [CogWriter.bytes_needed(bands, *job.shape) for bands in [1] * mask + [classes] * probability]
    decoded = info.height * info.width * info.bands * itemsize
    held += outlining + sum(here for here, _ in rasters) + min(job.cache_bytes, decoded)
    finishing = [outlining + RETAINED_BYTES + apart for _, apart in rasters if apart]
    return max([held, *finishing])


def fit_into_memory(
    job: SceneJob, predictor: Predictor, wanted: Wanted, max_memory: str | int | None, free_batch: bool
) -> SceneJob:
    """The job in smaller batches, then in as many blocks of columns as it takes to stay within the memory.

    Args:
        job: The job, in one block of columns.
        predictor: The model.
        wanted: The layers that are written.
        max_memory: Memory that the process may take, in bytes or as ``"4GB"``; without a limit the engine's buffers
            may take half of what the machine has left.
        free_batch: The size of a batch was not asked for, so it may be changed.

    Raises:
        InputError: The limit is too small for any number of blocks, or is no amount.
    """

    def engine(job: SceneJob) -> int:
        return estimate_engine_bytes(job, predictor, wanted)

    if max_memory is None:
        available = available_memory_bytes()
        if available is None or engine(job) <= available // 2:
            return job
        limit, model = available // 2, 0
    else:
        limit, model = parse_memory(max_memory), measure_model(predictor, job)
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


_measured: dict[tuple[Any, ...], int] = {}


def measure_model(predictor: Predictor, job: SceneJob) -> int:
    """Peak resident memory of this process with the model at work, on as many batches of zeros as it takes at once.

    It is measured once: many small scenes would take twice as long.
    """
    shape = (job.batch_size, len(job.bands), *job.grid.shape)
    key = (predictor.sha256, predictor.device, predictor.concurrency, shape)
    if predictor.sha256 and key in _measured:
        return _measured[key]
    before = peak_memory_bytes()
    ask: Callable[[Any], object] = predictor
    zeros: Any = np.zeros(shape, np.float32)
    if takes_stored(predictor):
        ask, zeros = predictor.answer, StoredWindows(np.zeros(shape, job.raster.info.dtype), None, job.normalizer)
    for _ in several(ask, [zeros] * predictor.concurrency, predictor.concurrency, "measure"):
        pass
    peak = peak_memory_bytes()
    _measured[key] = peak if peak > before else resident_memory_bytes()
    return _measured[key]
