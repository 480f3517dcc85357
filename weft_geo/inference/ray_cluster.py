"""A Ray cluster as weft-geo sees it: workers that hold the model, each a process that takes one GPU or some CPUs."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weft_geo.errors import InputError, InterruptedRunError, MissingExtraError, RunError, WeftGeoError, one_line
from weft_geo.geo.contract import ModelContract
from weft_geo.geo.processors import THREADS_VARIABLE
from weft_geo.inference.backends import Predictor, answer_here
from weft_geo.inference.ledger import Entry, SceneTask, run_scene
from weft_geo.inference.stored_windows import Levels, StoredWindows

MOST_ATTEMPTS = 3
"""Work on which as many workers have died is given up: it may be what kills them."""

PATIENCE_S = 60
"""How long a run waits for a first worker when none is left."""


@dataclass(frozen=True)
class ModelFacts:
    """What a worker says of its model; for the fields see ``Predictor``."""

    contract: ModelContract
    name: str
    sha256: str
    device: str
    fixed_size: bool


class Worker:
    """Holds the model and does one thing at a time; one a process.

    Args:
        make_predictor: Makes the model.
        threads: That the model may use.
        folder: Where the run was started, and where relative paths begin if it is there on this machine too.
    """

    def __init__(self, make_predictor: Callable[[], Predictor], threads: int, folder: Path) -> None:
        # Left to itself a model takes every core of its machine, as do those of the other workers there.
        os.environ.setdefault(THREADS_VARIABLE, str(threads))
        self._make_predictor = make_predictor
        with suppress(OSError):
            os.chdir(folder)

    @cached_property
    def _predictor(self) -> Predictor:
        # Not in __init__: what is raised there reaches the other side as the death of this process.
        return self._make_predictor()

    def facts(self) -> ModelFacts:
        """What the model is; loads it if it is not loaded yet."""
        model = self._predictor
        return ModelFacts(model.contract, model.name, model.sha256, model.device, model.fixed_size)

    def run_scene(self, task: SceneTask, options: dict[str, Any]) -> Entry:
        """Runs one scene, see ``run_scene``."""
        return run_scene(task, self._predictor, options)

    def predict(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Runs one batch, see ``Predictor``."""
        return self._predictor(images)

    def answer(self, windows: StoredWindows) -> Levels:
        """The same of windows as they are stored."""
        return answer_here(self._predictor, windows)


class Cluster:
    """Starts workers and fetches what they give.

    Args:
        ray: The module; it has joined the cluster.
        make_predictor: Makes the model, once for each worker. Must be picklable.
        cpus: CPUs that a worker takes where the cluster has no GPUs; None means one.

    Attributes:
        worker_died: The error that ``get`` raises if the worker died over its work.

    Raises:
        InputError: There is no room for a single worker.
    """

    def __init__(self, ray: Any, make_predictor: Callable[[], Predictor], cpus: int | None) -> None:
        self._ray = ray
        cpus = cpus or 1
        has_gpus = ray.cluster_resources().get("GPU", 0) >= 1
        self._kind, self._share = ("GPU", 1) if has_gpus else ("CPU", cpus)
        if not self.size:
            there = ray.cluster_resources().get("CPU", 0)
            raise InputError(f"the cluster has {there:.0f} CPUs, and a worker takes {cpus}")
        self.worker_died: type[Exception] = ray.exceptions.RayActorError
        self._actor: Any = ray.remote(Worker)
        self._cpus = cpus
        self._arguments = (make_predictor, cpus, Path.cwd())

    @property
    def size(self) -> int:
        """Workers for which the cluster's machines are enough, as many as there are now."""
        return int(self._ray.cluster_resources().get(self._kind, 0)) // self._share

    def first(self) -> tuple[Any, ModelFacts]:
        """The first worker, and what its model is.

        Raises:
            RunError: It died as it loaded the model.
            WeftGeoError: It could not load the model.
        """
        worker = self.start()
        try:
            facts: ModelFacts = self.get(worker.facts.remote())
        except self.worker_died as error:
            raise died_early(error) from error
        if facts.device == "cpu":  # then workers to come take no GPU
            self._kind, self._share = "CPU", self._cpus
        return worker, facts

    def lacking(self, there: int) -> int:
        """How many to start beside ``there`` workers: as many as there is room for, and one more.

        The one more comes up when a machine joins, and is how that is noticed.
        """
        return max(self.size + 1 - there, 1)

    def start(self) -> Any:
        """A new worker; what it is asked waits until there is room for it and it has loaded the model."""
        asked = {"num_cpus": self._cpus, "num_gpus": 1 if self._kind == "GPU" else 0}
        return self._actor.options(**asked).remote(*self._arguments)

    def get(self, reference: Any) -> Any:
        """The value, or the library's own error as it was raised on the other side."""
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, WeftGeoError):
                raise error.cause from error
            raise

    def ready(self, references: list[Any]) -> list[Any]:
        """Those that are ready now."""
        return self._ray.wait(references, num_returns=len(references), timeout=0)[0] if references else []

    def wait(self, references: list[Any], timeout_s: float | None = None) -> Any:
        """The first that is ready; None if the time is over and none is."""
        ready, _ = self._ray.wait(references, num_returns=1, timeout=timeout_s)
        return ready[0] if ready else None


