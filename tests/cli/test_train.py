"""`weft-geo train` and `explain`, on a small scene of one's own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

torch = pytest.importorskip("torch", reason="needs the train extra")
yaml = pytest.importorskip("yaml", reason="needs the train extra")

from weft_geo.datasets.synthetic import draw_scene, write_scene  # noqa: E402
from weft_geo.inference import load_predictor  # noqa: E402
from weft_geo.models import build_model, explain, load_checkpoint, save_checkpoint  # noqa: E402

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")

KILLED_RUN = Path(__file__).parents[1] / "trainers" / "killed_run.py"

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    write_scene(draw_scene(256, 256, 3, 0.3), folder, "EPSG:32645", False)
    return folder


def test_print_config_shows_every_field_and_reads_back(run: Run, own: Path, tmp_path: Path) -> None:
    words = ("train", "--images", own / "scene.tif", "--labels", own / "truth.gpkg", "--lr", "0.001", "--print-config")
    first = run(*words).stdout
    values = yaml.safe_load(first)
    assert values["optimizer"]["lr"] == 0.001
    assert values["data"]["images"] == [str(own / "scene.tif")]
    (tmp_path / "mine.yaml").write_text(first)
    assert run("train", "--config", "mine.yaml", "--print-config").stdout == first
    changed = run("train", "--config", "mine.yaml", "--max-steps", "7", "--ablate", "twe,see", "--print-config").stdout
    again = yaml.safe_load(changed)
    assert (again["optimizer"]["max_steps"], again["model"]["ablate"]) == (7, ["twe", "see"])


def test_a_folder_with_a_run_needs_no_data_said_again(run: Run, own: Path, tmp_path: Path) -> None:
    words = ("train", "--images", own / "scene.tif", "--labels", own / "truth.gpkg", "--print-config")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text(run(*words).stdout)
    said = run("train", "-o", "run", "--max-steps", "7", "--workers", "0", code=2).stderr
    assert "the run in run was begun with other values of optimizer.max_steps" in said
    assert "begin anew (--overwrite)" in said
    assert "must be either a benchmark or images" in run("train", "-o", "new", "--max-steps", "7", code=2).stderr


@pytest.mark.slow
def test_own_polygons_to_a_model_that_predicts_and_explains(run: Run, own: Path, tmp_path: Path) -> None:
    words = (
        "train", "--images", own / "scene.tif", "--labels", own / "truth.gpkg", "-o", "run", "--max-steps", "3",
        "--val-every", "3", "--crop", "64", "--batch-size", "2", "--workers", "0", "--device", "cpu",
        "--progress", "json",
    )  # fmt: skip
    result = run(*words)
    events = [json.loads(line) for line in result.stderr.splitlines()]
    steps = [e for e in events if e["stage"] == "train" and e["event"] == "progress"]
    assert [e["done"] for e in steps] == [1, 2, 3]
    assert all(e["message"].startswith("loss ") and e["total"] == 3 for e in steps)
    assert [e["stage"] for e in events if e["event"] == "start"] == ["check", "prepare", "train", "export"]
    assert "starts from" in next(e["message"] for e in events if e["stage"] == "prepare")
    assert "val mIoU" in result.stdout
    report = json.loads(Path("run/report.json").read_text())
    contract = load_predictor("run").contract
    assert (contract.threshold, contract.min_area_m2) == (report["threshold"], report["min_area_m2"])
    assert (contract.name, load_predictor("run").name) == ("run (weft-tiny)",) * 2
    assert report["min_area_m2"] > 0
    assert f"from a probability of {report['threshold']:g} and {report['min_area_m2']:g} m²" in result.stdout
    assert "is finished; begin anew (--overwrite)" in run(*words, code=2).stderr
    run("predict", own / "scene.tif", "-o", "objects.gpkg", "--model", "run/model.onnx", "--window", "256")

    shown = run("explain", own / "scene.tif", "-o", "inside.png", "--model", "run")
    assert shown.stdout.count("stride") == 4
    assert {p.name for p in tmp_path.iterdir()} >= {"inside.png", "inside.json", "inside_curves.png"}
    scales = json.loads((tmp_path / "inside.json").read_text())["scales"]
    assert [scale["stride"] for scale in scales] == [4, 8, 16, 32]
    for scale in scales:
        assert sum(expert["weight"] > 0 for expert in scale["experts"]) == 4
        assert sum(expert["weight"] for expert in scale["experts"]) == pytest.approx(1, abs=1e-4)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGKILL")
def test_killed_on_own_polygons_it_comes_to_the_same_weights(run: Run, own: Path, tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text("run: {log_every: 1, pictures: 0}\nloss: {num_points: 256}\n")
    words = [
        "train", "--config", "small.yaml", "--images", str(own / "scene.tif"), "--labels", str(own / "truth.gpkg"),
        "--model", "weft-tiny", "--max-steps", "8", "--val-every", "4", "--save-every", "2", "--crop", "64",
        "--batch-size", "2", "--workers", "0", "--device", "cpu", "-o",
    ]  # fmt: skip
    run(*words, "whole")
    command = [sys.executable, str(KILLED_RUN), "step:7", *words, "killed"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=300, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    assert "have changed" not in run(*words, "killed").stderr
    for name in ("train.csv", "val.csv"):
        assert (tmp_path / "killed" / name).read_text() == (tmp_path / "whole" / name).read_text()
    one, other = (load_checkpoint(tmp_path / name / "model.safetensors").state_dict() for name in ("whole", "killed"))
    assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGKILL")
def test_a_run_whose_labels_were_edited_says_so_or_is_not_gone_on_with(run: Run, own: Path, tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text("run: {log_every: 1, pictures: 0}\nloss: {num_points: 256}\n")
    labels = json.loads((own / "truth.geojson").read_text())
    (tmp_path / "labels.geojson").write_text(json.dumps(labels))
    words = [
        "train", "--config", "small.yaml", "--images", str(own / "scene.tif"), "--labels", "labels.geojson",
        "--class-field", "class", "--model", "weft-tiny", "--max-steps", "4", "--val-every", "2", "--save-every", "2",
        "--crop", "64", "--batch-size", "2", "--workers", "0", "--device", "cpu", "-o", "run",
    ]  # fmt: skip
    command = [sys.executable, str(KILLED_RUN), "step:3", *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=300, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    labels["features"][0]["properties"]["class"] = "ship"
    (tmp_path / "labels.geojson").write_text(json.dumps(labels))
    said = run(*words, code=2).stderr
    assert "the run in run was begun with the classes building, and its labels now have building, ship" in said
    del labels["features"][0]
    (tmp_path / "labels.geojson").write_text(json.dumps(labels))
    assert "images or labels have changed since the run began; it goes on" in run(*words).stderr


def test_wrong_use_gets_one_line(run: Run, own: Path, tmp_path: Path) -> None:
    scene, labels = own / "scene.tif", own / "truth.gpkg"
    assert "give --dataset NAME --data-root DIR, or --images" in run("train", "-o", "run", "--lr", "1", code=2).stderr
    assert "give --labels" in run("train", "--images", scene, "-o", "run", code=2).stderr
    kept = run("train", "--images", scene, "--labels", labels, "-o", "t", "--table", "experts", "--no-resume", code=2)
    assert "--overwrite begins it anew" in kept.stderr
    assert "give -o runs/NAME" in run("train", "--images", scene, "--labels", labels, code=2).stderr
    assert "known: " in run("train", "--dataset", "imagenet", "--data-root", ".", "-o", "run", code=2).stderr
    missing = run("train", "--images", "none.tif", "--labels", labels, "-o", "run", code=2)
    assert "none.tif" in missing.stderr
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").write_text("…")
    kept = run("train", "--images", scene, "--labels", labels, "-o", "thesis", "--overwrite", code=2)
    assert "holds no run, so it is not removed" in kept.stderr
    assert (tmp_path / "thesis" / "thesis.tex").exists()


def test_explain_sees_what_predict_sees(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_scene(draw_scene(192, 288, 3, 0.1), tmp_path, "EPSG:32645", False)
    shapes, look = [], explain.explain

    def seen(model: Any, image: Any) -> Any:
        shapes.append(image.shape)
        return look(model, image)

    monkeypatch.setattr(explain, "explain", seen)
    for name in ("embedded", "weft-tiny"):
        said = run("explain", "scene.tif", "-o", f"{name}.png", "--model", name).stderr
        assert "scene.tif is reduced to 0.3 m a pixel" in said
    assert shapes == [(1, 3, 64, 96)] * 2


def test_explain_on_a_full_disk_keeps_the_picture_that_was_there(run: Run, own: Path, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="Windows has no such limit")
    (tmp_path / "inside.png").write_bytes(b"what was there")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, limits[1]))
    try:
        run("explain", own / "scene.tif", "-o", "inside.png", "--overwrite", code=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"inside.png": b"what was there"}


def test_explain_refuses_what_has_no_experts(run: Run, own: Path, tmp_path: Path) -> None:
    small = {
        "embed_dim": 32, "depth": 4, "num_heads": 2, "stage_ends": (1, 2, 3, 4), "decoder_dim": 32, "num_queries": 6,
        "decoder_layers": 1, "pixel_layers": 1,
    }  # fmt: skip
    save_checkpoint(build_model("weft-tiny", **small, strategy="full"), tmp_path / "full.safetensors")
    words = ("explain", own / "scene.tif", "-o", "x.png", "--model")
    assert "has no wavelet experts" in run(*words, "full.safetensors", code=2).stderr
    (tmp_path / "run").mkdir()
    assert "holds no model.safetensors" in run(*words, "run", code=2).stderr
    assert "is not a file" in run(*words, "none.safetensors", code=2).stderr
    (tmp_path / "model.onnx").touch()
    assert "model.onnx is an ONNX model; give the checkpoint" in run(*words, "model.onnx", code=2).stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "there must be either a benchmark or images"),
        (("--images", "gone.tif"), "give --labels"),
        (("--images", "gone.tif", "--labels", "gone.gpkg", "-o", "run"), "gone.tif does not exist"),
        (("--images", "{own}/scene.tif", "--labels", "gone.gpkg", "-o", "run"), "gone.gpkg does not exist"),
        (("--dataset", "eorssd", "--data-root", "gone", "-o", "run"), "gone is not a folder"),
        (("--dataset", "eors", "--data-root", "gone", "-o", "run"), "unknown data set 'eors'"),
    ],
)
def test_what_is_missing_is_told_before_torch_loads(
    own: Path, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    code = "import sys; from weft_geo_cli.main import main\ntry: main()\nfinally: assert 'torch' not in sys.modules"
    command = [sys.executable, "-c", code, "train", *(word.format(own=own) for word in words)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
