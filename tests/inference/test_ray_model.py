"""One scene whose batches run on all workers of a Ray cluster."""

import os
import signal
import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio

from weft_geo.errors import InputError, InterruptedRunError, RunError
from weft_geo.geo.contract import ModelContract
from weft_geo.inference import CallablePredictor, model_on_ray, predict_scene, ray_model
from weft_geo.inference.ray_cluster import Cluster, ModelFacts, _signals_kept
from weft_geo.inference.ray_model import RayModel

MakeRaster = Callable[..., Path]

CONTRACT = ModelContract(window=64, overlap=16, multiple_of=16, scale=(0, 255), name="oracle")


def make_oracle(marks: Path | None = None) -> CallablePredictor:
    """First band / 255; with ``marks`` it says which process ran, and dies once."""

    def say(images: np.ndarray) -> np.ndarray:
        if marks is not None:
            (marks / f"{os.getpid()}.{time.monotonic_ns()}").touch()
            if len(list(marks.iterdir())) > 10 and not (marks / "dead").exists():
                (marks / "dead").touch()
                os.kill(os.getpid(), signal.SIGKILL)
        return images[:, :1] / np.float32(255)

    return CallablePredictor(say, CONTRACT, sha256="0" * 64)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_scene_on_a_cluster_that_loses_a_worker_is_that_of_one_machine(
    make_raster: MakeRaster, tmp_path: Path, two_workers: None
) -> None:
    values = np.kron(np.random.default_rng(0).integers(0, 255, (1, 40, 60)), np.ones((1, 16, 16)))
    scene = make_raster(np.repeat(values, 3, axis=0))
    marks = tmp_path / "marks"
    marks.mkdir()
    layers = {}
    with model_on_ray(lambda: make_oracle(marks)) as model:
        assert (model.name, model.device, model.concurrency) == ("oracle", "cpu", 4)
        for name, predictor in {"cluster": model, "here": make_oracle()}.items():
            objects, probability = tmp_path / f"{name}.gpkg", tmp_path / f"{name}.tif"
            report = predict_scene(scene, predictor, objects, probability=probability)
            with rasterio.open(probability) as raster:
                frame = geopandas.read_file(objects, layer="objects")
                layers[name] = report.windows, raster.read(), frame.drop(columns="run", errors="ignore")
    assert (marks / "dead").exists()
    assert len({mark.name.partition(".")[0] for mark in marks.glob("*.*")}) >= 2
    assert layers["cluster"][0] == layers["here"][0] > 100
    np.testing.assert_array_equal(layers["cluster"][1], layers["here"][1])
    assert layers["cluster"][2].equals(layers["here"][2])
    assert len(layers["here"][2]) > 5


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_model_that_cannot_be_loaded_there_is_said_as_here(two_workers: None) -> None:
    def fail() -> CallablePredictor:
        raise InputError("the device cuda:7 is not there")

    with pytest.raises(InputError, match="cuda:7 is not there"), model_on_ray(fail):
        pass


class DiedError(Exception):
    """A worker did."""


class Reference:
    """What a worker was asked."""

    def __init__(self, worker: int, get: Callable[[], Any]) -> None:
        self.worker, self.get = worker, get


class FakeCluster:
    """Workers in this process that die over the batches for which ``dies`` says so."""

    worker_died = DiedError
    first = Cluster.first

    def __init__(
        self, size: int, dies: Callable[[int], bool], room: int = 100, stillborn: Collection[int] = ()
    ) -> None:
        self.size, self.room, self._dies, self._stillborn = size, room, dies, stillborn
        self.started, self._cpus = 0, 1
        self.asked: list[int] = []

    def lacking(self, there: int) -> int:
        return Cluster.lacking(self, there)  # type: ignore[arg-type]

    def start(self) -> Any:
        self.started += 1
        number = self.started

        def predict(images: np.ndarray) -> np.ndarray:
            self.asked.append(number)
            if self._dies(number):
                raise DiedError(f"worker {number} died.\nIts stack.")
            return images[:, :1]

        def facts() -> ModelFacts:
            assert number <= self.room, "this worker never comes up; asking it would wait for ever"
            if number in self._stillborn:
                raise DiedError(f"worker {number} died.\nIts stack.")
            return ModelFacts(CONTRACT, "oracle", "", "cpu", False)

        def method(function: Callable[..., Any]) -> SimpleNamespace:
            return SimpleNamespace(remote=lambda *arguments: Reference(number, lambda: function(*arguments)))

        return SimpleNamespace(number=number, predict=method(predict), facts=method(facts))

    def get(self, reference: Reference) -> Any:
        return reference.get()

    def ready(self, references: list[Reference]) -> list[Reference]:
        return [reference for reference in references if reference.worker <= self.room]