def arrivals(workers: Iterable[Any]) -> dict[Any, Any]:
    """Workers by the reference that is ready when they have come up; on a busy cluster that may be never."""
    return {worker.facts.remote(): worker for worker in workers}


def no_room(waited_s: float) -> RunError:
    """What is said where no worker is left and none comes up."""
    return RunError(
        f"all workers of the cluster died, and it has had no room for others for {waited_s} s; see ray status"
    )


def died_early(error: Exception) -> RunError:
    """What is said where workers die as they load the model, and none is left."""
    said = str(error).splitlines()[0]
    return RunError(f"the workers of the cluster die as they load the model: {said} Is there memory enough for it?")


@contextmanager
def join_cluster(make_predictor: Callable[[], Predictor], cpus: int | None) -> Iterator[Cluster]:
    """Joins the cluster at ``RAY_ADDRESS``, or makes one of this machine; leaves it if it was not joined before.

    Raises:
        MissingExtraError: Ray is not installed.
        InputError: The cluster cannot be joined, or has no room for a single worker.
        RunError: Ray does not start.
    """
    try:
        import ray
    except ModuleNotFoundError as error:
        raise MissingExtraError("running on a cluster", "ray") from error
    started = not ray.is_initialized()
    if started:
        with _signals_kept():
            _join(ray)
    try:
        yield Cluster(ray, make_predictor, cpus)
    finally:
        if started:
            ray.shutdown()


def _join(ray: Any) -> None:
    logging.getLogger("ray").setLevel(logging.ERROR)  # what went well is no news
    # Versions of Ray before tokens have no error for them.
    refused = getattr(ray.exceptions, "AuthenticationError", ConnectionError)
    try:
        ray.init(log_to_driver=False, include_dashboard=False, configure_logging=False)
    except (ConnectionError, refused) as error:
        said = str(error).splitlines()[0][:160]
        where = os.environ.get("RAY_ADDRESS", "this machine")
        raise InputError(
            f"the Ray cluster at {where} cannot be joined: {said} … Look at RAY_ADDRESS, "
            "and give this machine the head's token, ~/.ray/auth_token"
        ) from error
    except InterruptedRunError:
        raise
    except Exception as error:  # a machine that is too slow to start Ray in time is told so by a bare Exception
        with suppress(Exception):
            ray.shutdown()  # what of it has started
        address = os.environ.get("RAY_ADDRESS")
        place = f"at {address}" if address else "on this machine"
        raise RunError(
            f"Ray did not start {place}: {one_line(error).rstrip('.')}. Is there memory, and a core that is idle? Give "
            "the same command again, or leave out --engine ray"
        ) from error


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray puts its own handler on SIGTERM, which ends the program without a word; the program's stays.

    Raises:
        InterruptedRunError: The process was asked to terminate meanwhile.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    except SystemExit as error:
        if error.code == signal.SIGTERM:
            raise InterruptedRunError("terminated on request; no output was written") from error
        raise
    finally:
        signal.signal(signal.SIGTERM, handler)
