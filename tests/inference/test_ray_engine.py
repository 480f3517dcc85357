"""What a run of many scenes does with workers that die, or that never come up."""

from collections.abc import Callable, Collection
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from weft_geo.errors import RunError
from weft_geo.inference import ray_engine
from weft_geo.inference.fleet import run_fleet
from weft_geo.inference.ledger import SceneTask
from weft_geo.inference.ray_cluster import Cluster, Worker


class DiedError(Exception):
    pass


class FakeCluster:
    """A cluster whose first ``room`` workers come up; those of ``dying`` die over their first scene.

    Those of ``stillborn`` die as they load the model.
    """

    worker_died = DiedError
    first = Cluster.first

    def __init__(self, size: int, room: int, dying: tuple[int, ...] = (), stillborn: Collection[int] = ()) -> None:
        self.size, self.room, self._dying, self._stillborn = size, room, dying, stillborn
        self._cpus = 1
        self.started = 0
        self.ran: list[tuple[int, str]] = []

    def lacking(self, there: int) -> int:
        return Cluster.lacking(self, there)  # type: ignore[arg-type]

    def start(self) -> Any:
        self.started += 1
        number = self.started

        def run_scene(task: SceneTask, options: dict[str, Any]) -> dict[str, Any]:
            self.ran.append((number, task.scene))
            if number in self._dying:
                raise DiedError(f"worker {number} died.\nIts stack.")
            return {"scene": task.scene, "status": "done", "outputs": [], "run": "", "objects": 1}

        def method(function: Callable[..., Any]) -> SimpleNamespace:
            def remote(*arguments: Any) -> Any:
                return type("Reference", (), {"worker": number, "get": lambda self: function(*arguments)})()

            return SimpleNamespace(remote=remote)

        def facts() -> SimpleNamespace:
            if number in self._stillborn:
                raise DiedError(f"worker {number} died.\nIts stack.")
            return SimpleNamespace(sha256="0" * 64, name="oracle", device="cpu")

        return SimpleNamespace(facts=method(facts), run_scene=method(run_scene))

    def get(self, reference: Any) -> Any:
        return reference.get()

    def wait(self, references: list[Any], timeout_s: float | None = None) -> Any:
        there = [reference for reference in references if reference.worker <= self.room]
        assert there or timeout_s is not None, "this run would wait for ever"
        return there[0] if there else None


def run(cluster: FakeCluster, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    monkeypatch.setattr(ray_engine, "join_cluster", lambda *_: nullcontext(cluster))
    tasks = [SceneTask(f"{number}.tif", folder / f"{number}.gpkg") for number in range(6)]
    return run_fleet(tasks, lambda: None, folder / "ledger.json", engine="ray")  # type: ignore[arg-type, return-value]


def test_workers_that_never_come_up_are_given_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = FakeCluster(4, room=2)
    assert [entry["status"] for entry in run(cluster, tmp_path, monkeypatch)] == ["done"] * 6
    assert {worker for worker, _ in cluster.ran} == {1, 2}


def test_a_lost_machine_leaves_its_scenes_to_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = FakeCluster(3, room=3, dying=(2, 3))
    assert [entry["status"] for entry in run(cluster, tmp_path, monkeypatch)] == ["done"] * 6
    assert cluster.started == 6  # one more than there was room for, and two in the place of the dead
    assert {worker for worker, _ in cluster.ran[-4:]} == {1}


def test_machines_that_join_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Growing(FakeCluster):
        def wait(self, references: list[Any], timeout_s: float | None = None) -> Any:
            if len(self.ran) == 2:
                self.size = self.room = 4
            return super().wait(references, timeout_s)

    cluster = Growing(1, room=1)
    assert [entry["status"] for entry in run(cluster, tmp_path, monkeypatch)] == ["done"] * 6
    assert {worker for worker, _ in cluster.ran} == {1, 2, 3, 4}


def test_a_replacement_that_comes_up_gets_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = FakeCluster(1, room=2, dying=(1,))
    assert [entry["status"] for entry in run(cluster, tmp_path, monkeypatch)] == ["done"] * 6
    assert [worker for worker, _ in cluster.ran] == [1, 2, 2, 2, 2, 2, 2]


def test_a_cluster_that_has_lost_every_worker_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RunError, match="all workers of the cluster died, and it has had no room for others for 60 s"):
        run(FakeCluster(1, room=1, dying=(1,)), tmp_path, monkeypatch)


def test_machines_on_which_no_worker_comes_up_cost_no_scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Hasty(FakeCluster):
        """The last one started is heard first."""

        def wait(self, references: list[Any], timeout_s: float | None = None) -> Any:
            return super().wait(sorted(references, key=lambda reference: -reference.worker), timeout_s)

    cluster = Hasty(3, room=100, stillborn=range(2, 100))
    assert [entry["status"] for entry in run(cluster, tmp_path, monkeypatch)] == ["done"] * 6
    assert {worker for worker, _ in cluster.ran} == {1}
    assert cluster.started == 6  # the first, one more than there was room for, and two in the place of dead ones


@pytest.mark.parametrize("stillborn", [range(1, 100), range(2, 100)])
def test_where_no_worker_comes_up_the_run_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stillborn: range
) -> None:
    cluster = FakeCluster(1, room=100, dying=(1,), stillborn=stillborn)
    with pytest.raises(RunError, match=r"die as they load the model: worker \d died\. Is there memory"):
        run(cluster, tmp_path, monkeypatch)


def test_relative_paths_begin_where_the_run_was_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")  # where a worker of another machine may be
    monkeypatch.setenv("WEFT_GEO_THREADS", "1")
    Worker(lambda: None, 1, tmp_path)  # type: ignore[arg-type, return-value]
    assert Path.cwd() == tmp_path.resolve()
    Worker(lambda: None, 1, tmp_path / "not here")  # type: ignore[arg-type, return-value]
    assert Path.cwd() == tmp_path.resolve()
