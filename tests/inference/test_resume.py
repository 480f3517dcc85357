"""Runs that are killed, stopped or cut short, and what the next one makes of what they left."""

import hashlib
import json
import math
import os
import random
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from weft_geo.errors import InterruptedRunError, OutputBusyError, OutputExistsError, RunError
from weft_geo.geo.contract import ModelContract
from weft_geo.geo.lock import lock_outputs
from weft_geo.inference import CallablePredictor, engine, journal, predict_scene, rows
from weft_geo.inference.columns import split_columns
from weft_geo.inference.layers import Layers, Outputs
from weft_geo.inference.ledger import SceneTask, check_outputs
from weft_geo.inference.plan import open_job
from weft_geo.vector import VectorOptions

MakeRaster = Callable[..., Path]


@pytest.fixture(autouse=True)
def _note_every_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "CHECKPOINT_SHARE", math.inf)


class Oracle(CallablePredictor):
    """Says `first band / 255`; counts the windows; stops after some of them."""

    def __init__(self, stop_after: int | None = None, error: BaseException | None = None, **contract: Any) -> None:
        self.windows = 0
        self.stop_after, self.error = stop_after, error
        values = {"window": 64, "overlap": 16, "multiple_of": 16, "scale": (0, 255), "name": "oracle"} | contract
        super().__init__(self._say, ModelContract(**values), sha256="0" * 64)

    def _say(self, images: np.ndarray) -> np.ndarray:
        if self.stop_after is not None and self.windows + len(images) > self.stop_after:
            time.sleep(0.05)  # rows under way reach the journal
            raise self.error or RunError("power cut")
        self.windows += len(images)
        return images[:, :1] / np.float32(255)


def outputs_in(folder: Path) -> dict[str, Path]:
    folder.mkdir(exist_ok=True)
    return {"objects": folder / "o.parquet", "mask": folder / "m.tif", "probability": folder / "p.tif"}


