"""Whole runs: what they write, that they go on exactly where they were stopped, and what they refuse."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("lightning.pytorch", reason="needs the train extra")

from weft_geo.datasets.synthetic import draw_scene, write_scene  # noqa: E402
from weft_geo.errors import (  # noqa: E402
    DatasetError,
    InputError,
    InterruptedRunError,
    OutputBusyError,
    OutputExistsError,
    RunError,
)
from weft_geo.models import build_model, load_checkpoint, save_checkpoint  # noqa: E402
from weft_geo.trainers.callbacks import drop_rows  # noqa: E402
from weft_geo.trainers.config import build_config  # noqa: E402
from weft_geo.trainers.train import train  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")

Values = Callable[..., dict[str, Any]]


def curve(folder: Path) -> str:
    return (folder / "train.csv").read_text() + (folder / "val.csv").read_text()


@pytest.fixture(scope="module")
def whole_run(orssd: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path, Any]:
    """Eight steps without a stop."""
    values = {
        "data": {"dataset": "orssd", "data_root": str(orssd), "crop": 64, "workers": 0},
        "model": {"name": "weft-tiny"},
        "loss": {"num_points": 256, "semantic_weight": 5.0},
        "optimizer": {"lr": 5e-4, "max_steps": 8, "warmup_steps": 2},
        "run": {
            "batch_size": 2, "accumulate": 2, "device": "cpu", "val_every": 4, "save_every": 3, "log_every": 1,
            "pictures": 2, "ema": 0.9,
        },
    }  # fmt: skip
    folder = tmp_path_factory.mktemp("whole") / "run"
    return values, folder, train(build_config(values), folder)


def test_what_a_run_writes(whole_run: tuple[dict[str, Any], Path, Any]) -> None:
    _, folder, report = whole_run
    assert {path.name for path in folder.iterdir()} == {
        "config.yaml", "train.csv", "val.csv", "tensorboard", "pictures", "last.ckpt", "best.ckpt", "report.json",
        "model.safetensors",
    }  # fmt: skip
    header, *rows = (folder / "train.csv").read_text().splitlines()
    assert header == "step,loss,class,mask,dice,semantic,lr"
    assert [row.split(",")[0] for row in rows] == [str(step) for step in range(1, 9)]
    header, *rows = (folder / "val.csv").read_text().splitlines()
    assert header == "step,miou,iou/object"
    assert [row.split(",")[0] for row in rows] == ["4", "8"]
    assert [path.name for path in sorted((folder / "pictures").iterdir())] == ["step_000004.png", "step_000008.png"]
    assert json.loads((folder / "report.json").read_text())["val_miou"] == report.val_miou
    assert report.best_step in (4, 8)
    best = {row.split(",")[0]: float(row.split(",")[1]) for row in rows}[str(report.best_step)]
    assert report.val_miou == pytest.approx(best)
    known = torch.load(folder / "last.ckpt", weights_only=False)["callbacks"]
    (best_known,) = (float(state["best_model_score"]) for name, state in known.items() if "ModelCheckpoint" in name)
    assert best_known == pytest.approx(report.val_miou)  # of the last step, too, if that is the best
    assert report.images_per_second > 0
    assert report.peak_memory_bytes > 50e6

    model = load_checkpoint(folder / "model.safetensors")
    assert (model.contract.name, model.contract.classes) == ("run (weft-tiny)", ("object",))
    assert model.contract.means == pytest.approx((81.25, 87.39, 79.41))


def train_until_killed(values: dict[str, Any], folder: Path, steps: int) -> None:
    """Train in another process and kill -9 it once train.csv has so many steps."""
    given = folder.with_suffix(".json")
    given.write_text(json.dumps(values))
    code = (
        "import json, sys, torch; torch.set_num_threads(1);"
        "from weft_geo.trainers.config import build_config; from weft_geo.trainers.train import train;"
        f"train(build_config(json.load(open({str(given)!r}))), {str(folder)!r})"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    rows = folder / "train.csv"
    limit = time.monotonic() + 300
    while not (rows.exists() and rows.read_text().count("\n") > steps):
        assert process.poll() is None, "it ended before it was killed"
        assert time.monotonic() < limit
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (folder / "report.json").exists()


def assert_same_values(folder: Path, whole: Path) -> None:
    one, other = (torch.load(f / "last.ckpt", weights_only=False)["state_dict"] for f in (folder, whole))
    assert all(torch.equal(one[key], other[key]) for key in other)


def test_killed_at_any_moment_it_goes_on_to_the_same_curve(
    whole_run: tuple[dict[str, Any], Path, Any], tmp_path: Path
) -> None:
    values, whole, _ = whole_run
    folder = tmp_path / "run"
    train_until_killed(values, folder, 5)  # behind a validation
    train(build_config(values), folder)
    assert curve(folder) == curve(whole)
    assert_same_values(folder, whole)


def test_on_own_rasters_too(tmp_path: Path) -> None:
    """Both runs are stopped at step 6, before they would write a model."""
    write_scene(draw_scene(192, 192, 3, 0.5), tmp_path / "own", "EPSG:32645", False)
    values = {
        "data": {
            "images": [str(tmp_path / "own" / "scene.tif")], "labels": [str(tmp_path / "own" / "truth.gpkg")],
            "crop": 64, "workers": 0,
        },
        "optimizer": {"max_steps": 100, "warmup_steps": 2},
        "run": {"batch_size": 2, "device": "cpu", "val_every": 4, "save_every": 2, "log_every": 1, "pictures": 0},
    }  # fmt: skip

    def interrupt(event: str, where: str, done: int, total: int, message: str) -> None:
        if (event, where, done) == ("progress", "train", 6):
            os.kill(os.getpid(), signal.SIGINT)

    train_until_killed(values, tmp_path / "killed", 3)
    for name in ("killed", "whole"):
        with pytest.raises(InterruptedRunError, match="holds step 6"):
            train(build_config(values), tmp_path / name, progress=interrupt)
    assert curve(tmp_path / "killed") == curve(tmp_path / "whole")
    assert_same_values(tmp_path / "killed", tmp_path / "whole")


@pytest.mark.parametrize("stop_at", [3, 4])  # 4 is to be validated
def test_interrupted_it_saves_and_goes_on_to_the_same_curve(
    whole_run: tuple[dict[str, Any], Path, Any], tmp_path: Path, stop_at: int
) -> None:
    values, whole, _ = whole_run
    values = values | {"run": values["run"] | {"save_every": 100}}  # so that only the interruption saves

    def interrupt(event: str, where: str, done: int, total: int, message: str) -> None:
        if (event, where, done) == ("progress", "train", stop_at):
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(InterruptedRunError, match=rf"interrupted at step {stop_at}; .*holds step 3"):
        train(build_config(values), tmp_path / "run", progress=interrupt)
    assert signal.getsignal(signal.SIGINT) is before
    other = values | {"run": values["run"] | {"accumulate": 3}}
    with pytest.raises(InputError, match=r"begun with 4 samples a step, and would go on with 6; .*product is 4"):
        train(build_config(other), tmp_path / "run")
    train(build_config(values), tmp_path / "run")
    assert curve(tmp_path / "run") == curve(whole)


def test_it_goes_on_with_smaller_batches_and_more_of_them(values: Values, tmp_path: Path) -> None:
    def stop(event: str, where: str, done: int, total: int, message: str) -> None:
        if (event, where, done) == ("progress", "train", 1):
            os.kill(os.getpid(), signal.SIGINT)

    asked = values(optimizer={"max_steps": 4}, run={"val_every": 2})
    with pytest.raises(InterruptedRunError):
        train(build_config(asked), tmp_path / "run", progress=stop)
    train(build_config(asked | {"run": asked["run"] | {"batch_size": 1, "accumulate": 2}}), tmp_path / "run")
    steps = {
        name: [row.split(",")[0] for row in (tmp_path / "run" / name).read_text().splitlines()[1:]]
        for name in ("train.csv", "val.csv")
    }
    assert steps == {"train.csv": ["1", "2", "3", "4"], "val.csv": ["2", "4"]}


def test_a_frozen_trunk_is_not_in_its_checkpoints_and_does_not_change(values: Values, tmp_path: Path) -> None:
    trunk = build_model("weft-tiny")
    weights = save_checkpoint(trunk, tmp_path / "weights.safetensors")
    config = build_config(
        values(model={"weights": str(weights), "freeze_trunk": True}, optimizer={"max_steps": 2}, run={"val_every": 2})
    )
    report = train(config, tmp_path / "run")
    saved = torch.load(tmp_path / "run" / "last.ckpt", weights_only=False)
    assert not any(key.startswith("model.trunk.") for key in saved["state_dict"])
    assert list(report.files) == ["adapter"]
    model = load_checkpoint(report.files["adapter"], trunk=weights)
    assert all(torch.equal(value, model.trunk.state_dict()[key]) for key, value in trunk.trunk.state_dict().items())
    moved = model.expert_extractor.up_embedding.weight
    assert not torch.equal(moved, trunk.expert_extractor.up_embedding.weight)


@pytest.mark.parametrize("strategy", ["full", "lora", "vpt"])
def test_every_strategy_runs_to_a_checkpoint(values: Values, tmp_path: Path, strategy: str) -> None:
    config = build_config(values(model={"strategy": strategy}, optimizer={"max_steps": 2}, run={"val_every": 2}))
    report = train(config, tmp_path / "run")
    assert load_checkpoint(report.files["model"]).config.strategy == strategy
    assert (report.trainable_share > 0.99) == (strategy == "full")


def test_two_pictures_are_learnt_by_heart(values: Values, tmp_path: Path) -> None:
    asked = values(data={"overfit": 2}, optimizer={"lr": 1.5e-3, "max_steps": 60, "warmup_steps": 5})
    asked["run"] |= {"val_every": 60}
    config = build_config(asked)
    assert (config.run.ema, config.optimizer.weight_decay) == (0.0, 0.0)
    assert config.model_fields()["drop_path"] == 0.0
    report = train(config, tmp_path / "run")
    print(f"object IoU {report.val_iou['object']:.3f} after {report.steps} steps")
    assert report.val_iou["object"] > 0.85


def test_the_last_step_is_validated_whatever_the_interval(values: Values, tmp_path: Path) -> None:
    train(build_config(values(optimizer={"max_steps": 3}, run={"val_every": 2})), tmp_path / "run")
    rows = (tmp_path / "run" / "val.csv").read_text().splitlines()[1:]
    assert [row.split(",")[0] for row in rows] == ["2", "3"]
    assert torch.load(tmp_path / "run" / "last.ckpt", weights_only=False)["global_step"] == 3


def test_early_stopping(values: Values, tmp_path: Path) -> None:
    asked = values(
        optimizer={"max_steps": 8, "lr": 1e-9, "warmup_steps": 0}, run={"val_every": 1, "patience": 2, "save_every": 9}
    )
    assert train(build_config(asked), tmp_path / "run").steps == 3
    ended = curve(tmp_path / "run")
    (tmp_path / "run" / "report.json").unlink()  # as if it had been killed before it wrote its model
    assert train(build_config(asked), tmp_path / "run").steps == 3
    assert curve(tmp_path / "run") == ended


def test_folders_that_hold_something_else(values: Values, tmp_path: Path) -> None:
    config = build_config(values(optimizer={"max_steps": 1}, run={"val_every": 1}))
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "thesis.tex").write_text("…")
    with pytest.raises(OutputExistsError, match="is not empty and holds no run"):
        train(config, folder)
    (folder / "thesis.tex").unlink()
    train(config, folder)
    with pytest.raises(OutputExistsError, match=r"is finished; begin anew \(--overwrite\)"):
        train(config, folder)
    (folder / "report.json").unlink()
    with pytest.raises(InputError, match=r"begun with other values of run\.seed, optimizer|optimizer.*run\.seed"):
        train(build_config(values(optimizer={"max_steps": 2}, run={"val_every": 1, "seed": 5})), folder)
    with pytest.raises(OutputExistsError, match="already holds a run"):
        train(config, folder, resume=False)


def test_two_runs_in_one_folder_refuse_each_other(values: Values, tmp_path: Path) -> None:
    config, folder = build_config(values(optimizer={"max_steps": 1}, run={"val_every": 1})), tmp_path / "run"
    refused = []

    def begin_another(event: str, where: str, done: int, total: int, message: str) -> None:
        if (event, where) == ("progress", "train"):
            for overwrite in (False, True):
                with pytest.raises(OutputBusyError, match="another run is at work in"):
                    train(config, folder, overwrite=overwrite)
                refused.append(overwrite)

    train(config, folder, progress=begin_another)
    train(config, folder, overwrite=True, progress=begin_another)  # the folder is another one by then
    assert refused == [False, True] * 2


def test_bad_data_are_refused_before_anything_is_written(values: Values, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a folder"):
        train(build_config(values(data={"data_root": str(tmp_path / "none")})), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_exploding_loss_ends_the_run_with_a_hint(values: Values, tmp_path: Path) -> None:
    asked = values(optimizer={"lr": 1e30, "warmup_steps": 0})
    with pytest.raises(RunError, match="no longer a number; give a lower --lr"):
        train(build_config(asked), tmp_path / "run")


def test_a_device_that_is_not_there(values: Values, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Lightning refuses device tpu"):
        train(build_config(values(run={"device": "tpu"})), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_rows_behind_a_step_and_half_rows_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_text("step,loss\n1,3.0\n2,2.0\n3,1.5\n4,1.")
    drop_rows(path, after=2)
    assert path.read_text() == "step,loss\n1,3.0\n2,2.0\n"
    drop_rows(tmp_path / "none.csv", after=2)
    for cut in ("", "step,lo"):  # killed while the first row was written
        path.write_text(cut)
        drop_rows(path, after=0)
        assert path.read_text() == ""


def test_the_adapter_of_an_averaged_run_fits_the_trunk_it_began_with(orssd: Path, tmp_path: Path) -> None:
    """Averaging would change the frozen trunk by its rounding, and its hash with that."""
    weights = save_checkpoint(build_model("weft-tiny"), tmp_path / "start.safetensors")
    values = {
        "data": {"dataset": "orssd", "data_root": str(orssd), "crop": 64, "workers": 0},
        "model": {"name": "weft-tiny", "weights": str(weights), "freeze_trunk": True},
        "loss": {"num_points": 256},
        "optimizer": {"max_steps": 3, "warmup_steps": 0},
        "run": {"batch_size": 2, "device": "cpu", "val_every": 3, "pictures": 0, "ema": 0.99},
    }
    train(build_config(values), tmp_path / "run")
    load_checkpoint(tmp_path / "run" / "adapter.safetensors", weights)
    assert (tmp_path / "run" / "adapter.safetensors").stat().st_mode & 0o077 == weights.stat().st_mode & 0o077

    missing = values | {"data": values["data"] | {"data_root": str(tmp_path / "missing")}}
    with pytest.raises(DatasetError):
        train(build_config(missing), tmp_path / "run", overwrite=True)
    assert (tmp_path / "run" / "adapter.safetensors").exists()
    train(build_config(values | {"optimizer": {"max_steps": 1, "warmup_steps": 0}}), tmp_path / "run", overwrite=True)
    assert len((tmp_path / "run" / "train.csv").read_text().splitlines()) <= 2
