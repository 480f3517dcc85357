"""Many scenes, here and on a local Ray cluster of two workers."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import shapely
from affine import Affine

from weft_geo.errors import InputError, OutputBusyError, OutputExistsError, RunError
from weft_geo.geo.contract import ModelContract
from weft_geo.geo.lock import lock_outputs
from weft_geo.geo.mosaic import write_mosaic
from weft_geo.inference import CallablePredictor, SceneTask, ledger, predict_scene, run_fleet, run_scene
from weft_geo.inference.ledger import Ledger, check_outputs, choose_missing
from weft_geo.inference.provenance import count_objects, read_provenance

MakeRaster = Callable[..., Path]


def make_oracle() -> CallablePredictor:
    contract = ModelContract(window=64, overlap=16, multiple_of=16, scale=(0, 255), name="oracle")
    return CallablePredictor(lambda images: images[:, :1] / np.float32(255), contract, sha256="0" * 64)


def scenes_in(folder: Path, make_raster: MakeRaster, count: int) -> list[SceneTask]:
    """Scene number n holds n + 1 objects."""
    tasks = []
    for number in range(count):
        values = np.zeros((3, 40, 40 * (number + 1)))
        for square in range(number + 1):
            values[:, 10:20, 40 * square + 10 : 40 * square + 20] = 255
        scene = make_raster(values, name=f"scene{number}.tif")
        tasks.append(SceneTask(str(scene), folder / f"scene{number}.gpkg"))
    return tasks


def test_names_will_do_for_paths(make_raster: MakeRaster, tmp_path: Path) -> None:
    (task,) = scenes_in(tmp_path, make_raster, 1)
    named = SceneTask(Path(task.scene), str(task.objects), f"{tmp_path}/m.tif")  # type: ignore[arg-type]
    assert named == SceneTask(task.scene, task.objects, tmp_path / "m.tif")
    (entry,) = run_fleet([named], make_oracle, f"{tmp_path}/ledger.json", {"threshold": 0.5})
    assert (entry["status"], entry["objects"]) == ("done", 1)


def test_what_is_done_is_not_run_again(make_raster: MakeRaster, tmp_path: Path) -> None:
    tasks = scenes_in(tmp_path, make_raster, 3)
    ledger = tmp_path / "ledger.json"
    ran: list[str] = []
    entries = run_fleet(tasks, make_oracle, ledger, on_entry=lambda entry, _: ran.append(entry["scene"]))
    assert [entry["objects"] for entry in entries] == [1, 2, 3]
    assert ran == [task.scene for task in tasks]
    tasks[1].outputs[0].unlink()
    ran.clear()
    entries = run_fleet(tasks, make_oracle, ledger, on_entry=lambda entry, _: ran.append(entry["scene"]))
    assert ran == [tasks[1].scene]
    assert [entry["objects"] for entry in entries] == [1, 2, 3]
    with pytest.raises(OutputExistsError, match="and 2 more are already there"):
        run_fleet(tasks, make_oracle, ledger, {"threshold": 0.9})
    assert len(run_fleet(tasks, make_oracle, ledger, {"threshold": 0.9}, overwrite=True)) == 3


def test_an_output_that_another_run_made_meanwhile_is_not_replaced(make_raster: MakeRaster, tmp_path: Path) -> None:
    tasks = scenes_in(tmp_path, make_raster, 2)
    other = tasks[1].outputs[0]
    entries = run_fleet(
        tasks, make_oracle, tmp_path / "ledger.json", on_entry=lambda *_: other.exists() or other.write_text("theirs")
    )
    assert [entry["status"] for entry in entries] == ["done", "failed"]
    assert "scene1.gpkg is already there" in entries[1]["error"]
    assert other.read_text() == "theirs"


def test_an_output_that_a_dead_worker_left_is_its_own_runs(make_raster: MakeRaster, tmp_path: Path) -> None:
    (task,) = scenes_in(tmp_path, make_raster, 1)
    for run in ("one", "one"):
        predict_scene(task.scene, make_oracle(), task.objects, run=run)
    for other in ("another", None):
        with pytest.raises(OutputExistsError):
            predict_scene(task.scene, make_oracle(), task.objects, run=other)


KILLED = """
import os, signal, sys
from pathlib import Path
from typing import Any
import numpy as np
from weft_geo.geo.contract import ModelContract
from weft_geo.inference import CallablePredictor, SceneTask, run_fleet
from weft_geo.inference.ledger import Ledger