IMAGES = np.zeros((1, 3, 64, 64), np.float32)


def test_a_batch_is_given_to_another_worker() -> None:
    cluster = FakeCluster(2, dies=lambda number: number == 1, room=2)
    model = RayModel(cluster)  # type: ignore[arg-type]
    for _ in range(10):
        assert model(IMAGES).shape == (1, 1, 64, 64)
    assert cluster.started == 4  # one more than there was room for, and one in the place of the dead


def test_machines_that_join_are_used() -> None:
    cluster = FakeCluster(1, dies=lambda number: False, room=1)
    model = RayModel(cluster)  # type: ignore[arg-type]
    model(IMAGES)
    cluster.size = cluster.room = 4
    for _ in range(20):
        model(IMAGES)
    assert set(cluster.asked) == {1, 2, 3, 4}


def test_machines_on_which_no_worker_comes_up_cost_no_batch() -> None:
    cluster = FakeCluster(3, dies=lambda number: number > 1, stillborn=range(2, 100))
    model = RayModel(cluster)  # type: ignore[arg-type]
    for _ in range(20):
        assert model(IMAGES).shape == (1, 1, 64, 64)
    assert cluster.started == 6  # the first, one more than there was room for, and two in the place of dead ones


@pytest.mark.parametrize("stillborn", [range(1, 100), range(2, 100)])
def test_where_no_worker_comes_up_the_run_ends(stillborn: range) -> None:
    cluster = FakeCluster(1, dies=lambda number: True, stillborn=stillborn)
    with pytest.raises(RunError, match=r"die as they load the model: worker \d died\. Is there memory"):
        RayModel(cluster)(IMAGES)  # type: ignore[arg-type]


def test_a_batch_over_which_every_worker_dies_ends_the_run() -> None:
    model = RayModel(FakeCluster(2, dies=lambda number: True))  # type: ignore[arg-type]
    with pytest.raises(RunError, match=r"3 workers of the cluster died over one batch: worker \d died\.$"):
        model(IMAGES)


def test_a_cluster_without_room_for_another_worker_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_model, "PATIENCE_S", 1)
    model = RayModel(FakeCluster(1, dies=lambda number: True, room=1))  # type: ignore[arg-type]
    with pytest.raises(RunError, match="all workers of the cluster died, and it has had no room for others"):
        model(IMAGES)


def test_a_worker_that_comes_up_late_gets_work_as_well() -> None:
    cluster = FakeCluster(2, dies=lambda number: number == 1, room=2)
    model = RayModel(cluster)  # type: ignore[arg-type]
    for _ in range(6):
        model(IMAGES)
    assert cluster.asked[0] == 1
    assert set(cluster.asked[1:]) == {2}
    cluster.room = 3
    for _ in range(6):
        model(IMAGES)
    assert sorted(cluster.asked[-6:]) == [2, 2, 2, 2, 3, 3]


def test_a_request_to_stop_while_the_cluster_is_joined_is_an_interruption() -> None:
    def join() -> None:
        with _signals_kept():
            signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number))  # as ray.init does
            signal.raise_signal(signal.SIGTERM)
            time.sleep(1)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(InterruptedRunError, match="terminated on request"):
        join()
    assert signal.getsignal(signal.SIGTERM) is before
