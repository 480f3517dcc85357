"""`weft-geo datasets` and `evaluate` on folders and benchmarks, as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("PIL", reason="needs the metrics extra")
np = pytest.importorskip("numpy")
from PIL import Image  # noqa: E402


def draw(root: Path, number: int) -> Path:
    for i in range(number):
        mask = np.zeros((48, 64), np.uint8)
        mask[5 : 20 + i, 8:40] = 255
        for folder, values in (("images", np.stack([mask] * 3, axis=2) // 2 + 40), ("masks", mask)):
            (root / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(values).save(root / folder / f"{i}.png")
    return root


def test_datasets_are_listed(run) -> None:
    done = run("datasets")
    assert "orsis4199     2000 train, 2199 test" in done.stdout
    assert len(json.loads(run("datasets", "--json").stdout)) == 17


def test_one_is_shown(run) -> None:
    shown = run("datasets", "show", "cod10k").stdout
    assert "pictures: 3040 train, 2026 test" in shown
    assert "licence: non-commercial purposes only" in shown
    assert "GT_Object" in shown
    assert json.loads(run("datasets", "show", "orssd", "--json").stdout)["title"] == "ORSSD"
    assert "known: " in run("datasets", "show", "cod", code=2).stderr


def test_verify(run, tmp_path: Path) -> None:
    draw(tmp_path, 3)
    done = run("datasets", "verify", "ecssd", "--data-root", tmp_path, "--workers", 1)
    assert "test: 3 pairs" in done.stdout
    (tmp_path / "masks/1.png").unlink()
    done = run("datasets", "verify", "ecssd", "--data-root", tmp_path, "--workers", 1, code=2)
    assert "problem: " in done.stdout
    assert "images/1.png has no mask of the same name" in done.stdout
    run("datasets", "verify", "ecs", "--data-root", tmp_path, code=2)


def test_predictions(run, tmp_path: Path) -> None:
    pytest.importorskip("py_sod_metrics", reason="needs the metrics extra")
    masks = draw(tmp_path, 4) / "masks"
    pictures = tmp_path / "pictures"
    done = run("evaluate", "--predictions", masks, "--truth", masks, "--pictures", pictures, "--workers", 1)
    assert "mIoU        1.0000" in done.stdout
    assert "scaled by its own minimum and maximum" in done.stdout
    assert len(list(pictures.glob("worst_*"))) == 2
    facts = json.loads(run("evaluate", "--predictions", masks, "--truth", masks, "--workers", 1, "--json").stdout)
    assert facts["figures"]["mae"] == 0
    assert facts["protocol"]["normalize"] == "minmax"
    run("evaluate", "--predictions", masks, code=2)
    run("evaluate", code=2)


def test_a_checkpoint_on_a_benchmark(run, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="needs the train extra")
    pytest.importorskip("py_sod_metrics", reason="needs the metrics extra")
    from weft_geo.models import build_model, save_checkpoint

    torch.manual_seed(0)
    checkpoint = save_checkpoint(build_model("weft-tiny"), tmp_path / "model.safetensors", adapter_only=False)
    draw(tmp_path / "ECSSD", 2)
    options = (
        "--dataset",
        "ecssd",
        "--data-root",
        tmp_path,
        "--passes",
        "single",
        "--maps",
        tmp_path / "maps",
        "--json",
    )
    done = run("evaluate", checkpoint, *options, "--workers", 1)
    assert json.loads(done.stdout)["maps"] == 2
    assert len(list((tmp_path / "maps").glob("*.png"))) == 2
    run("evaluate", checkpoint, "--dataset", "ecssd", code=2)