def pixels(paths: dict[str, Path]) -> str:
    """A digest of what the outputs hold, the time of the run aside."""
    import pyarrow.parquet as pq
    import rasterio

    digest = hashlib.sha256()
    for column in pq.read_table(paths["objects"]).columns:
        digest.update(repr(column.to_pylist()).encode())
    for name in ("mask", "probability"):
        with rasterio.open(paths[name]) as dataset:
            digest.update(dataset.read().tobytes() + dataset.dataset_mask().tobytes())
    return digest.hexdigest()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    height=st.integers(1, 400),
    width=st.integers(1, 200),
    overlap=st.integers(0, 60),
    batch_size=st.integers(1, 9),
    workers=st.integers(1, 3),
    blocks=st.integers(1, 4),
    stops=st.lists(st.integers(0, 60), max_size=4),
)
def test_any_way_to_the_end_gives_the_same(
    make_raster: MakeRaster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    height: int,
    width: int,
    overlap: int,
    batch_size: int,
    workers: int,
    blocks: int,
    stops: list[int],
) -> None:
    from weft_geo.inference import job, plan

    values = np.random.default_rng(height * 401 + width).integers(0, 256, (3, height, width))
    values[:, : height // 3, : width // 3] = 0
    scene = make_raster(values, nodata=0)
    whole = outputs_in(tmp_path / "whole")
    predict_scene(scene, Oracle(), **whole, overwrite=True)

    monkeypatch.setattr(job, "STORED_LOT_PIXELS", 1000)
    monkeypatch.setattr(plan, "fit_into_memory", lambda job, *_: replace(job, blocks=split_columns(job.grid, blocks)))
    pieces = outputs_in(tmp_path / "pieces")
    options: dict[str, Any] = {"overlap": overlap, "batch_size": batch_size, "workers": workers, "overwrite": True}
    for stop in stops:
        try:
            predict_scene(scene, Oracle(stop_after=stop), **pieces, **options)
        except RunError as error:
            assert "power cut" in str(error)  # noqa: PT017
    predict_scene(scene, Oracle(), **pieces, **options)
    assert pixels(pieces) == pixels(whole)
    assert sorted(path.name for path in (tmp_path / "pieces").iterdir()) == ["m.tif", "o.parquet", "p.tif"]


def test_only_what_is_missing_is_run(make_raster: MakeRaster, tmp_path: Path) -> None:
    scene = make_raster(height=1000, width=64)
    paths = outputs_in(tmp_path / "out")
    with pytest.raises(RunError) as caught:
        predict_scene(scene, Oracle(stop_after=15), **paths, batch_size=1)
    assert caught.value.__notes__ == ["what is finished is kept; the same command goes on from there"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".o.parquet.journal"]
    predictor = Oracle()
    report = predict_scene(scene, predictor, **paths, batch_size=1)
    assert report.resumed >= 10
    assert predictor.windows == report.windows - report.resumed


@pytest.mark.parametrize(("width", "batch_size"), [(64, 3), (150, 2), (150, 4), (150, 7), (400, 4)])
@pytest.mark.parametrize("stop", [3, 8, 14])
def test_a_run_that_goes_on_asks_for_the_same_batches(
    make_raster: MakeRaster, tmp_path: Path, width: int, batch_size: int, stop: int
) -> None:
    """Else a model whose last digits depend on what is asked together would not say the same."""
    asked: set[str] = set()

    def note(images: np.ndarray) -> np.ndarray:
        asked.add(hashlib.sha256(images.tobytes()).hexdigest())
        return images[:, :1] / np.float32(255)

    values = np.random.default_rng(0).integers(1, 256, (3, 1000, width))
    values[:, 300:500] = 0
    scene = make_raster(values, nodata=0)
    predictor = Oracle()
    predictor._function = note
    predict_scene(scene, predictor, **outputs_in(tmp_path / "whole"), batch_size=batch_size)
    whole, paths = set(asked), outputs_in(tmp_path / "out")
    with pytest.raises(RunError):
        predict_scene(scene, Oracle(stop_after=stop), **paths, batch_size=batch_size)
    asked.clear()
    report = predict_scene(scene, predictor, **paths, batch_size=batch_size)
    assert report.resumed >= stop - max(batch_size, 9)  # a row, or a batch
    assert asked
    assert asked <= whole


def test_the_first_row_of_windows_is_safe_at_once(
    make_raster: MakeRaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a run that is killed again and again before its first checkpoint would start anew for ever."""
    monkeypatch.setattr(journal, "CHECKPOINT_SHARE", 1e-9)  # the second one would come after years
    scene = make_raster(height=1000, width=128)
    for finished in (1, 2, 3):
        with pytest.raises(RunError):
            predict_scene(scene, Oracle(stop_after=5), tmp_path / "o.gpkg", batch_size=1, overlap=0)
        left = json.loads((tmp_path / ".o.gpkg.journal" / "checkpoint").read_bytes()[8:].split(b"}")[0] + b"}")
        assert finished <= left["row"] <= 2 * finished


def test_other_options_for_the_objects_go_on_from_the_same_rows(make_raster: MakeRaster, tmp_path: Path) -> None:
    scene = make_raster(height=1000, width=64)
    with pytest.raises(RunError):
        predict_scene(scene, Oracle(stop_after=15), tmp_path / "o.gpkg", batch_size=1)
    report = predict_scene(scene, Oracle(), tmp_path / "o.gpkg", threshold=0.7, min_area_m2=1.0)
    assert report.resumed > 0
    plain = predict_scene(scene, Oracle(), tmp_path / "plain.gpkg", threshold=0.7, min_area_m2=1.0)
    assert (report.objects, report.object_pixels) == (plain.objects, plain.object_pixels)


@pytest.mark.parametrize("change", ["scene", "model", "no resume"])
def test_what_does_not_fit_is_not_taken_up(make_raster: MakeRaster, tmp_path: Path, change: str) -> None:
    scene = make_raster(height=1000, width=64)
    with pytest.raises(RunError):
        predict_scene(scene, Oracle(stop_after=15), tmp_path / "o.gpkg", batch_size=1)
    predictor = Oracle()
    if change == "scene":
        scene = make_raster(np.full((3, 1000, 64), 7))
    elif change == "model":
        predictor.sha256 = "1" * 64
    report = predict_scene(scene, predictor, tmp_path / "o.gpkg", resume=change != "no resume")
    assert report.resumed == 0
    assert predictor.windows == report.windows
    assert any("does not fit this one" in warning for warning in report.warnings)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["o.gpkg", "scene.tif"]


def test_a_function_that_cannot_be_told_from_others_leaves_nothing(make_raster: MakeRaster, tmp_path: Path) -> None:
    predictor = Oracle(stop_after=15)
    predictor.sha256 = ""
    with pytest.raises(RunError):
        predict_scene(make_raster(height=1000, width=64), predictor, tmp_path / "o.gpkg", batch_size=1)
    assert [path.name for path in tmp_path.iterdir()] == ["scene.tif"]


def test_a_damaged_journal_is_not_believed(make_raster: MakeRaster, tmp_path: Path) -> None:
    scene = make_raster(height=1000, width=64)
    with pytest.raises(RunError):
        predict_scene(scene, Oracle(stop_after=15), tmp_path / "o.gpkg", batch_size=1)
    kept = tmp_path / ".o.gpkg.journal" / "block-000.rows"
    data = bytearray(kept.read_bytes())
    data[len(data) // 3] ^= 1
    kept.write_bytes(data)
    with pytest.raises(RunError, match="is damaged; give --no-resume to start anew"):
        predict_scene(scene, Oracle(), tmp_path / "o.gpkg")
    assert predict_scene(scene, Oracle(), tmp_path / "o.gpkg", resume=False).resumed == 0


def test_a_disk_that_fills_says_so_and_keeps_what_it_has(
    make_raster: MakeRaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = make_raster(height=1000, width=64)
    append, calls = rows.RowWriter.append, []

    def fill(self: rows.RowWriter, some: rows.FinishedRows) -> None:
        calls.append(1)
        if len(calls) > 8:
            raise rows.cannot_write(self._path, OSError(28, "No space left on device"))
        append(self, some)

    with monkeypatch.context() as patch:
        patch.setattr(rows.RowWriter, "append", fill)
        with pytest.raises(RunError, match="No space left on device; is the disk full"):
            predict_scene(scene, Oracle(), tmp_path / "o.gpkg", batch_size=1)
    assert predict_scene(scene, Oracle(), tmp_path / "o.gpkg").resumed > 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk that is always full")
def test_rows_that_still_wait_when_the_disk_is_full_are_one_clear_failure(tmp_path: Path) -> None:
    some = rows.FinishedRows(np.zeros((1, 2, 2), np.uint16), np.ones((2, 2), bool))

    def fill() -> None:
        with rows.RowWriter(tmp_path / "block", 0) as writer, Path("/dev/full").open("wb") as full:
            os.dup2(full.fileno(), writer._file.fileno())
            writer.append(some)
            writer.sync()

    with pytest.raises(RunError, match="No space left on device; is the disk full"):
        fill()


def test_two_runs_on_one_output_refuse_each_other(make_raster: MakeRaster, tmp_path: Path) -> None:
    scene = make_raster()
    with lock_outputs([tmp_path / "m.tif"]), pytest.raises(OutputBusyError, match=r"another run is writing .*m\.tif"):
        predict_scene(scene, Oracle(), tmp_path / "o.gpkg", mask=tmp_path / "m.tif")
    predict_scene(scene, Oracle(), tmp_path / "o.gpkg", mask=tmp_path / "m.tif")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.tif", "o.gpkg", "scene.tif"]


def test_an_output_that_another_run_made_before_ours_had_its_lock_is_not_replaced(
    make_raster: MakeRaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = make_raster()

    def lock_late(paths: list[Path]) -> Any:
        (tmp_path / "m.tif").write_text("another run's")
        return lock_outputs(paths)

    monkeypatch.setattr(engine, "lock_outputs", lock_late)
    with pytest.raises(OutputExistsError, match=r"m\.tif is already there"):
        predict_scene(scene, Oracle(), tmp_path / "o.gpkg", tmp_path / "m.tif")
    assert (tmp_path / "m.tif").read_text() == "another run's"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.tif", "scene.tif"]


def test_parts_of_outputs_with_similar_names_stay(make_raster: MakeRaster, tmp_path: Path) -> None:
    strangers = {".o.gpkg.fgb.part", ".o.gpkg.json.part", ".m.tif.making.tif.part", ".m.tif.2.part"}
    for name in strangers:
        (tmp_path / name).mkdir()
    for name in (".o.gpkg.part", ".m.tif.part"):
        (tmp_path / name / "made").mkdir(parents=True)
    predict_scene(make_raster(), Oracle(), tmp_path / "o.gpkg", tmp_path / "m.tif")
    assert {path.name for path in tmp_path.iterdir()} == strangers | {"o.gpkg", "m.tif", "scene.tif"}


def test_layers_that_are_left_without_being_published_are_none(make_raster: MakeRaster, tmp_path: Path) -> None:
    outputs = Outputs.at(tmp_path / "o.gpkg", tmp_path / "m.tif", None)
    with open_job(make_raster(), Oracle()) as job, lock_outputs(outputs.paths):
        with Layers(outputs, job, ("object",), VectorOptions(), {}) as layers:
            layers.push(rows.FinishedRows(np.zeros((1, *job.shape), np.uint16), np.ones(job.shape, bool)))
            layers.finish()
        assert sorted(path.name for path in tmp_path.iterdir()) == [".m.tif.lock", ".o.gpkg.lock", "scene.tif"]


def test_a_run_that_died_while_it_put_outputs_in_place_may_replace_them(
    make_raster: MakeRaster, tmp_path: Path
) -> None:
    scene = make_raster(height=1000, width=64)
    with pytest.raises(RunError):
        predict_scene(scene, Oracle(stop_after=15), tmp_path / "o.gpkg", batch_size=1)
    (tmp_path / "o.gpkg").touch()
    with pytest.raises(OutputExistsError):
        predict_scene(scene, Oracle(), tmp_path / "o.gpkg")
    about = tmp_path / ".o.gpkg.journal" / "about.json"
    about.write_text(about.read_text().replace("[]", json.dumps([str(tmp_path / "o.gpkg")])))
    (tmp_path / "other.tif").touch()
    with pytest.raises(OutputExistsError, match=r"other\.tif is already there"):  # nothing of that run
        predict_scene(scene, Oracle(), tmp_path / "o.gpkg", tmp_path / "other.tif")
    assert predict_scene(scene, Oracle(), tmp_path / "o.gpkg").resumed > 0


KILLED = """
import os, sys
from weft_geo.inference import journal

remove = journal.shutil.rmtree

def die(folder, **options):
    if os.path.isdir(folder):
        os.unlink(os.path.join(folder, "about.json"))
        os.kill(os.getpid(), 9)
    remove(folder, **options)

journal.shutil.rmtree = die
journal.Journal(journal.Path(sys.argv[1]), {}, True).discard()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_a_run_killed_while_it_removes_its_journal_leaves_nothing_for_long(
    make_raster: MakeRaster, tmp_path: Path
) -> None:
    scene, output = make_raster(height=1000, width=64), tmp_path / "o.gpkg"
    with pytest.raises(RunError):
        predict_scene(scene, Oracle(stop_after=15), output, batch_size=1)
    output.touch()
    killed = subprocess.run([sys.executable, "-c", KILLED, str(output)], check=False)
    assert killed.returncode == -signal.SIGKILL
    with pytest.raises(OutputExistsError):
        check_outputs([SceneTask(str(scene), output)], None, overwrite=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["o.gpkg", "scene.tif"]


RUN = """
import sys, time
import numpy as np
from weft_geo.inference import CallablePredictor, ModelContract, predict_scene

def say(images):
    time.sleep(0.004 * len(images))
    return images[:, :1] / np.float32(255)

scene, folder = sys.argv[1:]
contract = ModelContract(window=64, overlap=16, multiple_of=16, scale=(0, 255))
print("running", flush=True)
report = predict_scene(scene, CallablePredictor(say, contract, sha256="0" * 64), f"{folder}/o.parquet",
    f"{folder}/m.tif", f"{folder}/p.tif", overwrite=True)
print(report.resumed, flush=True)
"""


@pytest.mark.parametrize("how", ["kill"] if sys.platform == "win32" else ["kill", "SIGTERM", "SIGINT"])
def test_runs_killed_at_random_moments_end_in_the_same(make_raster: MakeRaster, tmp_path: Path, how: str) -> None:
    scene = make_raster(height=1500, width=300, tiled=True, blockxsize=64, blockysize=64)
    paths, whole = outputs_in(tmp_path / "out"), outputs_in(tmp_path / "whole")
    predict_scene(scene, Oracle(), **whole)
    moments = random.Random(how)
    command = [sys.executable, "-c", RUN, str(scene), str(tmp_path / "out")]
    for _ in range(4):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        time.sleep(moments.uniform(0.0, 0.6))
        if how == "kill":
            process.kill()
        else:
            process.send_signal(getattr(signal, how))
        process.communicate(timeout=20)
    last = subprocess.run(command, check=True, capture_output=True, text=True)
    assert int(last.stdout.split()[-1]) > 0
    assert pixels(paths) == pixels(whole)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["m.tif", "o.parquet", "p.tif"]


def test_an_interruption_keeps_what_is_done(make_raster: MakeRaster, tmp_path: Path) -> None:
    scene = make_raster(height=1000, width=64)
    with pytest.raises(InterruptedRunError) as caught:
        predict_scene(scene, Oracle(15, InterruptedRunError("stop")), tmp_path / "o.gpkg", batch_size=1)
    assert "goes on from there" in caught.value.__notes__[0]
    assert predict_scene(scene, Oracle(), tmp_path / "o.gpkg").resumed > 0


@pytest.mark.parametrize("name", ["about.json", "checkpoint"])
def test_a_journal_that_the_disk_does_not_give_now_is_kept(
    make_raster: MakeRaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    scene = make_raster(height=1000, width=64)
    with pytest.raises(RunError):
        predict_scene(scene, Oracle(stop_after=15), tmp_path / "o.gpkg", batch_size=1)
    read = Path.read_bytes

    def fail(self: Path) -> bytes:
        if self.name == name:
            raise OSError(5, "Input/output error")
        return read(self)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", fail)
        with pytest.raises(RunError, match="cannot be read: Input/output error"):
            predict_scene(scene, Oracle(), tmp_path / "o.gpkg", batch_size=1)
    assert predict_scene(scene, Oracle(), tmp_path / "o.gpkg", batch_size=1).resumed > 0


@pytest.mark.parametrize("change", ["written to"] if sys.platform == "win32" else ["written to", "removed"])
def test_a_scene_that_is_written_to_while_it_is_read_is_no_result(
    make_raster: MakeRaster, tmp_path: Path, change: str
) -> None:
    scene = make_raster(height=1000, width=64)

    def meddle(event: str, stage: str, done: int, total: int, message: str) -> None:
        if done == 3 and scene.exists():
            scene.unlink() if change == "removed" else os.utime(scene, ns=(0, 0))

    if change == "removed":
        predict_scene(scene, Oracle(), tmp_path / "o.gpkg", batch_size=1, progress=meddle)
        assert [path.name for path in tmp_path.iterdir()] == ["o.gpkg"]
        return
    with pytest.raises(RunError, match="was changed while it was read"):
        predict_scene(scene, Oracle(), tmp_path / "o.gpkg", batch_size=1, progress=meddle)
    assert [path.name for path in tmp_path.iterdir()] == [scene.name]


def test_a_lock_that_cannot_be_removed_is_no_failure(
    make_raster: MakeRaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene, unlink = make_raster(), Path.unlink

    def fail(self: Path, missing_ok: bool = False) -> None:
        if self.suffix == ".lock":
            raise PermissionError(13, "Permission denied", str(self))
        unlink(self, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", fail)
        predict_scene(scene, Oracle(), tmp_path / "o.gpkg")
    predict_scene(scene, Oracle(), tmp_path / "o.gpkg", overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["o.gpkg", "scene.tif"]


@pytest.mark.parametrize("name", ["checkpoint", "block-000.rows"])
def test_no_byte_of_a_journal_may_change(make_raster: MakeRaster, tmp_path: Path, name: str) -> None:
    scene = make_raster(height=1000, width=64)
    with pytest.raises(RunError):
        predict_scene(scene, Oracle(stop_after=15), tmp_path / "o.gpkg", batch_size=1)
    kept = tmp_path / ".o.gpkg.journal" / name
    left = {path: path.read_bytes() for path in kept.parent.iterdir()}
    whole = left[kept]
    damaged = [whole[:end] for end in (0, 3, 7, 50, len(whole) // 2)]
    for place in (*range(32), len(whole) // 2):
        damaged.append(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
    for data in damaged:
        kept.write_bytes(data)
        with pytest.raises(RunError, match="is damaged; give --no-resume to start anew"):
            predict_scene(scene, Oracle(), tmp_path / "o.gpkg")
        for path, before in left.items():
            path.write_bytes(before)
    assert predict_scene(scene, Oracle(), tmp_path / "o.gpkg").resumed > 0


VRT = """<VRTDataset rasterXSize="64" rasterYSize="1000"><SRS>EPSG:32633</SRS>
<GeoTransform>500000, 0.5, 0, 5000000, 0, -0.5</GeoTransform><VRTRasterBand dataType="Byte" band="1"><SimpleSource>
<SourceFilename relativeToVRT="1">scene.tif</SourceFilename><SourceBand>1</SourceBand>
</SimpleSource></VRTRasterBand></VRTDataset>"""


@pytest.mark.parametrize("later", [(0, 0, 7), (0, None, None)])
def test_another_nodata_value_of_any_band_starts_anew(
    make_raster: MakeRaster, tmp_path: Path, later: tuple[int | None, ...]
) -> None:
    scene = make_raster(height=1000, width=64)

    def note(values: tuple[int | None, ...]) -> None:
        bands = (
            f'<PAMRasterBand band="{band}"><NoDataValue>{value}</NoDataValue></PAMRasterBand>'
            for band, value in enumerate(values, start=1)
            if value is not None
        )
        Path(f"{scene}.aux.xml").write_text(f"<PAMDataset>{''.join(bands)}</PAMDataset>")

    note((0, 0, 0))
    with pytest.raises(RunError):
        predict_scene(scene, Oracle(stop_after=15), tmp_path / "o.gpkg", batch_size=1)
    note(later)
    assert predict_scene(scene, Oracle(), tmp_path / "o.gpkg").resumed == 0


@pytest.mark.parametrize("kind", ["tile of a VRT", "archive"])
def test_a_change_behind_the_scene_starts_anew(make_raster: MakeRaster, tmp_path: Path, kind: str) -> None:
    def make(values: Any) -> str:
        made = make_raster(values, height=1000, width=64)
        if kind == "archive":
            with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
                archive.write(made, "scene.tif")
            return f"/vsizip/{tmp_path}/a.zip/scene.tif"
        if not (tmp_path / "scene.vrt").exists():
            (tmp_path / "scene.vrt").write_text(VRT)
        return str(tmp_path / "scene.vrt")

    with pytest.raises(RunError):
        predict_scene(make(None), Oracle(stop_after=15), tmp_path / "o.gpkg", batch_size=1)
    assert predict_scene(make(np.full((3, 1000, 64), 7)), Oracle(), tmp_path / "o.gpkg").resumed == 0
