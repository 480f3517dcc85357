"""One scene of many: the function that every engine runs, and the ledger in which it is noted.

The ledger is also the manifest: a scene that it calls done, with the same model and options and its outputs in place,
is not run again.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from weft_geo.errors import InputError, InterruptedRunError, OutputExistsError, RunError, WeftGeoError
from weft_geo.geo.access import is_folder, is_there, why_closed
from weft_geo.geo.lock import clear_left
from weft_geo.geo.stamps import stamp_of, state_of
from weft_geo.geo.whole_files import place_of, written_whole
from weft_geo.inference.backends import Predictor
from weft_geo.inference.engine import predict_scene
from weft_geo.inference.journal import clear_remains, journal_folder, was_publishing
from weft_geo.inference.provenance import count_objects, read_maker
from weft_geo.progress import Progress

Entry = dict[str, Any]
"""What the ledger says of a scene: ``scene``, ``status`` (``done`` or ``failed``), ``outputs``, ``run`` (see
``describe_run``), and besides

- of a scene that failed, ``error``;
- of one that is done, ``objects``, ``windows``, ``seconds`` and, where there are any, ``warnings``;
- of one that an earlier run had done and was killed before it could note that, ``objects``.
"""

SAVING_SHARE = 0.02
"""Of the time of a run, what writing its ledger may take: that of 10,000 scenes is written in 50 ms."""


@dataclass(frozen=True)
class SceneTask:
    """One scene and its outputs; names in place of paths will do, and a path in place of the scene's name."""

    scene: str
    objects: Path | None = None
    mask: Path | None = None
    probability: Path | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "scene", str(self.scene))
        for name in ("objects", "mask", "probability"):
            if (path := getattr(self, name)) is not None:
                object.__setattr__(self, name, Path(path))

    @property
    def outputs(self) -> list[Path]:
        """The outputs that are wanted."""
        return [path for path in (self.objects, self.mask, self.probability) if path is not None]


def run_scene(
    task: SceneTask, predictor: Predictor, options: dict[str, Any], progress: Progress | None = None
) -> Entry:
    """Runs one scene. This is what every engine calls, wherever it runs.

    Args:
        task: The scene.
        predictor: The model.
        options: Further arguments of ``predict_scene``.
        progress: Is told how far the run is; what begins and what deserves a look bears the scene's name.

    Returns:
        The scene's entry in the ledger.

    Raises:
        InterruptedRunError: The process was asked to terminate.
    """
    entry: Entry = {"scene": task.scene, "status": "done", "outputs": [str(path) for path in task.outputs]}
    entry["run"] = describe_run(predictor.sha256 or predictor.name, options, task.scene)
    try:
        report = predict_scene(
            task.scene,
            predictor,
            task.objects,
            task.mask,
            task.probability,
            run=entry["run"],
            progress=progress and partial(_name_scene, progress, task.scene),
            **options,
        )
    except InterruptedRunError:
        raise
    except (WeftGeoError, PermissionError) as error:
        return entry | {"status": "failed", "outputs": [], "error": str(error)}
    told = {"objects": report.objects, "windows": report.windows, "seconds": round(report.seconds, 3)}
    return entry | told | ({"warnings": list(report.warnings)} if report.warnings else {})


def _name_scene(progress: Progress, scene: str, event: str, stage: str, done: int, total: int, message: str) -> None:
    """Passes on what a scene tells: beside others, nobody knows of which one it is."""
    progress(event, stage, done, total, f"{scene}: {message}" if event in ("start", "warning") else message)


def describe_run(model: str, options: dict[str, Any], scene: str) -> str:
    """A short name of a model with its options, on a scene as it is now: entries with another one are of another run.

    Files are told by size and time, as in a scene's journal.
    """
    how = {key: value for key, value in options.items() if key not in ("overwrite", "resume", "workers", "max_memory")}
    how["files"] = [*state_of(scene), stamp_of(options.get("aoi"))]
    return hashlib.sha256(json.dumps([model, how], sort_keys=True, default=str).encode()).hexdigest()[:16]


