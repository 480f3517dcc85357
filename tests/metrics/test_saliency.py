"""Our figures against PySODMetrics' own recording of the same maps."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sod = pytest.importorskip("py_sod_metrics", reason="needs the metrics extra")

from weft_geo.errors import DatasetError, InputError  # noqa: E402
from weft_geo.metrics.folders import resize_map, score_folders  # noqa: E402
from weft_geo.metrics.gallery import choose_examples, write_example  # noqa: E402
from weft_geo.metrics.saliency import score_map, summarize  # noqa: E402


def maps() -> list[tuple[np.ndarray, np.ndarray]]:
    """uint8 maps and masks: soft, empty, full, constant, without an object, all object."""
    rng = np.random.default_rng(3)
    made = []
    for _ in range(5):
        mask = np.zeros((60, 80), np.uint8)
        r, c = rng.integers(0, 30, 2)
        mask[r : r + 25, c : c + 40] = 255
        made.append(
            (np.clip(mask * rng.uniform(0.3, 1) + rng.normal(0, 60, mask.shape), 0, 255).astype(np.uint8), mask)
        )
    noise = rng.integers(0, 256, (60, 80), dtype=np.uint8)
    blank = np.zeros_like(noise)
    return [*made, (blank, made[0][1]), (blank + 90, made[1][1]), (noise, blank), (noise, blank + 255), (blank, blank)]


def test_agrees_with_pysodmetrics() -> None:
    handlers = {"f": sod.FmeasureHandler(beta=0.3, with_dynamic=True, with_adaptive=True)}
    handlers |= {"i": sod.IOUHandler(with_dynamic=True, with_adaptive=True)}
    handlers |= {"d": sod.DICEHandler(with_dynamic=True, with_adaptive=True)}
    v2, e, s, w, m = sod.FmeasureV2(handlers), sod.Emeasure(), sod.Smeasure(), sod.WeightedFmeasure(), sod.MAE()
    with warnings.catch_warnings(action="ignore"):
        v1 = sod.Fmeasure()
    scores = []
    for number, (prediction, mask) in enumerate(maps()):
        for metric in (v1, v2, e, s, w, m):
            metric.step(prediction, mask)
        scores.append(score_map(str(number), prediction / 255, mask > 128))
    ours = summarize(scores)
    f, em, more = v1.get_results()["fm"], e.get_results()["em"], v2.get_results()
    expected = {
        "adaptive_f": f["adp"],
        "mean_f": f["curve"].mean(),
        "max_f": f["curve"].max(),
        "adaptive_e": em["adp"],
        "mean_e": em["curve"].mean(),
        "max_e": em["curve"].max(),
        "s_measure": s.get_results()["sm"],
        "weighted_f": w.get_results()["wfm"],
        "mae": m.get_results()["mae"],
        "mean_image_iou": more["i"]["dynamic"].mean(),
        "max_image_dice": more["d"]["dynamic"].max(),
        "adaptive_image_iou": more["i"]["adaptive"],
    }
    assert {name: ours[name] for name in expected} == pytest.approx(expected, abs=1e-6)


def test_pixel_counts_are_those_of_all_maps_together() -> None:
    one = score_map("a", np.array([[0.9, 0.9, 0.1, 0.1]]), np.array([[True, False, True, False]]), "none")
    two = score_map("b", np.array([[0.9, 0.9, 0.5, 0.1]]), np.array([[True, True, False, False]]), "none")
    figures = summarize([one, two])
    assert figures["iou"] == pytest.approx(3 / 5)  # 0.5 itself is background, as argmax has it
    assert figures["miou"] == pytest.approx((3 / 5 + 3 / 5) / 2)
    assert figures["dice"] == pytest.approx(6 / 8)
    assert one.iou == pytest.approx(1 / 3)


def test_unknown_pixels_are_not_counted() -> None:
    truth, known = np.array([[True, False, False]]), np.array([[True, True, False]])
    score = score_map("a", np.array([[1.0, 0.0, 1.0]]), truth, known=known)
    assert score.confusion == (1, 0, 0, 1)
    assert score.values["mae"] == 0


def test_wrong_shapes_and_nothing() -> None:
    with pytest.raises(InputError, match=r"x: the map is \(2, 3\) but its truth is \(3, 2\)"):
        score_map("x", np.zeros((2, 3)), np.zeros((3, 2), bool))
    with pytest.raises(InputError, match="no maps"):
        summarize([])


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    predictions, truth = tmp_path / "maps", tmp_path / "masks"
    predictions.mkdir()
    truth.mkdir()
    for number, (prediction, mask) in enumerate(maps()[:6]):
        Image.fromarray(prediction).save(predictions / f"{number}.png")
        Image.fromarray(mask).save(truth / f"{number}.bmp")
    return predictions, truth


def test_folders(folders: tuple[Path, Path]) -> None:
    predictions = folders[0]
    small = Image.open(predictions / "0.png").resize((40, 30))
    small.save(predictions / "0.png")
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(predictions / "extra.png")
    heard: list[tuple[str, int]] = []
    result, pairs = score_folders(
        *folders, workers=1, progress=lambda event, _, done, *rest: heard.append((event, done))
    )
    expected = [score_map(p.name, *read(p.image, p.mask)) for p in pairs]
    assert result.figures == pytest.approx(summarize(expected), abs=1e-12)
    assert (result.resized, result.unmatched) == (1, 1)
    assert heard[0] == ("start", 0)
    assert heard[-1] == ("done", 6)


def read(image: Path, mask: Path) -> tuple[np.ndarray, np.ndarray]:
    truth = np.asarray(Image.open(mask)) > 128
    return resize_map(np.asarray(Image.open(image)) / np.float32(255), *truth.shape), truth


def test_a_missing_map_is_named(folders: tuple[Path, Path]) -> None:
    (folders[0] / "3.png").unlink()
    with pytest.raises(DatasetError, match=r"has no map for .*3\.bmp; a figure of the rest alone would mislead"):
        score_folders(*folders, workers=1)
    with pytest.raises(DatasetError, match="none is not a folder"):
        score_folders(folders[0] / "none", folders[1])


def test_masks_of_zero_and_one_as_maps(folders: tuple[Path, Path]) -> None:
    for number, (_, mask) in enumerate(maps()[:6]):
        Image.fromarray(mask // 255).save(folders[0] / f"{number}.png")
    result, _ = score_folders(*folders, normalize="none", workers=1)
    assert result.figures["miou"] == 1
    assert result.figures["mae"] == 0


def test_examples(tmp_path: Path) -> None:
    scores = [score_map(str(i), p / 255, m > 128) for i, (p, m) in enumerate(maps())]
    chosen = choose_examples(scores, 3)
    assert [name for name, _ in chosen] == ["worst_01", "worst_02", "worst_03", "best_01", "best_02", "best_03"]
    assert len({position for _, position in chosen}) == 6
    assert scores[chosen[0][1]].iou == min(score.iou for score in scores)
    write_example(tmp_path / "x.png", np.array([[0.9, 0.1, 0.9]]), np.array([[1, 1, 0]], np.uint8))
    picture = np.asarray(Image.open(tmp_path / "x.png"))
    assert picture[0, -3:].tolist() == [[255, 255, 255], [40, 110, 255], [220, 40, 40]]
