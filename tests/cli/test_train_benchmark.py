"""A benchmark in its authors' layout to a checkpoint and its figures, with kills on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

torch = pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("py_sod_metrics", reason="needs the metrics extra")

from PIL import Image  # noqa: E402

from weft_geo.datasets.synthetic import draw_scene  # noqa: E402
from weft_geo.models import load_checkpoint  # noqa: E402

torch.set_num_threads(1)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning"),
]
KILLED_RUN = Path(__file__).parents[1] / "trainers" / "killed_run.py"

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def orsis(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 drawn scenes in the layout of ORSIs-4199 as its authors have it."""
    root = tmp_path_factory.mktemp("data") / "ORSI-4199"
    for number in range(24):
        scene = draw_scene(96, 128, number, 0.5)
        split = "trainset" if number < 16 else "testset"
        files = {f"images/{number:04}.jpg": scene.image.transpose(1, 2, 0), f"gt/{number:04}.png": scene.mask() * 255}
        for name, values in files.items():
            path = root / split / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(values).save(path)
    return root


@pytest.fixture(scope="module")
def words(orsis: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command, at a size for tests."""
    small = tmp_path_factory.mktemp("config") / "small.yaml"
    small.write_text("run: {log_every: 1, pictures: 1}\nloss: {num_points: 256}\n")
    return [
        "train", "--config", str(small), "--dataset", "orsis4199", "--data-root", str(orsis), "--max-steps", "20",
        "--model", "weft-tiny", "--crop", "64", "--batch-size", "2", "--device", "cpu", "--val-every", "8",
        "--save-every", "3", "--limit", "8",
    ]  # fmt: skip


def read_curves(folder: Path) -> str:
    return (folder / "train.csv").read_text() + (folder / "val.csv").read_text()


def test_killed_again_and_again_it_comes_to_the_same_weights_and_is_scored(
    run: Run, words: list[str], orsis: Path, tmp_path: Path
) -> None:
    run(*words, "--workers", "0", "-o", "whole")
    rows = (tmp_path / "whole/train.csv").read_text().splitlines()[1:]
    assert [row.split(",")[0] for row in rows] == [str(step) for step in range(1, 21)]

    for moment, workers in (("settings", 0), ("checkpoint:6", 0), ("best:8", 2), ("report", 0)):
        command = [sys.executable, str(KILLED_RUN), moment, *words, "--workers", str(workers), "-o", "killed"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=300, check=False)
        assert done.returncode == -signal.SIGKILL, (moment, done.stderr[-2000:])
    run(*words, "--workers", "0", "-o", "killed")
    assert read_curves(tmp_path / "killed") == read_curves(tmp_path / "whole")
    one, other = (load_checkpoint(tmp_path / name / "model.safetensors").state_dict() for name in ("whole", "killed"))
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert not list((tmp_path / "killed").glob("*.part"))

    where = ("--dataset", "orsis4199", "--data-root", orsis)
    table = run("evaluate", "killed/model.safetensors", *where, "--passes", "single", "--workers", "1").stdout
    assert "killed/model.safetensors on ORSIs-4199, test" in table
    for label in ("mIoU", "mDice", "S ", "E adaptive", "F adaptive", "F mean", "F max", "F weighted", "MAE"):
        assert f"\n{label}" in table


@pytest.mark.parametrize(("asked", "workers"), [(signal.SIGINT, 2), (signal.SIGTERM, 0)])
def test_a_request_to_stop_saves_and_exits_with_130(
    words: list[str], tmp_path: Path, asked: signal.Signals, workers: int
) -> None:
    """The whole group of processes hears it, the readers too, as with Ctrl-C on a terminal."""
    command = [
        sys.executable, str(KILLED_RUN), "none", *words, "--workers", str(workers), "--save-every", "100",
        "--progress", "json", "-o", "run",
    ]  # fmt: skip
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stderr is not None
    line = {"done": 0}
    for text in process.stderr:
        line = json.loads(text)
        if line.get("stage") == "train" and line["done"] >= 3:
            break
    os.killpg(process.pid, asked)
    said = process.stderr.read().splitlines()
    assert process.wait(timeout=60) == 130
    assert "last.ckpt holds step" in json.loads(said[-1])["message"]
    assert "run the same command to go on" in json.loads(said[-1])["message"]
    kept = torch.load(tmp_path / "run/last.ckpt", weights_only=False)["global_step"]
    assert kept >= 3
    limit = time.monotonic() + 30
    while is_alive(process.pid):
        assert time.monotonic() < limit, "a reader outlived its run"
        time.sleep(0.1)


def is_alive(group: int) -> bool:
    """Whether any process of a group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
