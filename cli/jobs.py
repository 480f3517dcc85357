"""Several scenes one after the other, and the ledger that says how each of them went."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from weft_geo.errors import InputError, InterruptedRunError, OutputExistsError, PartialRunError, RunError, WeftGeoError

from .options import VECTOR_SUFFIXES
from .progress import Console

LEDGER = "ledger.json"


@dataclass(frozen=True)
class Job:
    """One scene and its outputs."""

    scene: str
    objects: Path
    mask: Path | None
    probability: Path | None

    def outputs(self) -> list[Path]:
        """The outputs that are wanted."""
        return [path for path in (self.objects, self.mask, self.probability) if path is not None]


@dataclass(frozen=True)
class Jobs:
    """What a command line asks for.

    Attributes:
        jobs: One per scene.
        folders: Folders to make.
        ledger: Where to say how each scene went; None for a single scene with a file as output.
    """

    jobs: list[Job]
    folders: list[Path] = field(default_factory=list)
    ledger: Path | None = None

    def check(self, overwrite: bool) -> None:
        """Refuse before any work what could only fail.

        Raises:
            OutputExistsError: Outputs are there and may not be replaced.
        """
        there = [path for job in self.jobs for path in job.outputs() if path.exists()]
        if there and not overwrite:
            more = f" and {len(there) - 1} more are" if len(there) > 1 else " is"
            raise OutputExistsError(f"{there[0]}{more} already there; pass --overwrite to replace what is there")


def plan_jobs(scenes: Sequence[str], output: Path, mask: Path | None, probability: Path | None) -> Jobs:
    """Decide which files the scenes become.

    Raises:
        InputError: The output does not suit the number of scenes, or two scenes would become the same file.
    """
    if output.suffix.lower() in VECTOR_SUFFIXES and not output.is_dir():
        if len(scenes) > 1:
            raise InputError(f"{len(scenes)} scenes cannot go into the one file {output}; give a folder with -o")
        return Jobs([Job(scenes[0], output, mask, probability)])
    if output.suffix and not output.is_dir():
        known = ", ".join(VECTOR_SUFFIXES)
        raise InputError(f"{output} has no known vector format; give a folder, or a file with one of {known}")
    names = [Path(scene).stem for scene in scenes]
    if repeated := [name for name, count in Counter(names).items() if count > 1]:
        raise InputError(f"several scenes are called {repeated[0]} and would become the same file; run them apart")
    jobs = [
        Job(
            scene,
            output / f"{name}.gpkg",
            mask and mask / f"{name}_mask.tif",
            probability and probability / f"{name}_probability.tif",
        )
        for scene, name in zip(scenes, names, strict=True)
    ]
    folders = [folder for folder in (output, mask, probability) if folder is not None]
    for folder in folders:
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder} is a file, but several outputs need a folder")
    return Jobs(jobs, folders, output / LEDGER)


def run_jobs(jobs: Jobs, predictor: Any, console: Console, overwrite: bool, options: dict[str, Any]) -> int:
    """Run every scene through a model.

    Args:
        jobs: Scenes and outputs.
        predictor: The model.
        console: Hears of the progress.
        overwrite: Replace outputs that are there.
        options: Further arguments of `weft_geo.inference.predict_scene`.

    Returns:
        Objects found in all scenes.

    Raises:
        PartialRunError: Some scenes failed and some did not; the ledger says which.
        RunError: All of several scenes failed; the ledger says why.
        WeftGeoError: The only scene failed.
    """
    from weft_geo.inference import predict_scene

    for folder in jobs.folders:
        folder.mkdir(parents=True, exist_ok=True)
    entries: list[dict[str, Any]] = []
    for number, job in enumerate(jobs.jobs, start=1):
        if len(jobs.jobs) > 1:
            console.note(f"{number}/{len(jobs.jobs)} {job.scene}")
        entry: dict[str, Any] = {"scene": job.scene, "status": "done", "outputs": [str(p) for p in job.outputs()]}
        try:
            report = predict_scene(
                job.scene,
                predictor,
                objects=job.objects,
                mask=job.mask,
                probability=job.probability,
                overwrite=overwrite,
                progress=console.progress,
                **options,
            )
            entry |= {"objects": report.objects, "windows": report.windows, "seconds": round(report.seconds, 3)}
        except WeftGeoError as error:
            if isinstance(error, InterruptedRunError) or jobs.ledger is None:
                raise
            entry |= {"status": "failed", "outputs": [], "error": str(error)}
            console.warn(f"{job.scene} failed: {error}")
        entries.append(entry)
        if jobs.ledger is not None:
            _write_ledger(jobs.ledger, entries)
    failed = sum(entry["status"] == "failed" for entry in entries)
    if failed:
        message = f"{failed} of {len(entries)} scenes failed; {jobs.ledger} says why"
        raise PartialRunError(message) if failed < len(entries) else RunError(message)
    return sum(entry["objects"] for entry in entries)


def _write_ledger(path: Path, entries: list[dict[str, Any]]) -> None:
    """Replace the ledger, whole or not at all."""
    beside = path.with_name(f".{path.name}.part")
    beside.write_text(json.dumps(entries, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    beside.replace(path)
