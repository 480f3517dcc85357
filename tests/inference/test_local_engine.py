"""Small scenes that share a model, and large ones between them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio

from weft_geo.geo.contract import ModelContract
from weft_geo.inference import CallablePredictor, SceneTask, local_engine, run_fleet, run_scene
from weft_geo.inference.ledger import Ledger

MakeRaster = Callable[..., Path]
CONTRACT = ModelContract(window=32, overlap=8, multiple_of=16, scale=(0, 255), name="oracle")


class Oracle(CallablePredictor):
    """First band / 255, in no hurry; notes how many ask at the same time."""

    def __init__(self, concurrency: int) -> None:
        super().__init__(self._say, CONTRACT, sha256="0" * 64, concurrency=concurrency)
        self.most = self._now = 0
        self.threads: set[str] = set()
        self._lock = threading.Lock()

    def _say(self, images: np.ndarray) -> np.ndarray:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
            self.threads.add(threading.current_thread().name)
        time.sleep(0.005)
        with self._lock:
            self._now -= 1
        answer: np.ndarray = images[:, :1] / np.float32(255)
        return answer


def scenes(tmp_path: Path, make_raster: MakeRaster, count: int) -> list[SceneTask]:
    """Of number n the objects are n % 5; number 3 is damaged, number 7 larger than small ones."""
    tasks = []
    for number in range(count):
        values = np.zeros((3, 20, 100 if number != 7 else 400))
        for square in range(number % 5):
            values[:, 5:15, 20 * square + 5 : 20 * square + 15] = 255
        scene = make_raster(values, name=f"{number}.tif", compress="deflate")
        if number == 3:
            scene.write_bytes(scene.read_bytes()[:-100])
        tasks.append(SceneTask(str(scene), tmp_path / f"{number}.gpkg"))
    return tasks


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_engine, "SMALL_PIXELS", 20 * 100)


@pytest.mark.parametrize(("concurrency", "options"), [(1, {}), (2, {}), (3, {}), (2, {"max_memory": "4GB"})])
def test_scenes_at_the_same_time_are_those_one_after_the_other(
    make_raster: MakeRaster, tmp_path: Path, concurrency: int, options: dict[str, str]
) -> None:
    tasks = scenes(tmp_path, make_raster, 12)
    oracle = Oracle(concurrency)
    told: list[tuple[str, str]] = []
    stages: list[tuple[str, str, int, int]] = []
    entries = run_fleet(
        tasks,
        lambda: oracle,
        tmp_path / "ledger.json",
        options,
        on_entry=lambda entry, _: told.append((Path(entry["scene"]).stem, entry["status"])),
        progress=lambda event, stage, done, total, message: stages.append((event, stage, done, total)),
    )
    assert [name for name, _ in told] == [str(number) for number in range(12)]
    assert [entry["scene"] for entry in entries if entry["status"] == "failed"] == [tasks[3].scene]
    assert oracle.most <= concurrency
    for number, task in enumerate(tasks):
        if number != 3:
            assert task.objects is not None
            assert len(geopandas.read_file(task.objects, layer="objects")) == number % 5
    assert not list(tmp_path.glob(".*"))
    overlapping = concurrency > 1 and not options
    windows = [stage for stage in stages if stage[1] == "predict"]
    assert {total for _, _, _, total in windows} == ({17} if overlapping else {4, 17})
    if overlapping:
        assert oracle.most == concurrency
        assert [done for event, stage, done, _ in stages if (event, stage) == ("progress", "scenes")] == [
            *range(1, 8),
            *range(9, 13),
        ]


def test_what_is_under_way_is_given_up_with_the_run(make_raster: MakeRaster, tmp_path: Path) -> None:
    tasks = [
        SceneTask(str(make_raster(np.zeros((3, 20, 100)), name=f"{number}.tif")), tmp_path / f"{number}.gpkg")
        for number in range(9)
    ]
    oracle = Oracle(2)

    def interrupt(entry: dict[str, object], ended: int) -> None:
        if entry["scene"] == tasks[2].scene:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_fleet(tasks, lambda: oracle, tmp_path / "ledger.json", on_entry=interrupt)
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("weft")]
    assert not list(tmp_path.glob(".*.part"))
    assert not tasks[8].outputs[0].exists()
    assert len(Ledger(tmp_path / "ledger.json").outputs) == 3
    ran: list[object] = []
    run_fleet(tasks, lambda: oracle, tmp_path / "ledger.json", on_entry=lambda entry, _: ran.append(entry["scene"]))
    assert tasks[2].scene not in ran
    assert tasks[8].scene in ran
    assert len(Ledger(tmp_path / "ledger.json").outputs) == 9
    assert not list(tmp_path.glob(".*"))


def test_a_ledger_that_takes_long_to_write_is_written_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 0.05
        return now

    monkeypatch.setattr("weft_geo.inference.ledger.time.monotonic", clock)
    tasks = [SceneTask(f"{number}.tif") for number in range(200)]
    book, noted = Ledger(tmp_path / "ledger.json"), []
    for task in tasks:
        book.add({"scene": task.scene, "status": "done", "outputs": [task.scene]}, tasks)
        noted.append(len(Ledger(tmp_path / "ledger.json").outputs))
    assert noted[0] == 1
    assert 3 <= len(set(noted)) <= 8
    book.save(tasks)
    assert len(Ledger(tmp_path / "ledger.json").outputs) == 200


def test_a_scene_far_away_takes_no_mask_from_one_beside_it(
    make_raster: MakeRaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is set for the network while a scene is looked at, before it is run, is for that scene alone."""
    looking, done = threading.Event(), threading.Event()

    def wait(_: float) -> None:
        looking.set()
        done.wait(10)

    def run_meanwhile(task: SceneTask, **options: Any) -> dict[str, Any]:
        assert looking.wait(10)
        entry = run_scene(task, **options)
        done.set()
        return entry

    monkeypatch.setattr("weft_geo.geo.remote.time", SimpleNamespace(sleep=wait))
    monkeypatch.setattr(local_engine, "run_scene", run_meanwhile)
    scene, inside = make_raster(255, height=32, width=32), np.ones((32, 32), bool)
    inside[:, :16] = False
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(scene, "r+") as dataset:
        dataset.write_mask(inside)
    contract = ModelContract(window=64, overlap=0)
    predictor = CallablePredictor(lambda images: images[:, :1] / np.float32(255), contract, concurrency=2)
    tasks = [
        SceneTask(str(scene), tmp_path / "near.gpkg"),
        SceneTask("http://127.0.0.1:9/none.tif", tmp_path / "far.gpkg"),
    ]
    entries = run_fleet(tasks, lambda: predictor, tmp_path / "ledger.json")
    assert [entry["status"] for entry in entries] == ["done", "failed"]
    assert geopandas.read_file(tmp_path / "near.gpkg", layer="objects").area_m2.round().tolist() == [128]
