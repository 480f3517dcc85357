"""Test-time augmentation: the mean of what a model says of a window and of the window turned and mirrored.

Seen from above there is no preferred direction, so all eight symmetries of the square (the dihedral group D4) are as
good as each other; a model that has not learnt this fully gains a little from the mean, at four or eight times the
cost.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from weft_geo.errors import InputError
from weft_geo.inference.backends import Predictor, answer_here, takes_stored
from weft_geo.inference.stored_windows import Levels, StoredWindows
from weft_geo.inference.symmetries import MODES, mean_over


class Augmented:
    """A model that averages over symmetries of the square, where it runs if it takes windows as they are stored.

    Args:
        predictor: The model.
        mode: ``flips`` (rows, columns, both) or ``d4`` (these, and turned by 90°).
    """

    def __init__(self, predictor: Predictor, mode: str) -> None:
        self.contract = predictor.contract
        self.name = predictor.name
        self.sha256 = predictor.sha256 and f"{predictor.sha256}+{mode}"
        self.device = predictor.device
        self.fixed_size = predictor.fixed_size
        self.concurrency = predictor.concurrency
        self.takes_stored = takes_stored(predictor)
        self._predictor = predictor
        self._symmetries = MODES[mode]

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Maps float32 ``[B, C, H, W]`` to the mean of the probabilities, float32 ``[B, K, H, W]``."""
        return mean_over(self._symmetries, self._predictor, images)

    def answer(self, windows: StoredWindows) -> Levels:
        """The same of windows as they are stored: they travel once, and are turned and mirrored where the model is."""
        return answer_here(self._predictor, replace(windows, symmetries=self._symmetries))


def augment(predictor: Predictor, mode: str) -> Predictor:
    """The model, averaged over symmetries if ``mode`` says so.

    Raises:
        InputError: If the mode is not known.
    """
    if mode not in MODES:
        raise InputError(f"tta must be one of {', '.join(MODES)}, got {mode!r}")
    return predictor if mode == "none" else Augmented(predictor, mode)
