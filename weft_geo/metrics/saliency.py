"""The field's figures for one probability map against its mask, and for a whole set.

S, E, F, weighted F and MAE are those of PySODMetrics (py_sod_metrics), the reference of the field, called on one map
at a time; only the pixel counts are ours. What the names mean:

- mIoU, mDice: mean over background and object, of the pixels of all maps together, at probability > 0.5. This is
  mmsegmentation's mIoU, which the research code reports.
- IoU, Dice: of the object alone, likewise.
- F: β² = 0.3. Adaptive: each map at twice its mean, then the mean over maps. Mean and max: over the 256 thresholds of
  the mean curve. Image IoU and image Dice: the same, as the toolboxes for camouflage and polyps have it.
- E: enhanced alignment; S: structure; wF: weighted F (β² = 1).

Maps are scaled to 0…1 by their own minimum and maximum before S, E, F, wF, MAE and the curves ("minmax", what
PySODMetrics does by itself) or are left as they are ("none"). The pixel counts take maps as they are in either case.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from weft_geo.errors import InputError, MissingExtraError
from weft_geo.metrics import SOD_INSTEAD

try:
    import py_sod_metrics as sod
except ImportError as error:
    raise MissingExtraError("scoring maps", "metrics", SOD_INSTEAD) from error

Normalization = Literal["minmax", "none"]
BETA_SQUARED = 0.3


@dataclass(frozen=True)
class MapScores:
    """One map.

    Attributes:
        name: of the map.
        confusion: pixels at probability > 0.5: true and predicted background, falsely object, falsely background, true
            and predicted object.
        values: single figures by name.
        curves: figures [256] by name, at thresholds 255/255 down to 0.
    """

    name: str
    confusion: tuple[int, int, int, int]
    values: dict[str, float]
    curves: dict[str, NDArray[np.float64]] = field(repr=False)

    @property
    def iou(self) -> float:
        """Of the object, in this map alone; 1 where there is none and none is predicted."""
        _, extra, missed, hit = self.confusion
        return hit / (hit + extra + missed) if hit + extra + missed else 1.0


def score_map(
    name: str,
    probability: NDArray[np.float64],
    truth: NDArray[np.bool_],
    normalize: Normalization = "minmax",
    known: NDArray[np.bool_] | None = None,
) -> MapScores:
    """Score one map.

    Args:
        name: for the report.
        probability: [H, W] on 0…1.
        truth: [H, W], True where the object is.
        normalize: "minmax" or "none", see above.
        known: [H, W], False where the truth is not known: those pixels count as background rightly predicted in the
            figures, and not at all in the pixel counts. None if all are known.
    """
    if probability.shape != truth.shape:
        raise InputError(f"{name}: the map is {probability.shape} but its truth is {truth.shape} (height, width)")
    positive = probability > 0.5
    if known is None:
        known = np.ones(truth.shape, bool)
    counts = np.bincount((2 * truth + positive)[known], minlength=4)
    probability = np.where(known, probability, 0.0)
    truth = truth & known
    if normalize == "minmax" and probability.max() > probability.min():
        probability = (probability - probability.min()) / (probability.max() - probability.min())

    overlap = sod.FmeasureV2(
        {
            "f": sod.FmeasureHandler(with_dynamic=True, with_adaptive=True, beta=BETA_SQUARED),
            "image_iou": sod.IOUHandler(with_dynamic=True, with_adaptive=True),
            "image_dice": sod.DICEHandler(with_dynamic=True, with_adaptive=True),
        }
    )
    alignment, structure, weighted, error = sod.Emeasure(), _Smeasure(), sod.WeightedFmeasure(), sod.MAE()
    for metric in (overlap, alignment, structure, weighted, error):
        metric.step(probability, truth, normalize=False)
    results = overlap.get_results()
    enhanced = alignment.get_results()["em"]
    curves = {name: np.asarray(value["dynamic"]) for name, value in results.items()}
    values = {f"adaptive_{name}": float(value["adaptive"]) for name, value in results.items()}
    return MapScores(
        name,
        (int(counts[0]), int(counts[1]), int(counts[2]), int(counts[3])),
        values
        | {
            "adaptive_e": float(enhanced["adp"]),
            "s_measure": float(structure.get_results()["sm"]),
            "weighted_f": float(weighted.get_results()["wfm"]),
            "mae": float(error.get_results()["mae"]),
        },
        curves | {"e": np.asarray(enhanced["curve"])},
    )


def summarize(scores: Sequence[MapScores]) -> dict[str, float]:
    """The figures of a set, by name.

    Raises:
        InputError: there are no maps.
    """
    if not scores:
        raise InputError("there are no maps to score")
    background, extra, missed, hit = (sum(s.confusion[i] for s in scores) for i in range(4))
    ious = _ratio(background, background + extra + missed), _ratio(hit, hit + extra + missed)
    dices = tuple(2 * iou / (1 + iou) for iou in ious)
    figures = {"miou": float(np.mean(ious)), "mdice": float(np.mean(dices)), "iou": ious[1], "dice": dices[1]}
    for name in ("f", "e", "image_iou", "image_dice"):
        curve = np.mean([s.curves[name] for s in scores], axis=0)
        figures[f"adaptive_{name}"] = float(np.mean([s.values[f"adaptive_{name}"] for s in scores]))
        figures[f"mean_{name}"] = float(curve.mean())
        figures[f"max_{name}"] = float(curve.max())
    for name in ("weighted_f", "s_measure", "mae"):
        figures[name] = float(np.mean([s.values[name] for s in scores]))
    return figures


class _Smeasure(sod.Smeasure):  # type: ignore[misc]  # not type-checked here
    """Differs from PySODMetrics: a quarter without pixels counts nothing, where it would make the sum not a number.

    That happens where the centre of the object lies in the last row or column.
    """

    def ssim(self, pred: NDArray[np.float64], gt: NDArray[np.bool_]) -> float:
        return float(super().ssim(pred, gt)) if pred.size else 0.0


def _ratio(part: int, whole: int) -> float:
    """1 where there is nothing to find and nothing was found."""
    return part / whole if whole else 1.0
