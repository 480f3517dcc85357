"""Where the line between two pixel centres crosses the threshold, for every pair of neighbours of different class.

A probability that falls slowly is interpolated linearly, as marching squares does. One that falls by more than a half
from one pixel to the next is sharper than the pixels are: it then tells how much of each pixel is covered, and the
outline lies where that much is covered, which for a straight edge is exact (the height function of volume-of-fluid
methods, over two cells; Hirt and Nichols 1981). Between the two the rule changes without a jump, and a mask of 0 and 1
is crossed halfway by both.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from weft_geo.vector.arrays import Bools, Floats, Ints
from weft_geo.vector.outline import ACROSS, ALONG

NEAREST = 0.499
"""Crossings stay this close to the middle between two pixel centres at most, so that no two of them coincide, also when
they are rounded (`weft_geo.vector.ground.DRAWN_SHARE`)."""

LOST_MASK, LOST_SMOOTH, LOST_COVERED = 1 / 16, 1 / 12, 1 / 6
"""Area, in square pixels, that the outline through the crossings loses at each of the two crossings beside a turn of
the pixel outline. That of a mask is half the triangle it cuts off. The others were measured on discs of 3 to 10 pixels
radius: the second where the probability falls by a half or less from pixel to pixel; from there it goes up to the last
where it falls from 1 to 0, because a covered share is a mean over the pixel, which on a curve lies inside it."""


def find_crossings(
    classes: npt.NDArray[np.uint8],
    probability: npt.NDArray[np.generic] | None,
    invalid: Bools,
    threshold: float,
    scale: float,
) -> tuple[Ints, Ints, npt.NDArray[np.uint8], Floats, Floats]:
    """Where the outline crosses between neighbouring pixels of different class.

    Args:
        classes: uint8 [rows, width]; the first row is the one above the strip and has no crossings of its own.
        probability: [K, rows, width], or None where the classes are all that is known: then halfway.
        invalid: bool [rows, width]; no crossings next to these, the outline keeps to the pixel edge.
        threshold: a probability.
        scale: what `probability` is divided by to lie in [0, 1].

    Returns:
        [n] row, [n] column, [n] `ACROSS` (an edge on the left of pixel row, column) or `ALONG` (on top of it),
        [n] offset of the crossing from the edge in pixels, rightwards or downwards, within ±0.499, and
        [n] area that the outline loses there if it turns, square pixels (`LOST_MASK`).
    """
    found = []
    for kind, step in ((ACROSS, (0, 1)), (ALONG, (1, 0))):
        dr, dc = step
        here = (slice(1, None), slice(dc, None))
        before = (slice(1 - dr, classes.shape[0] - dr), slice(0, classes.shape[1] - dc))
        differ = (classes[here] != classes[before]) & ~(invalid[here] | invalid[before])
        row, col = np.nonzero(differ)
        row, col = row + 1, col + dc
        offset, loss = np.zeros(len(row)), np.full(len(row), LOST_MASK)
        if probability is not None and len(row):
            first, second = classes[row - dr, col - dc], classes[row, col]
            lead = [
                _level(probability, first, r, c, threshold, scale) - _level(probability, second, r, c, threshold, scale)
                for r, c in ((row - dr, col - dc), (row, col))
            ]
            background = (second == 0).astype(np.int64) - (first == 0)
            offset, loss = _interpolate(lead[0], lead[1], background, threshold)
        found.append((row, col, np.full(len(row), kind, dtype=np.uint8), offset, loss))
    row, col, kinds, offset, loss = (np.concatenate(columns) for columns in zip(*found, strict=True))
    return row, col, kinds, offset, loss


def _level(
    probability: npt.NDArray[np.generic],
    of: npt.NDArray[np.uint8],
    row: Ints,
    col: Ints,
    threshold: float,
    scale: float,
) -> Floats:
    """Probability of a class at some pixels; the background stands at the threshold."""
    values = probability[np.maximum(of, 1) - 1, row, col].astype(np.float64) / scale
    return np.where(of == 0, threshold, values)


def _interpolate(before: Floats, here: Floats, background: Ints, threshold: float) -> tuple[Floats, Floats]:
    """Crossings between two pixels.

    Args:
        before: [n] what the first pixel's class is ahead of the second's by at the first pixel, at least 0.
        here: [n] the same at the second pixel, at most 0.
        background: [n] −1 if the first pixel is background, 1 if the second is, 0 if both are of a class.
        threshold: a probability.

    Returns:
        [n] offsets and [n] areas, as `find_crossings` tells them.
    """
    # Two classes that share a boundary pixel differ by twice the share of one of them.
    half = np.where(background == 0, 0.5, 1.0)
    fall = (before - here) * half
    covered = (before + here) * half + (2 * threshold - 1) * background
    with np.errstate(invalid="ignore", divide="ignore"):
        linear = np.nan_to_num((before + here) / (before - here) / 2, nan=0.0)
        offset = linear + np.where(fall > 0.5, covered * (1 - 0.5 / fall), 0.0)
    loss = LOST_SMOOTH + (LOST_COVERED - LOST_SMOOTH) * np.clip(2 * fall - 1, 0, 1)
    loss[fall > 1 - 1e-6] = LOST_MASK
    return np.clip(offset, -NEAREST, NEAREST), loss
