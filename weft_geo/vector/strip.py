"""Some whole rows of a raster, as classes and scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from weft_geo.vector.arrays import Bools, Ints


@dataclass(frozen=True)
class Strip:
    """What is known of some whole rows.

    Attributes:
        classes: uint8 [rows, width]; 0 is background.
        score: [rows, width] probabilities, or None where every object pixel counts as certain.
        scale: what `score` is divided by to lie in [0, 1]; the same in all strips of a raster.
        invalid: bool [rows, width] pixels without data, or None where all have some.
        probability: [K, rows, width] in the unit of `scale`, needed for sub-pixel outlines; None puts them halfway.
        columns: [width] the raster's column of each column here, ascending, where some are left out; those are
            background here and in the row above, and so is one column at least on either side of each gap. None: all
            are here.
    """

    classes: npt.NDArray[np.uint8]
    score: npt.NDArray[np.generic] | None = None
    scale: float = 1.0
    invalid: Bools | None = None
    probability: npt.NDArray[np.generic] | None = None
    columns: Ints | None = None

    def rows(self, some: slice) -> Strip:
        """Some of the rows."""
        return Strip(
            self.classes[some],
            None if self.score is None else self.score[some],
            self.scale,
            None if self.invalid is None else self.invalid[some],
            None if self.probability is None else self.probability[:, some],
            self.columns,
        )

    def copy(self) -> Strip:
        """The same in memory of its own."""
        return Strip(
            self.classes.copy(),
            None if self.score is None else self.score.copy(),
            self.scale,
            None if self.invalid is None else self.invalid.copy(),
            None if self.probability is None else self.probability.copy(),
            self.columns,
        )

    def on_columns(self, columns: Ints | None) -> Strip:
        """The same strip on other columns of the raster; those that are left out are background, and valid."""
        if self.columns is None or columns is None or np.array_equal(self.columns, columns):
            return self
        at = np.searchsorted(columns, self.columns)
        known = at < len(columns)
        known[known] = columns[at[known]] == self.columns[known]

        def move(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
            moved = np.zeros((*values.shape[:-1], len(columns)), values.dtype)
            moved[..., at[known]] = values[..., known]
            return moved

        parts = (self.score, self.invalid, self.probability)
        score, invalid, probability = (None if part is None else move(part) for part in parts)
        return Strip(move(self.classes), score, self.scale, invalid, probability, columns)


def join_strips(strips: Sequence[Strip]) -> Strip:
    """Strips below each other as one."""
    if len(strips) == 1:
        return strips[0]
    score = None
    if any(strip.score is not None for strip in strips):
        certain = [strip.classes.astype(bool) * strip.scale for strip in strips]
        score = np.concatenate([c if s.score is None else s.score for s, c in zip(strips, certain, strict=True)])
    probabilities = [strip.probability for strip in strips if strip.probability is not None]
    invalid = None
    if any(strip.invalid is not None for strip in strips):
        none = [np.zeros_like(strip.classes, dtype=bool) for strip in strips]
        invalid = np.concatenate([n if s.invalid is None else s.invalid for s, n in zip(strips, none, strict=True)])
    return Strip(
        np.concatenate([strip.classes for strip in strips]),
        score,
        strips[0].scale,
        invalid,
        np.concatenate(probabilities, axis=1) if probabilities else None,
    )
