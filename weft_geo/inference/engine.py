"""One scene in, layers out: read → batch → model → blend → write, in one pass from top to bottom.

The caller's thread runs the model, or waits for it where it takes several batches at the same time; the other stages
run in threads of their own behind bounded queues. Nothing but a band of rows as high as a window is ever held, so
memory does not grow with the scene's height. Where the band is too wide for the memory, the scene is worked on in
blocks of columns, with a pass for each.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from inspect import signature
from pathlib import Path
from typing import Any

from rasterio.crs import CRS

from weft_geo.errors import UnknownNameError
from weft_geo.geo.aoi import Box
from weft_geo.geo.lock import lock_outputs
from weft_geo.geo.memory import peak_memory_bytes
from weft_geo.geo.normalize import Bands
from weft_geo.geo.not_opened import require_path
from weft_geo.geo.stamps import changed_meanwhile, have_changed, stamp_of, stamps_of
from weft_geo.inference.augment import augment
from weft_geo.inference.backends import Predictor, as_predictor
from weft_geo.inference.interrupts import terminate_as_error
from weft_geo.inference.job import SceneJob
from weft_geo.inference.journal import Journal
from weft_geo.inference.layers import Layers, Outputs
from weft_geo.inference.plan import open_job
from weft_geo.inference.run import Run
from weft_geo.progress import Progress, silent
from weft_geo.vector import VectorOptions
from weft_geo.version import __version__


@dataclass(frozen=True)
class PredictReport:
    """What a run did.

    Attributes:
        objects: Objects written, or None if no objects were asked for.
        windows: Windows of the grid.
        resumed: Those of them that an earlier run had finished.
        skipped: Those of them that hold no wanted pixel, and were not given to the model.
        seconds: Wall time of the whole run.
        model_seconds: Time inside the model, of all batches together; where it takes several at the same time, this
            may be more than ``seconds``.
        read_seconds: Time spent reading, most of it while the model ran.
        peak_memory_bytes: Largest resident memory of the process so far.
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
    resumed: int
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
    predictor: Predictor | str | Path,
    objects: str | Path | None = None,
    mask: str | Path | None = None,
    probability: str | Path | None = None,
    window: int | None = None,
    overlap: int | None = None,
    batch_size: int | None = None,
    threshold: float | None = None,
    min_area_m2: float | None = None,
    bands: Bands | None = None,
    crs: str | CRS | None = None,
    gsd: str | float = "auto",
    aoi: str | Path | Box | None = None,
    overwrite: bool = False,
    max_memory: str | int | None = None,
    workers: int | None = None,
    tta: str = "none",
    resume: bool = True,
    run: str | None = None,
    progress: Progress | None = None,
    **vector_options: Any,
) -> PredictReport:
    """Finds the objects of a scene.

    All outputs lie on the grid that the model saw, in the scene's CRS: the scene's own, or the resampled one. They
    appear whole, at the end, or not at all.

    Args:
        scene: A raster that GDAL opens, with a CRS.
        predictor: The model, from ``load_predictor`` or a ``CallablePredictor``; a name or a path is loaded.
        objects: Polygons with attributes: ``.gpkg``, ``.fgb``, ``.parquet``, ``.geojson`` or ``.shp``.
        mask: uint8 COG: 0 background, 1…K the class, 255 nodata.
        probability: uint8 COG, one band a class: ``round(255 · p)``; a mask band says which pixels are valid.
        window: Side of a window in pixels; None takes the model's.
        overlap: Pixels that neighbouring windows share; None takes the model's.
        batch_size: Windows that the model is given at once; None chooses.
        threshold: Probability from which a pixel counts as an object; None takes the model's, usually 0.5.
        min_area_m2: Smaller objects are left out, on the ground; None takes the model's, usually 0, which keeps all.
        bands: 1-based band numbers in the model's order, ``"3,2,1"``; None chooses (see ``select_bands``).
        crs: Takes the place of the scene's CRS, or gives it one.
        gsd: ``auto`` resamples the scene if its pixels differ from the model's by more than 1.5 times, ``native``
            never, a number always, to that many metres per pixel.
        aoi: A vector file in any CRS, or ``minx,miny,maxx,maxy`` in the scene's CRS; the rest is left out.
            Of rasters, what comes is what the whole scene gives there; objects end at its border.
        overwrite: Replace outputs that are there already.
        max_memory: Memory that the process may take, in bytes or as ``"4GB"``. Batches become smaller, then the scene
            is worked on in blocks of columns until it fits; None lets the buffers take half of what is free.
        workers: Threads that decode, normalise and cut windows; None chooses for the machine.
        tta: Test-time augmentation: ``none``, ``flips`` (4 runs of the model) or ``d4`` (8), see ``Augmented``.
        resume: Go on from where a run of the same model over the same scene into these outputs was stopped. Needs a
            model with a SHA-256. False starts anew.
        run: Name of a run over many scenes that this one is part of; noted in the provenance, so that such a run knows
            its own outputs, and may replace them.
        progress: Is told how far the run is.
        **vector_options: ``outline``, ``simplify_m`` … of ``weft_geo.vector.VectorOptions``.

    Raises:
        InputError: Or one of its leaves: scene, model, arguments and outputs do not fit each other.
        OutputBusyError: Another run is writing one of the outputs.
        RunError: The scene could not be read to its end or was changed meanwhile, the model failed, or an output could
            not be written.
        InterruptedRunError: The process was asked to terminate.
    """
    began = time.perf_counter()
    tell = progress or silent
    _refuse_unknown(vector_options)
    require_path(scene)
    predictor = as_predictor(predictor)
    threshold = predictor.contract.threshold if threshold is None else threshold
    min_area_m2 = predictor.contract.min_area_m2 if min_area_m2 is None else min_area_m2
    options = VectorOptions(threshold=threshold, min_area_m2=min_area_m2, **vector_options)
    outputs = Outputs.at(objects, mask, probability)
    outputs.check(scene, overwrite, run)
    predictor = augment(predictor, tta)
    with (
        terminate_as_error(),
        lock_outputs(outputs.paths),
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
            max_memory=max_memory,
            workers=workers,
            wanted=(objects is not None, mask is not None, probability is not None),
        ) as job,
    ):
        outputs.refuse_to_replace([*job.files, *([str(aoi)] if isinstance(aoi, (str, Path)) else [])])
        outputs.check(scene, overwrite, run)  # again: a run that has ended since may have made them
        before = stamps_of(job.files)
        journal = Journal(outputs.paths[0], _identity(str(scene), predictor, job), resume)
        total = job.windows
        tell("start", "predict", 0, total, f"{job.shape[0]} × {job.shape[1]} px, {total} windows")
        warnings = job.warnings
        if journal.replaced:
            warnings += ("what an earlier run had finished does not fit this one; it starts anew",)
        for warning in warnings:
            tell("warning", "predict", 0, total, warning)
        provenance = _provenance(str(scene), predictor, job, options, aoi, tta) | ({"run": run} if run else {})
        with (
            _keep_what_is_done(journal),
            Layers(outputs, job, predictor.contract.classes, options, provenance) as layers,
        ):
            stages = Run(job, predictor, layers, journal, tell)
            stages.run()
            tell("progress", "write", 0, 1, "")
            layers.finish()
            if have_changed(job.files, before):
                journal.discard()
                raise changed_meanwhile(scene)
            journal.begin_publishing(outputs.paths)
            layers.publish()
        report = PredictReport(
            objects=layers.objects,
            windows=total,
            resumed=stages.resumed,
            skipped=stages.skipped,
            seconds=time.perf_counter() - began,
            model_seconds=stages.model_seconds,
            read_seconds=stages.read_seconds,
            peak_memory_bytes=peak_memory_bytes(),
            height=job.shape[0],
            width=job.shape[1],
            valid_pixels=layers.valid_pixels,
            object_pixels=layers.object_pixels,
            threshold=threshold,
            batch_size=job.batch_size,
            warnings=warnings,
        )
        found = "" if report.objects is None else f"{report.objects} objects"
        tell("done", "predict", total, total, found)
        return report


