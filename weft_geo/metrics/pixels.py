"""Pixels of a predicted mask against polygons of what is there. Runs without torch and without the metrics extra."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from weft_geo.datasets.labels import IGNORE
from weft_geo.datasets.scenes import burn_shapes

STRIP_PIXELS = 1 << 24


@dataclass(frozen=True)
class PixelScores:
    """One class, over all pixels of which something is known.

    Attributes:
        iou: pixels that are of the class in both, over those that are in either (1 where there are none).
        precision: over those predicted (1 where there is nothing to find and nothing was found).
        recall: over the true ones (same rule).
        f1: harmonic mean of both.
        found: pixels predicted.
        true: true pixels.
    """

    iou: float
    precision: float
    recall: float
    f1: float
    found: int
    true: int


def count_pixels(
    mask: str | Path, shapes: Sequence[BaseGeometry], numbers: NDArray[np.uint8], classes: int
) -> NDArray[np.int64]:
    """Compare a mask with polygons that are burnt as for training: see `burn_shapes`.

    Args:
        mask: uint8 raster: 0 background, 1…K the class, 255 where nothing is known.
        shapes: polygons [N] in the CRS of the mask.
        numbers: class of each [N].
        classes: K.

    Returns:
        [K + 1, K + 1] number of pixels, true class down and predicted class across.
    """
    tree = shapely.STRtree(shapes)
    table = np.zeros((classes + 1) ** 2, np.int64)
    with rasterio.open(mask) as raster:
        rows = max(STRIP_PIXELS // raster.width, 1)
        for top in range(0, raster.height, rows):
            height = min(rows, raster.height - top)
            predicted = raster.read(1, window=((top, top + height), (0, raster.width)))
            # A row more on either side, for the pixels where two objects touch.
            corner = raster.transform @ Affine.translation(0, top - 1)
            ground = shapely.Polygon([corner @ (x, y) for x, y in _corners(raster.width, height + 2)])
            near = np.sort(tree.query(ground))
            some = [shapes[k] for k in near]
            true = burn_shapes(some, numbers[near], height + 2, raster.width, corner)[1:-1]
            known = predicted != IGNORE
            pair = true[known].astype(np.int64) * (classes + 1) + predicted[known]
            table += np.bincount(pair, minlength=len(table))
    return table.reshape(classes + 1, classes + 1)


def score_pixels(table: NDArray[np.int64], classes: Sequence[str]) -> dict[str, PixelScores]:
    """The scores of each class from what `count_pixels` counted, also the sum of several."""
    return {name: _score(table, number) for number, name in enumerate(classes, start=1)}


def _score(table: NDArray[np.int64], number: int) -> PixelScores:
    hit, found, true = int(table[number, number]), int(table[:, number].sum()), int(table[number].sum())
    if not found and not true:
        return PixelScores(1.0, 1.0, 1.0, 1.0, 0, 0)
    either = found + true
    return PixelScores(
        iou=hit / (either - hit),
        precision=hit / found if found else 0.0,
        recall=hit / true if true else 0.0,
        f1=2 * hit / either,
        found=found,
        true=true,
    )


def _corners(width: int, height: int) -> list[tuple[int, int]]:
    return [(0, 0), (width, 0), (width, height), (0, height)]
