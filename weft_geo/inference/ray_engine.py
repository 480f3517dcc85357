"""Scenes on a Ray cluster: workers that hold the model, each given one scene at a time.

A worker that dies (its machine was taken away, its memory ran out) is replaced, and its scene goes to another one. A
worker is given nothing before it is there: on a busy cluster, or one that has lost a machine, that may be never. The
journal beside the scene's output lets that one go on where the dead one was, if both see the same file system.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from typing import Any

from weft_geo.inference.backends import Predictor
from weft_geo.inference.ledger import Entry, Ledger, SceneTask, choose_missing, describe_run
from weft_geo.inference.ray_cluster import (
    MOST_ATTEMPTS,
    PATIENCE_S,
    Cluster,
    arrivals,
    died_early,
    join_cluster,
    no_room,
)
from weft_geo.progress import Progress, silent


def run_on_ray(
    tasks: Sequence[SceneTask],
    make_predictor: Callable[[], Predictor],
    options: dict[str, Any],
    book: Ledger,
    overwrite: bool,
    progress: Progress | None,
) -> Generator[Entry]:
    """Runs scenes on as many workers as the cluster has room for; entries come as scenes end.

    For the arguments see ``run_fleet``. A worker takes a GPU where the cluster has any, else ``options["workers"]``
    CPUs (one if that is not given).

    Raises:
        MissingExtraError: Ray is not installed.
        InputError: The cluster cannot be joined, or has no room for a single worker.
        RunError: All workers died, and no other could be started.
        WeftGeoError: The model could not be loaded there.
    """
    with join_cluster(make_predictor, options.get("workers")) as cluster:
        yield from _run(cluster, tasks, options, book, overwrite, progress)


def _run(
    cluster: Cluster,
    tasks: Sequence[SceneTask],
    options: dict[str, Any],
    book: Ledger,
    overwrite: bool,
    progress: Progress | None,
) -> Generator[Entry]:
    first, model = cluster.first()
    name = model.sha256 or model.name
    waiting = deque((task, 1) for task in choose_missing(tasks, book, name, options, overwrite))
    idle = [first]
    starting = arrivals(cluster.start() for _ in range(min(cluster.lacking(1), len(waiting) - 1)))
    under_way: dict[Any, tuple[Any, SceneTask, int]] = {}
    done, total, died_in_a_row = 0, len(waiting), 0
    tell = progress or silent
    tell("start", "scenes", 0, total, f"{total} scenes")
    while waiting or under_way:
        while waiting and idle:
            task, attempt = waiting.popleft()
            worker = idle.pop()
            under_way[worker.run_scene.remote(task, options)] = (worker, task, attempt)
        ready = cluster.wait([*starting, *under_way], None if under_way else PATIENCE_S)
        if ready is None:
            raise no_room(PATIENCE_S)
        if ready in starting:
            worker = starting.pop(ready)
            try:
                cluster.get(ready)
            except cluster.worker_died as error:  # as it loaded the model: no scene is to blame
                died_in_a_row += 1
                if died_in_a_row < MOST_ATTEMPTS:
                    starting |= arrivals([cluster.start()])
                elif not (idle or starting or under_way):
                    raise died_early(error) from error
                continue
            died_in_a_row = 0
            idle.append(worker)
            if not starting:  # this was the one more: a machine has joined
                lacking = min(cluster.lacking(len(idle) + len(under_way)), len(waiting) - len(idle))
                starting = arrivals(cluster.start() for _ in range(lacking))
            continue
        worker, task, attempt = under_way.pop(ready)
        try:
            entry = cluster.get(ready)
        except cluster.worker_died as error:
            starting |= arrivals([cluster.start()])
            if attempt < MOST_ATTEMPTS:
                waiting.append((task, attempt + 1))
                continue
            what = f"{attempt} workers died while they ran it: {str(error).splitlines()[0]}"
            run = describe_run(name, options, task.scene)
            entry = {"scene": task.scene, "status": "failed", "outputs": [], "run": run, "error": what}
        else:
            idle.append(worker)
        done += 1
        tell("progress", "scenes", done, total, task.scene)
        yield entry
