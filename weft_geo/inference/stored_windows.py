"""Windows as the scene stores them, for models that normalise them and round their answers where they run.

A model in this process is given float32 and answers float32. One on a GPU or on another machine is given what the file
holds, a quarter of the bytes for uint8, and answers the levels that are blended, half of them. The numbers are the same
to the bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weft_geo.geo.normalize import Normalizer
from weft_geo.inference.blending import to_levels
from weft_geo.inference.symmetries import MODES, Symmetries


@dataclass(frozen=True)
class StoredWindows:
    """A batch of windows before it is normalised.

    Attributes:
        values: ``[n, C, h, w]`` as stored.
        valid: ``[n, h, w]``; other pixels become the mean. None if all are.
        normalizer: Turns them into the model's numbers.
        symmetries: The model's answer is the mean over these.
    """

    values: NDArray[Any]
    valid: NDArray[np.bool_] | None
    normalizer: Normalizer
    symmetries: Symmetries = MODES["none"]

    def normalized(self) -> NDArray[np.float32]:
        """What a ``Predictor`` is called with: float32 ``[n, C, h, w]``."""
        images = np.empty(self.values.shape, np.float32)
        for number, (values, image) in enumerate(zip(self.values, images, strict=True)):
            self.normalizer(values, None if self.valid is None else self.valid[number], image)
        return images


@dataclass(frozen=True)
class Levels:
    """What a model says of a batch of windows.

    Attributes:
        levels: uint16 ``[n, K, h, w]``: probabilities in units of 1 / ``LEVELS``.
        least: float32 ``[n]``: the smallest number that it answered, before it was clipped to [0, 1]; or NaN.
        most: The same of the largest.
    """

    levels: NDArray[np.uint16]
    least: NDArray[np.float32]
    most: NDArray[np.float32]

    @classmethod
    def of(cls, probabilities: NDArray[np.float32]) -> Levels:
        """Of what a ``Predictor`` answered, ``[n, K, h, w]``."""
        return cls(to_levels(probabilities), *extremes(probabilities))


def extremes(probabilities: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The smallest and the largest number that was answered for each window, ``[n]``, or NaN."""
    if not probabilities.size:  # no batch, but an answer of the wrong shape
        return np.zeros(len(probabilities), np.float32), np.zeros(len(probabilities), np.float32)
    inside = tuple(range(1, probabilities.ndim))
    return probabilities.min(axis=inside), probabilities.max(axis=inside)