def make_oracle():
    contract = ModelContract(window=64, overlap=16, multiple_of=16, scale=(0, 255), name="oracle")
    return CallablePredictor(lambda images: images[:, :1] / np.float32(255), contract, sha256="0" * 64)

def add_or_die(book, entry, tasks, add=Ledger.add):
    if book.path.exists():
        os.kill(os.getpid(), signal.SIGKILL)
    add(book, entry, tasks)

Ledger.add = add_or_die
ledger, *paths = sys.argv[1:]
tasks = [SceneTask(paths[i], Path(paths[i + 1]), Path(paths[i + 2])) for i in range(0, len(paths), 3)]
run_fleet(tasks, make_oracle, Path(ledger))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGKILL")
def test_outputs_that_a_killed_run_could_not_note_are_its_own(make_raster: MakeRaster, tmp_path: Path) -> None:
    """Killed between the second scene's outputs and their entry in the ledger."""
    made = scenes_in(tmp_path, make_raster, 3)
    tasks = [SceneTask(task.scene, task.objects, mask=Path(f"{task.scene}.mask.tif")) for task in made]
    ledger = tmp_path / "ledger.json"

    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    arguments = [str(path) for task in tasks for path in (task.scene, task.objects, task.mask)]
    run = subprocess.run([sys.executable, str(script), str(ledger), *arguments], check=False)
    assert run.returncode == -signal.SIGKILL
    assert [entry["scene"] for entry in json.loads(ledger.read_text())] == [tasks[0].scene]
    assert [task.objects and task.objects.exists() for task in tasks] == [True, True, False]
    before = [path.stat().st_mtime_ns for task in tasks[:2] for path in task.outputs]

    book = Ledger(ledger)
    check_outputs(tasks, book, overwrite=False)
    with pytest.raises(OutputExistsError, match="1 more are already there"):  # of other options, so not its own
        run_fleet(tasks[1:], make_oracle, ledger, {"threshold": 0.9})
    ran: list[str] = []
    entries = run_fleet(tasks, make_oracle, ledger, on_entry=lambda entry, _: ran.append(entry["scene"]))
    assert ran == [tasks[2].scene]
    assert [(entry["status"], entry["objects"]) for entry in entries] == [("done", 1), ("done", 2), ("done", 3)]
    assert [path.stat().st_mtime_ns for task in tasks[:2] for path in task.outputs] == before
    assert [entry["scene"] for entry in json.loads(ledger.read_text())] == [task.scene for task in tasks]


@pytest.mark.parametrize("suffix", [".gpkg", ".fgb", ".parquet", ".geojson", ".shp"])
def test_every_format_says_which_run_made_it(make_raster: MakeRaster, tmp_path: Path, suffix: str) -> None:
    (task,) = scenes_in(tmp_path, make_raster, 1)
    output = tmp_path / f"objects{suffix}"
    probability = tmp_path / "probability.tif"
    entry = run_scene(SceneTask(task.scene, output, probability=probability), make_oracle(), {})
    assert [read_provenance(path)["run"] for path in (output, probability)] == [entry["run"]] * 2
    assert count_objects(output) == entry["objects"] == 1
    output.write_bytes(b"something else")
    output.with_name(f"{output.name}.json").unlink(missing_ok=True)
    assert read_provenance(output) == {}


