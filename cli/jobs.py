"""Which files the scenes of a command line become, and what the user hears of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from weft_geo.errors import InputError, OutputBusyError, PartialRunError, RunError
from weft_geo.geo.access import is_folder, is_local, is_there, require_replaceable, require_writable, what_hinders
from weft_geo.geo.aoi import parse_box
from weft_geo.geo.ground import parse_crs, parse_gsd
from weft_geo.geo.lock import lock_outputs
from weft_geo.geo.memory import parse_memory
from weft_geo.geo.mosaic import write_mosaic
from weft_geo.geo.normalize import parse_bands
from weft_geo.geo.vector_file import require_plain_name
from weft_geo.geo.whole_files import check_output
from weft_geo.inference.engine import predict_scene
from weft_geo.inference.fleet import run_fleet
from weft_geo.inference.journal import journal_folder
from weft_geo.inference.layers import Outputs
from weft_geo.inference.ledger import Ledger, SceneTask, check_outputs
from weft_geo.inference.ray_model import model_on_ray
from weft_geo.vector import VectorOptions

from .options import VECTOR_SUFFIXES
from .progress import Console
from .scenes import name_outputs

LEDGER = "ledger.json"


@dataclass(frozen=True)
class Jobs:
    """What a command line asks for.

    Attributes:
        jobs: One per scene.
        folders: Folders to make.
        ledger: Where to say how each scene went; None for a single scene with a file as output.
    """

    jobs: list[SceneTask]
    folders: list[Path] = field(default_factory=list)
    ledger: Path | None = None

    def check(self, overwrite: bool, dry_run: bool = False) -> None:
        """Refuse before any work what could only fail; a dry run leaves everything as it is.

        Raises:
            OutputExistsError: Outputs are there and may not be replaced.
            InputError: A folder cannot be written to, or GDAL would take its name for another.
        """
        for folder in self.folders:
            require_writable(folder)
        if self.ledger:
            suffix = self.jobs[0].outputs[0].suffix
            require_plain_name(self.ledger.with_name(f"objects{suffix}"), self.ledger.parent)
            if is_there(self.ledger):
                require_replaceable(self.ledger)
            check_outputs(self.jobs, Ledger(self.ledger), overwrite, tidy=not dry_run)
        else:
            (job,) = self.jobs
            outputs = Outputs.at(job.objects, job.mask, job.probability)
            outputs.refuse_to_replace([job.scene])  # which --overwrite would not help
            check_outputs(self.jobs, None, overwrite, tidy=not dry_run)
            outputs.check(job.scene, overwrite, None)


@contextmanager
def as_one_scene(tiles: Sequence[str], output: Path, dry_run: bool = False) -> Iterator[tuple[str]]:
    """Write the mosaic of some tiles beside the output; it stays where a run is stopped that can go on.

    A dry run writes it to a temporary folder: what lies beside the output may be another run's.

    Raises:
        InputError: The tiles do not fit each other, or the output is no file.
    """
    if output.suffix.lower() not in VECTOR_SUFFIXES or is_folder(output):
        raise InputError(f"a mosaic is one scene; give a file with -o ({' '.join(VECTOR_SUFFIXES)}), not {output}")
    if dry_run:
        with TemporaryDirectory(prefix="weft-geo-") as folder:
            yield (str(write_mosaic(tiles, Path(folder) / f"{output.stem}.vrt")),)
        return
    check_output(output, overwrite=True)
    with lock_outputs([output]):  # else another run's would be replaced, and this one refused only then
        mosaic = write_mosaic(tiles, output.with_name(f".{output.name}.mosaic.vrt"))
    try:
        yield (str(mosaic),)
    finally:
        with suppress(OutputBusyError), lock_outputs([output]):  # else it is another run's by now
            if not is_there(journal_folder(output)):
                mosaic.unlink(missing_ok=True)


def plan_jobs(
    scenes: Sequence[str], output: Path, mask: Path | None, probability: Path | None, suffix: str | None = None
) -> Jobs:
    """Decide which files the scenes become.

    Args:
        scenes: Rasters.
        output: A file, or a folder.
        mask: A file or folder like `output`; None for no masks.
        probability: Likewise.
        suffix: Of the objects in a folder; None takes that of GeoPackage.

    Raises:
        InputError: The output does not suit the number of scenes, or two scenes would become the same file.
    """
    if output.suffix.lower() in VECTOR_SUFFIXES and not is_folder(output):
        if len(scenes) > 1:
            raise InputError(f"{len(scenes)} scenes cannot go into the one file {output}; give a folder with -o")
        if suffix is not None:
            raise InputError(f"the suffix of {output} says its format; --format is for a folder")
        return Jobs([SceneTask(scenes[0], output, mask, probability)])
    if str(output) == "-" or output.name.lower() in VECTOR_SUFFIXES:
        raise InputError(f"{output} is no name of an output; give a file such as objects.gpkg, or a folder")
    if output.suffix and not is_folder(output):
        known = ", ".join(VECTOR_SUFFIXES)
        raise InputError(f"{output} has no known vector format; give a folder, or a file with one of {known}")
    names = name_outputs(scenes)
    jobs = [
        SceneTask(
            scene,
            output / f"{name}{suffix or VECTOR_SUFFIXES[0]}",
            mask and mask / f"{name}_mask.tif",
            probability and probability / f"{name}_probability.tif",
        )
        for scene, name in zip(scenes, names, strict=True)
    ]
    folders = [folder for folder in (output, mask, probability) if folder is not None]
    for folder in folders:
        if is_there(folder) and not is_folder(folder):
            raise InputError(f"{folder} is a file, but several outputs need a folder")
    return Jobs(jobs, folders, output / LEDGER)


def _check_options(options: dict[str, Any]) -> None:
    """Refuse what is wrong whatever the scene, before it becomes the failure of every one.

    Raises:
        InputError: An option is unusable.
    """
    VectorOptions(**{f.name: options[f.name] for f in fields(VectorOptions) if options.get(f.name) is not None})
    parse_gsd(options["gsd"])
    for name, parse in (("bands", parse_bands), ("crs", parse_crs), ("max_memory", parse_memory), ("aoi", parse_box)):
        if options[name] is not None:
            parse(options[name])
    aoi = options["aoi"]
    is_file = aoi is not None and parse_box(aoi) is None and is_local(aoi)
    if is_file and (hindrance := what_hinders(aoi)):
        raise InputError(f"{aoi}, the area of interest, {hindrance}")


def run_jobs(
    jobs: Jobs,
    make_predictor: Callable[[], Any],
    console: Console,
    engine: str,
    overwrite: bool,
    options: dict[str, Any],
) -> int:
    """Run every scene through a model.

    Args:
        jobs: Scenes and outputs.
        make_predictor: Makes the model.
        console: Hears of the progress.
        engine: `local` or `ray`.
        overwrite: Replace outputs that are there.
        options: Further arguments of `weft_geo.inference.predict_scene`.

    Returns:
        Objects found in all scenes.

    Raises:
        PartialRunError: Some scenes failed and some did not; the ledger says which.
        RunError: All of several scenes failed; the ledger says why.
        WeftGeoError: The only scene failed.
    """
    if jobs.ledger is None:
        (job,) = jobs.jobs
        shared = engine == "ray"
        with model_on_ray(make_predictor, options["workers"]) if shared else nullcontext(make_predictor()) as model:
            report = predict_scene(
                job.scene,
                model,
                job.objects,
                job.mask,
                job.probability,
                overwrite=overwrite,
                progress=console.progress,
                **options,
            )
        return report.objects or 0
    _check_options(options)
    for folder in jobs.folders:
        folder.mkdir(parents=True, exist_ok=True)
    ran: list[str] = []

    def tell(entry: dict[str, Any], ended: int) -> None:
        ran.append(entry["scene"])
        if entry["status"] == "failed":
            console.warn(f"{entry['scene']} failed: {entry['error']}")
        else:
            console.note(f"{ended}/{len(jobs.jobs)} {entry['scene']}: {entry['objects']} objects")

    entries = run_fleet(
        jobs.jobs,
        make_predictor,
        jobs.ledger,
        options,
        engine=engine,
        overwrite=overwrite,
        progress=console.progress,
        on_entry=tell,
    )
    if already := len(entries) - len(ran):
        console.note(f"{already} of {len(entries)} scenes were done already")
    failed = sum(entry["status"] == "failed" for entry in entries)
    if failed:
        message = f"{failed} of {len(entries)} scenes failed; {jobs.ledger} says why"
        raise PartialRunError(message) if failed < len(entries) else RunError(message)
    return sum(entry["objects"] or 0 for entry in entries)
