"""One scene in, layers out: read → batch → model → blend → write, in one pass from top to bottom.

Reading and normalising run in a thread of their own, a few batches ahead of the model. Nothing but a band of rows as
high as a window is ever held, so memory does not grow with the scene's height.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.crs import CRS

from weft_geo.errors import RunError
from weft_geo.geo.aoi import Box
from weft_geo.inference.backends import Predictor
from weft_geo.inference.blending import RollingBand
from weft_geo.inference.interrupts import terminate_as_error
from weft_geo.inference.layers import Layers, Outputs
from weft_geo.inference.memory import peak_memory_bytes
from weft_geo.inference.plan import READ_AHEAD, Bands, SceneJob, open_job
from weft_geo.inference.strips import Batch, StripReader, read_ahead
from weft_geo.vector import VectorOptions
from weft_geo.version import __version__

Progress = Callable[[str, str, int, int, str], None]
"""``(event, stage, done, total, message)``; event is ``start``, ``progress``, ``warning`` or ``done``."""


ROUNDING = 1e-3
"""How far outside of [0, 1] a probability may lie by rounding, in half precision above all; it is clipped."""


@dataclass(frozen=True)
class PredictReport:
    """What a run did.

    Attributes:
        objects: Objects written, or None if no objects were asked for.
        windows: Windows of the grid.
        skipped: Those of them that hold no wanted pixel, and were not given to the model.
        seconds: Wall time of the whole run.
        model_seconds: Time inside the model.
        read_seconds: Time spent reading, most of it while the model ran.
        peak_memory_bytes: Largest resident memory of the process so far; 0 where the system does not tell.
        height: Rows of the output.
        width: Columns of the output.
        valid_pixels: Pixels of the output that hold an image and lie in the area of interest.
        object_pixels: Those of them that belong to an object.
        threshold: Probability from which a pixel counts as an object.
        batch_size: Windows in a batch.
        warnings: What the user should know.
    """

    objects: int | None
    windows: int
    skipped: int
    seconds: float
    model_seconds: float
    read_seconds: float
    peak_memory_bytes: int
    height: int
    width: int
    valid_pixels: int
    object_pixels: int
    threshold: float
    batch_size: int
    warnings: tuple[str, ...]


def predict_scene(
    scene: str | Path,
    predictor: Predictor,
    objects: str | Path | None = None,
    mask: str | Path | None = None,
    probability: str | Path | None = None,
    window: int | None = None,
    overlap: int | None = None,
    batch_size: int | None = None,
    threshold: float | None = None,
    bands: Bands | None = None,
    crs: str | CRS | None = None,
    gsd: str | float = "auto",
    aoi: str | Path | Box | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    **vector_options: Any,
) -> PredictReport:
    """Finds the objects of a scene.

    All outputs lie on the grid that the model saw, in the scene's CRS: the scene's own, or the resampled one. They
    appear whole, at the end, or not at all.

    Args:
        scene: A raster that GDAL opens, with a CRS.
        predictor: The model, from ``load_predictor`` or a ``CallablePredictor``.
        objects: Polygons with attributes: ``.gpkg``, ``.fgb``, ``.parquet``, ``.geojson`` or ``.shp``.
        mask: uint8 COG: 0 background, 1…K the class, 255 nodata.
        probability: uint8 COG, one band a class: ``round(255 · p)``; a mask band says which pixels are valid.
        window: Side of a window in pixels; None takes the model's.
        overlap: Pixels that neighbouring windows share; None takes the model's.
        batch_size: Windows that the model is given at once; None chooses.
        threshold: Probability from which a pixel counts as an object; None takes the model's, usually 0.5.
        bands: 1-based band numbers in the model's order, ``"3,2,1"``; None chooses (see ``select_bands``).
        crs: Takes the place of the scene's CRS, or gives it one.
        gsd: ``auto`` resamples the scene if its pixels differ from the model's by more than 1.5 times, ``native``
            never, a number always, to that many metres per pixel.
        aoi: A vector file in any CRS, or ``minx,miny,maxx,maxy`` in the scene's CRS; the rest is left out.
        overwrite: Replace outputs that are there already.
        progress: Is told how far the run is.
        **vector_options: ``outline``, ``min_area_m2`` … of ``weft_geo.vector.VectorOptions``.

    Raises:
        InputError: Or one of its leaves: scene, model, arguments and outputs do not fit each other.
        RunError: The scene could not be read to its end, the model failed, or an output could not be written.
        InterruptedRunError: The process was asked to terminate.
    """
    began = time.perf_counter()
    tell = progress or _silent
    threshold = predictor.contract.threshold if threshold is None else threshold
    options = VectorOptions(threshold=threshold, **vector_options)
    outputs = Outputs.check(scene, objects, mask, probability, overwrite)
    with (
        terminate_as_error(),
        open_job(
            scene,
            predictor,
            window=window,
            overlap=overlap,
            batch_size=batch_size,
            bands=bands,
            crs=crs,
            gsd=gsd,
            aoi=aoi,
        ) as job,
        rasterio.Env(GDAL_CACHEMAX=job.cache_bytes),
    ):
        total = len(job.grid)
        tell("start", "predict", 0, total, f"{job.shape[0]} × {job.shape[1]} px, {total} windows")
        for warning in job.warnings:
            tell("warning", "predict", 0, total, warning)
        provenance = _provenance(str(scene), predictor, job, options)
        with Layers(outputs, job, predictor.contract.classes, options, overwrite, provenance) as layers:
            run = _run(job, predictor, layers, tell)
            tell("progress", "write", 0, 1, "")
            layers.finish()
        report = PredictReport(
            objects=layers.objects,
            windows=total,
            skipped=run.skipped,
            seconds=time.perf_counter() - began,
            model_seconds=run.model_seconds,
            read_seconds=run.read_seconds,
            peak_memory_bytes=peak_memory_bytes(),
            height=job.shape[0],
            width=job.shape[1],
            valid_pixels=layers.valid_pixels,
            object_pixels=layers.object_pixels,
            threshold=threshold,
            batch_size=job.batch_size,
            warnings=job.warnings,
        )
        found = "" if report.objects is None else f"{report.objects} objects"
        tell("done", "predict", total, total, found)
        return report


@dataclass
class _Count:
    skipped: int = 0
    model_seconds: float = 0.0
    read_seconds: float = 0.0


def _run(job: SceneJob, predictor: Predictor, layers: Layers, tell: Progress) -> _Count:
    reader = StripReader(job.raster, job.origin, job.grid, job.bands, job.normalizer, job.batch_size, job.aoi)
    band = RollingBand(job.grid, len(predictor.contract.classes))
    count, row, done, total = _Count(), 0, 0, len(job.grid)
    with closing(read_ahead(iter(reader), READ_AHEAD)) as items:
        for item in items:
            if isinstance(item, Batch):
                began = time.perf_counter()
                probabilities = predictor(item.images)
                count.model_seconds += time.perf_counter() - began
                _check_answer(probabilities, item, row, job, predictor)
                for col, probability in zip(item.cols, probabilities, strict=True):
                    band.add(col, probability)
                done += len(item.cols)
            else:
                layers.push(band.finish_row(), item.wanted)
                row += 1
                count.skipped += item.skipped
                done += item.skipped
            tell("progress", "predict", done, total, "")
    count.read_seconds = reader.read_seconds
    return count


def _check_answer(
    probabilities: NDArray[np.float32], batch: Batch, row: int, job: SceneJob, predictor: Predictor
) -> None:
    """Raises RunError unless the model answered one probability per class and pixel."""
    expected = (len(batch.cols), len(predictor.contract.classes), *job.grid.shape)
    fault, window = "", 0
    if probabilities.shape != expected:
        fault = f"answered {probabilities.shape}, expected {expected} (batch, classes, height, width)"
    else:
        low, high = probabilities.min(axis=(1, 2, 3)), probabilities.max(axis=(1, 2, 3))
        right = (low >= -ROUNDING) & (high <= 1 + ROUNDING)  # false for NaN
        window = int(right.argmin())
        if not right.all():
            fault = f"answered {low[window]:.4g} to {high[window]:.4g}, which are no probabilities"
    if fault:
        top, left = job.origin
        top, left = top + job.grid.rows.starts[row], left + job.grid.cols.starts[batch.cols[window]]
        raise RunError(
            f"the model {predictor.name} {fault}, in the window at row {top}, column {left} of {job.raster.info.name}"
        )


def _provenance(scene: str, predictor: Predictor, job: SceneJob, options: VectorOptions) -> dict[str, Any]:
    return {
        "software": f"weft-geo {__version__}",
        "model": predictor.name,
        "model_sha256": predictor.sha256,
        "scene": scene,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "parameters": {
            "bands": list(job.bands),
            "window": list(job.grid.shape),
            "overlap": job.grid.rows.overlap,
            "pixel_m": [round(side, 6) for side in job.pixel],
            **asdict(options),
        },
        "warnings": list(job.warnings),
    }


def _silent(event: str, stage: str, done: int, total: int, message: str) -> None:
    """Progress that nobody wants to hear of."""