class Ledger:
    """How each scene went, on disk soon after every scene: as often as takes 2 % of the time.

    What is not there yet when a run is killed is lost for scenes that failed, which are run again anyway. Outputs say
    themselves which run they are of.

    Args:
        path: The file, replaced whole each time.

    Attributes:
        done_before: Scenes of this run that need not be run, once ``choose_missing`` has found out.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.done_before = 0
        self._entries: dict[str, Entry] = {}
        self._due = 0.0
        self._unsaved = False
        if reason := why_closed(path):
            advice = "see to it that you may read it, or give another folder"
            raise InputError(f"the ledger {path} cannot be read: {reason}; {advice}")
        if is_there(path):
            try:
                self._entries = {entry["scene"]: entry for entry in json.loads(path.read_text(encoding="utf-8"))}
            except (ValueError, TypeError, KeyError) as error:
                raise InputError(f"{path} is no ledger of weft-geo; move it away, or give another folder") from error

    def is_done(self, task: SceneTask, run: str) -> bool:
        """Whether the scene's outputs of this very run are all there."""
        entry = self._entries.get(task.scene, {})
        made = entry.get("outputs", [])
        there = all(str(path) in made and is_there(path) for path in task.outputs)
        return there and (entry.get("status"), entry.get("run")) == ("done", run)

    @property
    def outputs(self) -> set[str]:
        """Those of all scenes that it calls done."""
        return {path for entry in self._entries.values() for path in entry["outputs"]}

    def entry(self, task: SceneTask) -> Entry:
        """What it says of a scene."""
        return self._entries[task.scene]

    def add(self, entry: Entry, tasks: Sequence[SceneTask]) -> None:
        """Notes how a scene went; for ``tasks`` see ``save``."""
        self._entries[entry["scene"]] = entry
        self._unsaved = True
        if time.monotonic() >= self._due:
            self.save(tasks)

    def save(self, tasks: Sequence[SceneTask]) -> None:
        """Brings to disk what is not there yet; the entries of ``tasks`` come first, in their order.

        Raises:
            RunError: The disk does not take it.
        """
        if not self._unsaved:
            return
        began = time.monotonic()
        order = [task.scene for task in tasks]
        entries = [self._entries[scene] for scene in dict.fromkeys([*order, *self._entries]) if scene in self._entries]
        try:
            with written_whole(self.path) as beside:
                beside.write_text(json.dumps(entries, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        except OSError as error:
            raise RunError(f"the ledger {self.path} cannot be written: {error.strerror}; is the disk full?") from error
        now = time.monotonic()
        self._due = now + (now - began) / SAVING_SHARE
        self._unsaved = False


def choose_missing(
    tasks: Sequence[SceneTask], book: Ledger, model: str, options: dict[str, Any], overwrite: bool
) -> list[SceneTask]:
    """The scenes to run: all of them to overwrite what is there, else those that are not done.

    A run that was killed after outputs had appeared, and before it could say so in the ledger, has left some that are
    done all the same: they are noted now.

    Raises:
        OutputExistsError: An output is there of a scene that is not done by this very run.
    """
    if overwrite:
        return list(tasks)
    # Scenes without outputs need not be opened for it, which takes some milliseconds each.
    begun = [task for task in tasks if any(is_there(path) for path in task.outputs)]
    runs = dict.fromkeys((task.scene for task in tasks), "")
    runs |= {task.scene: describe_run(model, options, task.scene) for task in begun}
    missing = [task for task in tasks if not book.is_done(task, runs[task.scene])]
    for task in missing:
        run = runs[task.scene]
        if _is_finished(task, run):
            objects = None if task.objects is None else count_objects(task.objects)
            outputs = [str(path) for path in task.outputs]
            book.add({"scene": task.scene, "status": "done", "outputs": outputs, "run": run, "objects": objects}, tasks)
    missing = [task for task in missing if not book.is_done(task, runs[task.scene])]
    book.done_before = len(tasks) - len(missing)
    _refuse([path for task in missing for path in _standing(task)])
    return missing


def check_outputs(tasks: Sequence[SceneTask], book: Ledger | None, overwrite: bool, *, tidy: bool = True) -> None:
    """Refuses before the model is loaded what could only fail.

    Args:
        tasks: The scenes.
        book: Their ledger, if they have one.
        overwrite: Whether outputs that are there may be replaced.
        tidy: Whether to remove what killed runs have left and nobody needs.

    Raises:
        InputError: A folder is where a file would be.
        OutputExistsError: An output is there that the ledger does not know, and that no such run has made.
    """
    for task in tasks:  # some are not run again, for all of their outputs are there
        if tidy:
            clear_remains(journal_folder(task.outputs[0]))
        for path in task.outputs:
            if is_folder(path):
                raise InputError(f"{path} is a folder; give a file")
            if tidy:
                clear_left(place_of(path))
    if not overwrite:
        known = book.outputs if book else set()
        strange = [(task, path) for task in tasks for path in _standing(task) if str(path) not in known]
        _refuse([path for task, path in strange if not (book and read_maker(path, task.scene))])


def _is_finished(task: SceneTask, run: str) -> bool:
    """Whether all outputs of the scene are there and were made by this very run."""
    if not all(is_there(path) and not was_publishing(task.outputs[0], path) for path in task.outputs):
        return False
    return all(read_maker(path, task.scene) == run for path in task.outputs)


def _standing(task: SceneTask) -> list[Path]:
    """Outputs that are there, unless left by a run that was stopped while it put them in place."""
    return [path for path in task.outputs if is_there(path) and not was_publishing(task.outputs[0], path)]


def _refuse(there: list[Path]) -> None:
    if there:
        more = f" and {len(there) - 1} more are" if len(there) > 1 else " is"
        advice = "overwrite what is there (--overwrite) or write elsewhere"
        raise OutputExistsError(f"{there[0]}{more} already there; {advice}")
