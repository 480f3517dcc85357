"""Scenes on a Ray cluster: actors that hold the model, each given one scene at a time.

An actor that dies (its machine was taken away, its memory ran out) is replaced, and its scene goes to another one. The
journal beside the scene's output lets that one go on where the dead one was, if both see the same file system.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from weft_geo.errors import InputError, MissingExtraError, WeftGeoError
from weft_geo.inference.backends import Predictor
from weft_geo.inference.ledger import Entry, Ledger, SceneTask, choose_missing, describe_run, run_scene
from weft_geo.inference.run import Progress

MOST_ATTEMPTS = 3
"""A scene on which as many actors have died is given up: it may be what kills them."""


class SceneActor:
    """Holds the model and runs scenes; one a process."""

    def __init__(self, make_predictor: Callable[[], Predictor], threads: int) -> None:
        from weft_geo.inference.onnx_backend import THREADS_VARIABLE

        # Left to itself a model takes every core of its machine, as do those of the other actors there.
        os.environ.setdefault(THREADS_VARIABLE, str(threads))
        self._predictor = make_predictor()

    def model(self) -> str:
        """What tells the model from others."""
        return self._predictor.sha256 or self._predictor.name

    def run(self, task: SceneTask, options: dict[str, Any]) -> Entry:
        """Runs one scene, see ``run_scene``."""
        return run_scene(task, self._predictor, options)


def run_on_ray(
    tasks: Sequence[SceneTask],
    make_predictor: Callable[[], Predictor],
    options: dict[str, Any],
    book: Ledger,
    overwrite: bool,
    progress: Progress | None,
) -> Iterator[Entry]:
    """Runs scenes on as many actors as the cluster has room for; entries come as scenes end.

    For the arguments see ``run_fleet``. An actor takes a GPU where the cluster has any, else ``options["workers"]``
    CPUs (one if that is not given).

    Raises:
        MissingExtraError: Ray is not installed.
        InputError: The cluster cannot be joined, or has no room for a single actor.
        WeftGeoError: The model could not be loaded there.
    """
    try:
        import ray
    except ModuleNotFoundError as error:
        raise MissingExtraError("running scenes on a cluster", "ray") from error
    started = not ray.is_initialized()
    if started:
        with _signals_kept():
            _join(ray)
    try:
        yield from _Fleet(ray, make_predictor, options).run(tasks, book, overwrite, progress)
    finally:
        if started:
            ray.shutdown()


def _join(ray: Any) -> None:
    # Versions of Ray before tokens have no error for them.
    refused = getattr(ray.exceptions, "AuthenticationError", ConnectionError)
    try:
        ray.init(log_to_driver=False, include_dashboard=False)
    except (ConnectionError, refused) as error:
        said = str(error).splitlines()[0][:160]
        where = os.environ.get("RAY_ADDRESS", "this machine")
        raise InputError(
            f"the Ray cluster at {where} cannot be joined: {said} … Look at RAY_ADDRESS, "
            "and give this machine the head's token, ~/.ray/auth_token"
        ) from error


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray puts its own handler on SIGTERM; the program's stays."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)


class _Fleet:
    def __init__(self, ray: Any, make_predictor: Callable[[], Predictor], options: dict[str, Any]) -> None:
        self._ray: Any = ray
        self._options = options
        room = ray.cluster_resources()
        cpus = options.get("workers") or 1
        gpus = int(room.get("GPU", 0))
        self.size = gpus or int(room.get("CPU", 0)) // cpus
        if not self.size:
            raise InputError(f"the cluster has {room.get('CPU', 0):.0f} CPUs free, and a worker takes {cpus}")
        actor = ray.remote(SceneActor).options(num_cpus=cpus, num_gpus=1 if gpus else 0)
        self._actor: Any = actor
        self._make_predictor, self._cpus = make_predictor, cpus

    def _start(self) -> Any:
        return self._actor.remote(self._make_predictor, self._cpus)

    def run(
        self, tasks: Sequence[SceneTask], book: Ledger, overwrite: bool, progress: Progress | None
    ) -> Iterator[Entry]:
        first = self._start()
        run = describe_run(self._get(first.model.remote()), self._options)
        waiting = deque((task, 1) for task in choose_missing(tasks, book, run, overwrite))
        idle = [first, *(self._start() for _ in range(min(self.size, len(waiting)) - 1))]
        under_way: dict[Any, tuple[Any, SceneTask, int]] = {}
        done, total = 0, len(waiting)
        while waiting or under_way:
            while waiting and idle:
                task, attempt = waiting.popleft()
                actor = idle.pop()
                under_way[actor.run.remote(task, self._options)] = (actor, task, attempt)
            (ready, *_), _ = self._ray.wait(list(under_way), num_returns=1)
            actor, task, attempt = under_way.pop(ready)
            try:
                entry = self._get(ready)
            except self._ray.exceptions.RayActorError as error:
                idle.append(self._start())
                if attempt < MOST_ATTEMPTS:
                    waiting.append((task, attempt + 1))
                    continue
                what = f"{attempt} workers died while they ran it: {str(error).splitlines()[0]}"
                entry = {"scene": task.scene, "status": "failed", "outputs": [], "run": run, "error": what}
            else:
                idle.append(actor)
            done += 1
            if progress is not None:
                progress("progress", "scenes", done, total, task.scene)
            yield entry

    def _get(self, reference: Any) -> Any:
        """The value, or the library's own error as it was raised on the other side."""
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, WeftGeoError):
                raise error.cause from error
            raise