def test_a_scene_that_fails_is_in_the_ledger_and_is_tried_again(make_raster: MakeRaster, tmp_path: Path) -> None:
    tasks = scenes_in(tmp_path, make_raster, 2)
    held = Path(tasks[0].scene).read_bytes()
    Path(tasks[0].scene).unlink()
    ledger = tmp_path / "ledger.json"
    entries = run_fleet(tasks, make_oracle, ledger)
    assert [entry["status"] for entry in entries] == ["failed", "done"]
    assert "does not exist" in json.loads(ledger.read_text())[0]["error"]
    Path(tasks[0].scene).write_bytes(held)
    assert [entry["status"] for entry in run_fleet(tasks, make_oracle, ledger)] == ["done", "done"]


def test_what_cannot_be_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="engine must be one of local, ray, got 'dask'"):
        run_fleet([], make_oracle, tmp_path / "ledger.json", engine="dask")
    (tmp_path / "ledger.json").write_text("{}1")
    with pytest.raises(InputError, match="is no ledger of weft-geo"):
        run_fleet([], make_oracle, tmp_path / "ledger.json")


def test_ray_that_does_not_start_in_time_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray")

    def time_out(**options: object) -> None:
        raise Exception("The current node timed out during startup. This could happen.")

    monkeypatch.setattr(ray, "init", time_out)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(RunError, match=r"Ray did not start on this machine: The current node .*leave out"):
        run_fleet([], make_oracle, tmp_path / "ledger.json", engine="ray")
    assert not ray.is_initialized()


@pytest.mark.parametrize("kind", ["ConnectionError", "AuthenticationError"])
def test_a_cluster_that_cannot_be_joined_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    ray = pytest.importorskip("ray")
    error = getattr(ray.exceptions, kind, ConnectionError)

    def refuse(**options: object) -> None:
        raise error("no token was found.\nA page of advice.")

    monkeypatch.setattr(ray, "init", refuse)
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    with pytest.raises(InputError, match=r"at 10\.0\.0\.1:6379 cannot be joined: .*Look at RAY_ADDRESS, and give"):
        run_fleet([], make_oracle, tmp_path / "ledger.json", engine="ray")


def make_victim(marks: Path) -> CallablePredictor:
    """An oracle that says which process ran which window, and that dies once; the rest wait for one in its place."""

    def say(images: np.ndarray) -> np.ndarray:
        (marks / f"{os.getpid()}.{time.monotonic_ns()}").touch()
        deadline = time.monotonic() + 60
        while (marks / "dead").exists() and time.monotonic() < deadline:
            if len({mark.name.partition(".")[0] for mark in marks.glob("*.*")}) >= 3:
                break
            time.sleep(0.05)
        if images.shape[3] == 64 and not (marks / "dead").exists() and len(list(marks.iterdir())) > 30:
            (marks / "dead").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return images[:, :1] / np.float32(255)

    contract = ModelContract(window=64, overlap=16, multiple_of=16, scale=(0, 255), name="oracle")
    return CallablePredictor(say, contract, sha256="0" * 64)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_cluster_that_loses_a_worker_does_every_scene_once(
    make_raster: MakeRaster, tmp_path: Path, two_workers: None
) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    out = tmp_path / "out"
    out.mkdir()
    tasks = scenes_in(out, make_raster, 40)
    missing = SceneTask(str(tmp_path / "missing.tif"), out / "missing.gpkg")
    noted: list[str] = []
    entries = run_fleet(
        [*tasks, missing],
        lambda: make_victim(marks),
        tmp_path / "ledger.json",
        engine="ray",
        on_entry=lambda entry, _: noted.append(entry["scene"]),
    )
    assert (marks / "dead").exists()
    assert [entry["status"] for entry in entries] == ["done"] * 40 + ["failed"]
    assert sorted(noted) == sorted(task.scene for task in [*tasks, missing])
    for number, task in enumerate(tasks):
        assert task.objects is not None
        assert len(geopandas.read_file(task.objects)) == entries[number]["objects"] == number + 1
    assert sorted(path.name for path in out.iterdir()) == sorted(task.outputs[0].name for task in tasks)
    workers = {mark.name.partition(".")[0] for mark in marks.glob("*.*")}
    assert len(workers) >= 3  # two, and the one in the place of the dead
    noted.clear()
    run_fleet(
        tasks,
        lambda: make_victim(marks),
        tmp_path / "ledger.json",
        engine="ray",
        on_entry=lambda entry, _: noted.append(entry),
    )
    assert not noted


