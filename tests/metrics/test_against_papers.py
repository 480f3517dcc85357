"""Our figures against plain implementations of the papers, on maps that break toolboxes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("py_sod_metrics", reason="needs the metrics extra")

from weft_geo.metrics.folders import score_folders
from weft_geo.metrics.saliency import score_map, summarize

from . import papers

RNG = np.random.default_rng(11)
H, W = 37, 52


def square(rows: slice, columns: slice) -> np.ndarray:
    truth = np.zeros((H, W), bool)
    truth[rows, columns] = True
    return truth


TRUTHS = {
    "an object": square(slice(8, 25), slice(10, 33)),
    "nothing": np.zeros((H, W), bool),
    "all of it": np.ones((H, W), bool),
    "one corner": square(slice(H - 6, H), slice(W - 9, W)),
    "two objects": square(slice(2, 9), slice(3, 11)) | square(slice(20, 33), slice(30, 50)),
    "a line": square(slice(18, 20), slice(0, W)),
    "noise": RNG.random((H, W)) > 0.7,
}
MAPS = {
    "black": np.zeros((H, W), np.uint8),
    "white": np.full((H, W), 255, np.uint8),
    "grey": np.full((H, W), 93, np.uint8),
    "noise": RNG.integers(0, 256, (H, W), dtype=np.uint8),
    "dark noise": RNG.integers(0, 9, (H, W), dtype=np.uint8),
    "bright noise": RNG.integers(201, 256, (H, W), dtype=np.uint8),
    "a ramp": np.broadcast_to(np.linspace(0, 255, W).astype(np.uint8), (H, W)),
    "two levels": np.where(TRUTHS["an object"], 130, 120).astype(np.uint8),
    "one pixel": np.where(np.arange(H * W).reshape(H, W) == 700, 255, 0).astype(np.uint8),
    "inverted": np.where(TRUTHS["two objects"], 0, 255).astype(np.uint8),
}


def by_the_papers(probability: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    cuts, at_twice = papers.thresholds(probability), papers.adaptive(probability)
    f, e = ([measure(cut, truth) for cut in cuts] for measure in (papers.f_at, papers.e_at))
    return {
        "mae": np.abs(probability - truth).mean(),
        "adaptive_f": papers.f_at(at_twice, truth),
        "mean_f": np.mean(f),
        "max_f": np.max(f),
        "adaptive_e": papers.e_at(at_twice, truth),
        "mean_e": np.mean(e),
        "max_e": np.max(e),
        "s_measure": papers.s_measure(probability, truth),
        "weighted_f": papers.weighted_f(probability, truth),
    }


def scale(grey: np.ndarray, normalize: str) -> np.ndarray:
    values = grey / 255
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if normalize == "minmax" and high > low else values


@pytest.mark.parametrize("normalize", ["minmax", "none"])
@pytest.mark.parametrize("map_name", MAPS)
@pytest.mark.parametrize("truth_name", TRUTHS)
def test_every_map_against_every_truth(truth_name: str, map_name: str, normalize: str) -> None:
    truth, grey = TRUTHS[truth_name], MAPS[map_name]
    ours = summarize([score_map("x", grey / 255, truth, normalize)])
    expected = by_the_papers(scale(grey, normalize), truth)
    assert {name: ours[name] for name in expected} == pytest.approx(expected, abs=1e-6)


def test_a_set_is_the_mean_of_its_curves() -> None:
    pairs = [(MAPS[m] / 255, TRUTHS[t]) for m, t in zip(MAPS, [*TRUTHS, "noise", "a line", "an object"], strict=True)]
    ours = summarize([score_map("x", probability, truth, "none") for probability, truth in pairs])
    for name, measure in (("f", papers.f_at), ("e", papers.e_at)):
        curves = [[measure(cut, truth) for cut in papers.thresholds(probability)] for probability, truth in pairs]
        curve = np.mean(curves, axis=0)
        assert ours[f"max_{name}"] == pytest.approx(curve.max(), abs=1e-6)
        assert ours[f"mean_{name}"] == pytest.approx(curve.mean(), abs=1e-6)


def test_files_of_other_kinds(tmp_path: Path) -> None:
    """16-bit maps, maps of another size, and masks of 1 and 254 instead of 0 and 255."""
    cv2 = pytest.importorskip("cv2")
    truth, grey = TRUTHS["an object"], MAPS["noise"]
    for folder in ("maps", "masks"):
        (tmp_path / folder).mkdir()
    small = RNG.integers(0, 256, (20, 30), dtype=np.uint8)
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "maps/deep.png")
    Image.fromarray(np.where(truth, 254, 1).astype(np.uint8)).save(tmp_path / "masks/deep.png")
    Image.fromarray(small).save(tmp_path / "maps/small.png")
    Image.fromarray(truth.astype(np.uint8)).save(tmp_path / "masks/small.png")
    result, _ = score_folders(tmp_path / "maps", tmp_path / "masks", "none", workers=1)
    large = cv2.resize((small / 255).astype(np.float32), (W, H), interpolation=cv2.INTER_LINEAR)
    expected = [by_the_papers(values.astype(float), truth) for values in (grey / np.float32(255), large)]
    assert result.resized == 1
    for name in ("mae", "s_measure", "weighted_f", "adaptive_f"):
        assert result.figures[name] == pytest.approx(np.mean([figures[name] for figures in expected]), abs=1e-6)
