"""Many scenes: here, or on a Ray cluster, by the same function a scene.

A scene that fails does not stop the others, and a second run does only what is missing: see ``ledger``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from weft_geo.errors import InputError
from weft_geo.geo.lock import lock_outputs
from weft_geo.inference.backends import Predictor
from weft_geo.inference.ledger import Entry, Ledger, SceneTask
from weft_geo.inference.local_engine import run_here
from weft_geo.inference.ray_engine import run_on_ray
from weft_geo.progress import Progress

ENGINES = ("local", "ray")


def run_fleet(
    tasks: Sequence[SceneTask],
    make_predictor: Callable[[], Predictor],
    ledger: str | Path,
    options: dict[str, Any] | None = None,
    *,
    engine: str = "local",
    overwrite: bool = False,
    progress: Progress | None = None,
    on_entry: Callable[[Entry, int], None] | None = None,
) -> list[Entry]:
    """Runs every scene that is not done yet.

    Args:
        tasks: The scenes; their outputs differ, and the folders exist.
        make_predictor: Makes the model, once for each process that runs scenes. Must be picklable for Ray.
        ledger: Where to note how each scene went; what it says of an earlier run is heeded.
        options: Further arguments of ``predict_scene``; with ``max_memory`` scenes are run one at a time.
        engine: ``local``, or ``ray`` (needs the ray extra): the cluster at ``RAY_ADDRESS``, or this machine.
        overwrite: Run every scene, and replace outputs that are there.
        progress: Is told of scenes; of windows where they are run one after the other, see ``run_here``. The last it
            hears is ``done`` of the stage ``scenes``, if no scene failed.
        on_entry: Is told of every scene that was run, as it ends, and how many have ended by then in all, with those
            that were done before.

    Returns:
        One entry a task, in their order, those that were done already included.

    Raises:
        InputError: The engine is not known, or the ledger is none.
        OutputBusyError: Another run is at work with this ledger.
        OutputExistsError: An output is there of a scene that is not done by this very run.
        MissingExtraError: Ray is not installed.
        RunError: The ledger cannot be written, or there are no workers on the cluster any more.
        InterruptedRunError: The process was asked to terminate.
    """
    if engine not in ENGINES:
        raise InputError(f"engine must be one of {', '.join(ENGINES)}, got {engine!r}")
    options = dict(options or {}) | {"overwrite": overwrite}
    ledger = Path(ledger)
    with lock_outputs([ledger]):
        book = Ledger(ledger)
        if engine == "ray":
            results = run_on_ray(tasks, make_predictor, options, book, overwrite, progress)
        else:
            results = run_here(tasks, make_predictor(), options, book, overwrite, progress)
        try:
            for number, entry in enumerate(results, start=1):
                book.add(entry, tasks)
                if on_entry is not None:
                    on_entry(entry, book.done_before + number)
        finally:
            results.close()
            book.save(tasks)
    entries = [book.entry(task) for task in tasks]
    if progress is not None and all(entry["status"] == "done" for entry in entries):
        found = sum(entry["objects"] or 0 for entry in entries)
        progress("done", "scenes", len(entries), len(entries), f"{found} objects in {len(entries)} scenes")
    return entries