@pytest.mark.parametrize("changed", ["scene", "area"])
def test_a_file_that_has_changed_is_not_done(make_raster: MakeRaster, tmp_path: Path, changed: str) -> None:
    tasks = scenes_in(tmp_path, make_raster, 1)
    area = tmp_path / "area.geojson"
    box = geopandas.GeoDataFrame(geometry=[shapely.box(500_000, 4_999_980, 500_020, 5_000_000)], crs="EPSG:32633")
    box.to_file(area)
    run_fleet(tasks, make_oracle, tmp_path / "ledger.json", {"aoi": str(area)})
    assert len(run_fleet(tasks, make_oracle, tmp_path / "ledger.json", {"aoi": str(area)})) == 1
    os.utime(tasks[0].scene if changed == "scene" else area, (1, 1))
    with pytest.raises(OutputExistsError, match="already there"):
        run_fleet(tasks, make_oracle, tmp_path / "ledger.json", {"aoi": str(area)})


@pytest.mark.skipif(sys.platform == "win32", reason="it says that there is no such file")
def test_a_scene_that_may_not_be_looked_for_does_not_stop_the_others(make_raster: MakeRaster, tmp_path: Path) -> None:
    """A name that is too long stands for a folder without permission: the system does not say whether it is there."""
    (good,) = scenes_in(tmp_path, make_raster, 1)
    tasks = [SceneTask("a" * 300 + ".tif", tmp_path / "a.gpkg"), good]
    entries = run_fleet(tasks, make_oracle, tmp_path / "ledger.json")
    assert [entry["status"] for entry in entries] == ["failed", "done"]
    assert "cannot be opened: File name too long" in entries[0]["error"]


@pytest.mark.parametrize("changed", ["tile", "world file"])
def test_what_a_scene_is_read_from_has_changed(make_raster: MakeRaster, tmp_path: Path, changed: str) -> None:
    tile = make_raster()
    if changed == "tile":
        scene = write_mosaic([tile], tmp_path / "m.vrt")
        written = scene.read_text()
        make_raster(7)
        again = lambda: (make_raster(9), scene.write_text(written))[0]  # noqa: E731
    else:
        scene = make_raster(name="plain.png", driver="PNG", transform=Affine.identity(), crs=None)
        (tmp_path / "plain.pgw").write_text("0.5\n0\n0\n-0.5\n500000\n5000000\n")
        again = lambda: (tmp_path / "plain.pgw").write_text("0.5\n0\n0\n-0.5\n600000\n5000000.0\n")  # noqa: E731
    task, options = SceneTask(str(scene), tmp_path / "o.gpkg"), {"crs": "EPSG:32633"}
    os.utime(scene, ns=(1, 1))
    run_fleet([task], make_oracle, tmp_path / "ledger.json", options)
    again()
    os.utime(scene, ns=(1, 1))
    with pytest.raises(OutputExistsError):
        run_fleet([task], make_oracle, tmp_path / "ledger.json", options)


def test_two_runs_into_one_folder_refuse_each_other(make_raster: MakeRaster, tmp_path: Path) -> None:
    tasks, ledger = scenes_in(tmp_path, make_raster, 2), tmp_path / "ledger.json"
    with lock_outputs([ledger]), pytest.raises(OutputBusyError, match=r"another run is writing .*ledger\.json"):
        run_fleet(tasks, make_oracle, ledger)
    assert not ledger.exists()
    assert len(run_fleet(tasks, make_oracle, ledger)) == 2