def _refuse_unknown(given: dict[str, Any]) -> None:
    known = {field.name for field in fields(VectorOptions)}
    if unknown := [name for name in given if name not in known]:
        own = {name for name in signature(predict_scene).parameters if name != "vector_options"}
        raise UnknownNameError("option", unknown[0], [*(known | own)])


@contextmanager
def _keep_what_is_done(journal: Journal) -> Iterator[None]:
    """Leaves the journal behind if the block fails and there is something to go on from, and says so."""
    try:
        yield
    except BaseException as error:
        if journal.kept:
            error.add_note("what is finished is kept; the same command goes on from there")
        else:
            journal.discard()
        raise
    journal.discard()


def _identity(scene: str, predictor: Predictor, job: SceneJob) -> dict[str, Any] | None:
    """Everything that the finished rows depend on; None if the model cannot be told from others."""
    if not predictor.sha256:
        return None
    stamps = stamps_of(job.files)
    info = job.raster.info
    return {
        "software": __version__,
        "model": [predictor.sha256, predictor.device, predictor.contract.to_json()],
        "scene": [str(Path(scene).absolute()) if stamp_of(scene) else scene, stamps],
        "raster": [
            info.height,
            info.width,
            info.dtype,
            list(info.transform),
            info.required_crs.to_wkt(),
            repr(job.raster.nodata_values),
            info.colors,
        ],
        "job": [
            job.origin,
            asdict(job.grid),
            [asdict(block) for block in job.blocks],
            job.bands,
            asdict(job.normalizer),
        ],
        "aoi": job.aoi and job.aoi.geometry.wkb_hex,
        "lot_rows": job.lot_rows,
    }


def _provenance(
    scene: str,
    predictor: Predictor,
    job: SceneJob,
    options: VectorOptions,
    aoi: str | Path | Box | None,
    tta: str,
) -> dict[str, Any]:
    sha256 = predictor.sha256.removesuffix(f"+{tta}")
    precision = next((half for half in ("bf16", "fp16") if sha256.endswith(f"+{half}")), None)
    return {
        "software": f"weft-geo {__version__}",
        "model": predictor.name,
        "model_sha256": sha256.removesuffix(f"+{precision}"),
        "scene": scene,
        **({"tiles": list(job.files[1:])} if job.is_mosaic else {}),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "parameters": {
            "bands": list(job.bands),
            "window": list(job.grid.shape),
            "overlap": job.grid.rows.overlap,
            "pixel_m": [round(side, 6) for side in job.pixel],
            "aoi": None if aoi is None else str(aoi),
            "tta": tta,
            "precision": precision,
            **asdict(options),
        },
        "warnings": list(job.warnings),
    }
