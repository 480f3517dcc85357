"""The figures as their papers define them, written out plainly, to hold the toolbox against.

Maps are float [H, W] on 0…1 that were scaled already, truths bool [H, W].
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import convolve, distance_transform_edt

EPS = np.finfo(np.float64).eps


def f_at(found: np.ndarray, truth: np.ndarray, beta_squared: float = 0.3) -> float:
    """Achanta et al. 2009."""
    hits = (found & truth).sum()
    if hits == 0:
        return 0.0
    precision, recall = hits / found.sum(), hits / truth.sum()
    return (1 + beta_squared) * precision * recall / (beta_squared * precision + recall)


def thresholds(probability: np.ndarray) -> list[np.ndarray]:
    """The map cut at each of the 256 grey levels, from above."""
    grey = (probability * 255).astype(np.uint8)
    return [grey >= level for level in range(255, -1, -1)]


def adaptive(probability: np.ndarray) -> np.ndarray:
    """The map cut at twice its mean."""
    return probability >= min(2 * probability.mean(), 1)


def e_at(found: np.ndarray, truth: np.ndarray) -> float:
    """Fan et al. 2018: mean of the enhanced alignment of each pixel."""
    if not truth.any():
        alignment = (~found).astype(float)
    elif truth.all():
        alignment = found.astype(float)
    else:
        one, other = found - found.mean(), truth - truth.mean()
        alignment = (2 * one * other / (one**2 + other**2 + EPS) + 1) ** 2 / 4
    return alignment.sum() / (truth.size - 1 + EPS)


def s_measure(probability: np.ndarray, truth: np.ndarray) -> float:
    """Fan et al. 2017, α = 0.5."""
    if not truth.any():
        return 1 - probability.mean()
    if truth.all():
        return probability.mean()

    def likeness(values: np.ndarray) -> float:
        spread = values.std(ddof=1) if values.size > 1 else np.nan
        return 2 * values.mean() / (values.mean() ** 2 + 1 + spread + EPS)

    share = truth.mean()
    objects = share * likeness(probability[truth]) + (1 - share) * likeness(1 - probability[~truth])

    rows, columns = np.nonzero(truth)
    row, column = int(np.round(rows.mean())) + 1, int(np.round(columns.mean())) + 1
    regions = 0.0
    for down in (slice(0, row), slice(row, None)):
        for across in (slice(0, column), slice(column, None)):
            x, y = probability[down, across], truth[down, across].astype(float)
            if not x.size:
                continue
            dx, dy = x - x.mean(), y - y.mean()
            varx, vary, both = ((dx * dx).sum(), (dy * dy).sum(), (dx * dy).sum())
            varx, vary, both = (value / (x.size - 1) for value in (varx, vary, both))
            upper = 4 * x.mean() * y.mean() * both
            lower = (x.mean() ** 2 + y.mean() ** 2) * (varx + vary)
            regions += x.size / truth.size * (upper / (lower + EPS) if upper != 0 else float(lower == 0))
    return max(0.0, 0.5 * objects + 0.5 * regions)


def weighted_f(probability: np.ndarray, truth: np.ndarray) -> float:
    """Margolin et al. 2014, β² = 1."""
    if not truth.any():
        return 0.0
    error = np.abs(probability - truth)
    distance, (rows, columns) = distance_transform_edt(~truth, return_indices=True)
    of_nearest = np.where(truth, error, error[rows, columns])
    y, x = np.mgrid[-3:4, -3:4]
    kernel = np.exp(-(x**2 + y**2) / (2 * 5.0**2))
    smooth = convolve(of_nearest, kernel / kernel.sum(), mode="constant")
    least = np.where(truth & (smooth < error), smooth, error)
    weight = np.where(truth, 1.0, 2 - np.exp(np.log(0.5) / 5 * distance))
    weighted = least * weight
    hits = truth.sum() - weighted[truth].sum()
    recall = 1 - weighted[truth].mean()
    precision = hits / (hits + weighted[~truth].sum() + EPS)
    return 2 * recall * precision / (recall + precision + EPS)
