"""Test-time augmentation: the mean of what a model says of a window and of the window turned and mirrored.

Seen from above there is no preferred direction, so all eight symmetries of the square (the dihedral group D4) are as
good as each other; a model that has not learnt this fully gains a little from the mean, at four or eight times the
cost.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from weft_geo.errors import InputError
from weft_geo.inference.backends import Predictor

MODES = {
    "none": ((0, False),),
    "flips": ((0, False), (0, True), (2, False), (2, True)),
    "d4": tuple((turns, mirrored) for turns in range(4) for mirrored in (False, True)),
}
"""Quarter turns, and whether the columns are mirrored before."""


class Augmented:
    """A model that averages over symmetries of the square.

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
        self._predictor = predictor
        self._symmetries = MODES[mode]

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Maps float32 ``[B, C, H, W]`` to the mean of the probabilities, float32 ``[B, K, H, W]``."""
        total: NDArray[np.float32] | None = None
        for turns, mirrored in self._symmetries:
            seen = images[..., ::-1] if mirrored else images
            seen = np.ascontiguousarray(np.rot90(seen, turns, axes=(2, 3)))
            said = np.rot90(self._predictor(seen), -turns, axes=(2, 3))
            said = said[..., ::-1] if mirrored else said
            total = said.copy() if total is None else np.add(total, said, out=total)
        assert total is not None
        total /= len(self._symmetries)
        return total


def augment(predictor: Predictor, mode: str) -> Predictor:
    """The model, averaged over symmetries if ``mode`` says so.

    Raises:
        InputError: If the mode is not known.
    """
    if mode not in MODES:
        raise InputError(f"tta must be one of {', '.join(MODES)}, got {mode!r}")
    return predictor if mode == "none" else Augmented(predictor, mode)