def test_a_ledger_that_cannot_be_written_says_so(
    make_raster: MakeRaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks, ledger = scenes_in(tmp_path, make_raster, 1), tmp_path / "ledger.json"
    write = Path.write_text

    def fill(self: Path, *args: Any, **options: Any) -> int:
        if "ledger.json" in self.name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(self, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", fill)
        with pytest.raises(RunError, match=r"the ledger .*ledger\.json cannot be written: No space left on device"):
            run_fleet(tasks, make_oracle, ledger)
    (entry,) = run_fleet(tasks, make_oracle, ledger)  # its output says that it is done
    assert entry["status"] == "done"
    assert "windows" not in entry


def test_statistics_beside_a_scene_change_nothing(make_raster: MakeRaster, tmp_path: Path) -> None:
    """QGIS has GDAL write them as it shows a layer; what else is noted there does count."""
    tasks, ledger = scenes_in(tmp_path, make_raster, 2), tmp_path / "ledger.json"
    run_fleet(tasks, make_oracle, ledger)
    notes = Path(f"{tasks[0].scene}.aux.xml")
    statistics = '<Metadata><MDI key="STATISTICS_MEAN">7</MDI></Metadata>'
    notes.write_text(f'<PAMDataset><PAMRasterBand band="1">{statistics}</PAMRasterBand></PAMDataset>')
    ran: list[str] = []
    run_fleet(tasks, make_oracle, ledger, on_entry=lambda entry, _: ran.append(entry["scene"]))
    assert not ran
    bands = "".join(f'<PAMRasterBand band="{n}"><NoDataValue>0</NoDataValue></PAMRasterBand>' for n in (1, 2, 3))
    notes.write_text(f"<PAMDataset>{bands}</PAMDataset>")
    with pytest.raises(OutputExistsError, match="scene0"):
        run_fleet(tasks, make_oracle, ledger)


def test_a_nodata_value_of_the_last_band_counts_too(make_raster: MakeRaster, tmp_path: Path) -> None:
    tasks, ledger = scenes_in(tmp_path, make_raster, 1), tmp_path / "ledger.json"
    run_fleet(tasks, make_oracle, ledger)
    band = '<PAMRasterBand band="3"><NoDataValue>0</NoDataValue></PAMRasterBand>'
    Path(f"{tasks[0].scene}.aux.xml").write_text(f"<PAMDataset>{band}</PAMDataset>")
    with pytest.raises(OutputExistsError, match="scene0"):
        run_fleet(tasks, make_oracle, ledger)


def test_scenes_without_outputs_are_not_opened_to_find_what_is_done(
    make_raster: MakeRaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks, book, opened = scenes_in(tmp_path, make_raster, 2), Ledger(tmp_path / "ledger.json"), []
    run_fleet(tasks[:1], make_oracle, book.path)
    book = Ledger(book.path)
    describe = ledger.describe_run
    monkeypatch.setattr(ledger, "describe_run", lambda *asked: opened.append(asked[2]) or describe(*asked))
    assert choose_missing(tasks, book, "0" * 64, {}, overwrite=False) == tasks[1:]
    assert opened == [tasks[0].scene]


def test_counting_the_objects_of_a_geopackage_has_nothing_to_warn_of(make_raster: MakeRaster, tmp_path: Path) -> None:
    report = predict_scene(make_raster(), make_oracle(), tmp_path / "o.gpkg")
    with warnings.catch_warnings(action="error"):
        assert count_objects(tmp_path / "o.gpkg") == report.objects


@pytest.mark.skipif(sys.platform == "win32", reason="its files have other rights")
def test_a_ledger_that_may_not_be_read_is_named(ordinary_folder: Path) -> None:
    path = ordinary_folder / "ledger.json"
    path.touch(0o000)
    with pytest.raises(InputError, match=r"the ledger .*ledger\.json cannot be read: Permission denied; see to it"):
        Ledger(path)
