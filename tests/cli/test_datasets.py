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
    assert "nothing is wrong with them" in done.stdout
    (tmp_path / "masks/1.png").unlink()
    done = run("datasets", "verify", "ecssd", "--data-root", tmp_path, "--workers", 1, code=2)
    assert "problem: " in done.stdout
    assert f"{Path('images/1.png')} has no mask of the same name" in done.stdout
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

    masks = next((tmp_path / "ECSSD").glob("*mask*"))
    before = {path.name: path.read_bytes() for path in masks.iterdir()}
    refused = run("evaluate", checkpoint, *options[:-2], masks, "--workers", 1, code=2)
    assert "is a file of the benchmark; give another folder for the maps" in refused.stderr
    assert {path.name: path.read_bytes() for path in masks.iterdir()} == before


def test_research_passes_equal_a_direct_computation(run, tmp_path: Path, monkeypatch) -> None:
    """Six passes of the research configuration, written out window by window, on pictures of uneven sizes."""
    torch = pytest.importorskip("torch", reason="needs the train extra")
    pytest.importorskip("py_sod_metrics", reason="needs the metrics extra")
    from dataclasses import replace

    import torch.nn.functional as F

    from weft_geo.metrics import multiscale
    from weft_geo.metrics.saliency import score_map, summarize
    from weft_geo.models import build_model, load_checkpoint, save_checkpoint

    torch.manual_seed(0)
    torch.set_num_threads(1)
    checkpoint = save_checkpoint(build_model("weft-tiny"), tmp_path / "model.safetensors", adapter_only=False)
    rng = np.random.default_rng(0)
    truths = {}
    for name, (height, width) in {"a": (75, 100), "b": (90, 61)}.items():
        truths[name] = rng.random((height, width)) > 0.6
        for folder, values in (("images", rng.integers(0, 256, (height, width, 3))), ("masks", truths[name] * 255)):
            (tmp_path / "ECSSD" / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(values.astype(np.uint8)).save(tmp_path / "ECSSD" / folder / f"{name}.png")
    monkeypatch.setattr(
        multiscale, "RESEARCH", replace(multiscale.RESEARCH, short_sides=(64, 96), window=64, stride=53)
    )
    words = ("--dataset", "ecssd", "--data-root", tmp_path, "--maps", tmp_path / "maps", "--workers", 1)
    table = run("evaluate", checkpoint, *words).stdout
    assert "ECSSD, test, research passes" in table
    assert "2 maps; each scaled by its own minimum and maximum; 0 resized" in table

    model = load_checkpoint(checkpoint)
    mean, std = (torch.tensor(values)[:, None, None] for values in (model.contract.means, model.contract.stds))
    scores = []
    for name, truth in truths.items():
        pixels = np.asarray(Image.open(tmp_path / f"ECSSD/images/{name}.png")).transpose(2, 0, 1)
        picture, size = (torch.from_numpy(pixels.copy()).float() - mean) / std, truth.shape
        passes = []
        for side in (64, 64, 96):  # ratios 0.5, 1 and 1.5 of the short side, never below it
            H, W = (int(length * side / min(size) + 0.5) for length in size)
            for mirrored in (False, True):
                view = F.interpolate(picture[None], (H, W), mode="bilinear", align_corners=False)
                view = torch.flip(view, [3]) if mirrored else view
                total, count = torch.zeros(2, H, W), torch.zeros(H, W)
                for top in range(0, max(H - 64, 0) + 53, 53):
                    for left in range(0, max(W - 64, 0) + 53, 53):
                        y, x = min(top, H - 64), min(left, W - 64)
                        with torch.no_grad():
                            seen = model.semantic_scores(view[..., y : y + 64, x : x + 64])
                        total[:, y : y + 64, x : x + 64] += F.interpolate(seen, (64, 64), mode="bilinear")[0]
                        count[y : y + 64, x : x + 64] += 1
                back = F.interpolate((total / count)[None], size, mode="bilinear", align_corners=False)
                share = back.softmax(dim=1)[0, 1]
                passes.append(torch.flip(share, [1]) if mirrored else share)
        average = torch.stack(passes).mean(dim=0)
        direct = ((1 + torch.log(average / (1 - average))) / 2).clamp(0, 1).numpy()
        written = np.asarray(Image.open(tmp_path / f"maps/{name}.png"))
        assert np.abs(written.astype(int) - np.round(direct * 255)).max() <= 1  # grey levels
        scores.append(score_map(name, written / np.float32(255), truth))
    figures = json.loads(run("evaluate", checkpoint, *words, "--json").stdout)["figures"]
    assert figures == pytest.approx(summarize(scores), abs=1e-6)
