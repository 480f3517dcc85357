"""One model on all workers of a Ray cluster, for one scene: the engine runs here, its batches run there.

Reading, blending, the journal and the outputs stay with the engine: only this machine needs the scene and its folder, a
run that was stopped goes on with any number of workers, and a batch that is lost with its worker is given to another.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from weft_geo.errors import RunError
from weft_geo.inference.backends import Predictor
from weft_geo.inference.ray_cluster import (
    MOST_ATTEMPTS,
    PATIENCE_S,
    Cluster,
    arrivals,
    died_early,
    join_cluster,
    no_room,
)
from weft_geo.inference.stored_windows import Levels, StoredWindows

AT_ONCE = 2
"""Batches that a worker is given: one travels while the other is worked on."""


class RayModel:
    """A predictor whose batches go to whichever worker has room; see ``model_on_ray``.

    The answers are those of one worker, to the bit if the workers' processors are of one kind.

    Args:
        cluster: Where the workers are started.
    """

    takes_stored = True

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._lock = threading.Lock()
        self._room: SimpleQueue[Any] = SimpleQueue()
        first, facts = cluster.first()
        self._workers = [first]
        self._died_in_a_row = 0
        self._starting = arrivals(cluster.start() for _ in range(cluster.lacking(1)))
        self.contract, self.name, self.sha256 = facts.contract, facts.name, facts.sha256
        self.device, self.fixed_size = facts.device, facts.fixed_size
        self.concurrency = AT_ONCE * cluster.size
        self._offer(self._workers)

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Maps float32 ``[B, C, H, W]`` to float32 ``[B, K, H, W]``; waits if no worker has room.

        Raises:
            RunError: Several workers died over this batch, or all died and no other could be started.
        """
        return cast(NDArray[np.float32], self._ask("predict", images))

    def answer(self, windows: StoredWindows) -> Levels:
        """The same of windows as they are stored: less travels there and back."""
        return cast(Levels, self._ask("answer", windows))

    def _ask(self, method: str, batch: Any) -> Any:
        died = ""
        for _ in range(MOST_ATTEMPTS):
            worker = self._take()
            try:
                answer = self._cluster.get(getattr(worker, method).remote(batch))
            except self._cluster.worker_died as error:
                died = str(error).splitlines()[0]
                self._replace(worker)
            except BaseException:
                self._room.put(worker)
                raise
            else:
                self._room.put(worker)
                return answer
        raise RunError(f"{MOST_ATTEMPTS} workers of the cluster died over one batch: {died}")

    def _take(self) -> Any:
        """A living worker with room for a batch."""
        waited = 0
        while True:
            self._admit()
            try:
                worker = self._room.get(timeout=1)
            except Empty:
                waited = waited + 1 if not self._workers else 0
                if waited > PATIENCE_S:
                    raise no_room(PATIENCE_S) from None
            else:
                if worker in self._workers:
                    return worker

    def _replace(self, worker: Any) -> None:
        """Starts a worker in the place of a dead one. It is given nothing before it is there, which may take long."""
        with self._lock:
            if worker in self._workers:  # else another of its batches said so before
                self._workers.remove(worker)
                self._starting |= arrivals([self._cluster.start()])

    def _admit(self) -> None:
        """Gives work to those that are there by now."""
        with self._lock:
            there: list[Any] = []
            for said in self._cluster.ready(list(self._starting)):
                worker = self._starting.pop(said)
                try:
                    self._cluster.get(said)
                except self._cluster.worker_died as error:  # as it loaded the model: no batch is to blame
                    self._died_in_a_row += 1
                    if self._died_in_a_row < MOST_ATTEMPTS:
                        self._starting |= arrivals([self._cluster.start()])
                    elif not (self._workers or self._starting or there):
                        raise died_early(error) from error
                else:
                    self._died_in_a_row = 0
                    there.append(worker)
            self._workers += there
            self._offer(there)
            if there and not self._starting:  # among them was the one more: a machine has joined
                lacking = self._cluster.lacking(len(self._workers))
                self._starting |= arrivals(self._cluster.start() for _ in range(lacking))

    def _offer(self, workers: list[Any]) -> None:
        for _ in range(AT_ONCE):  # each has one batch before any has two
            for worker in workers:
                self._room.put(worker)


@contextmanager
def model_on_ray(make_predictor: Callable[[], Predictor], cpus: int | None = None) -> Iterator[RayModel]:
    """One model on as many workers as the cluster at ``RAY_ADDRESS``, or this machine, has room for.

        with model_on_ray(partial(load_predictor, "embedded")) as model:
            predict_scene("huge.tif", model, "objects.gpkg")

    Args:
        make_predictor: Makes the model, once for each worker. Must be picklable.
        cpus: CPUs that a worker takes where the cluster has no GPUs; None means one.

    Raises:
        MissingExtraError: Ray is not installed.
        InputError: The cluster cannot be joined, or has no room for a single worker.
        WeftGeoError: The model could not be loaded there.
    """
    with join_cluster(make_predictor, cpus) as cluster:
        yield RayModel(cluster)
