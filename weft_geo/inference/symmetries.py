"""The symmetries of the square, by which a window can be turned and mirrored."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Symmetries = tuple[tuple[int, bool], ...]
"""Quarter turns, and whether the columns are mirrored before."""

MODES: dict[str, Symmetries] = {
    "none": ((0, False),),
    "flips": ((0, False), (0, True), (2, False), (2, True)),
    "d4": tuple((turns, mirrored) for turns in range(4) for mirrored in (False, True)),
}
"""By the name that ``tta`` has for them."""


def mean_over(
    symmetries: Symmetries,
    predict: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    images: NDArray[np.float32],
) -> NDArray[np.float32]:
    """The mean of what a model says of windows ``[B, C, H, W]`` that are turned and mirrored: ``[B, K, H, W]``."""
    if symmetries == MODES["none"]:
        return predict(images)
    total: NDArray[np.float32] | None = None
    for turns, mirrored in symmetries:
        seen = images[..., ::-1] if mirrored else images
        seen = np.ascontiguousarray(np.rot90(seen, turns, axes=(2, 3)))
        said = np.rot90(predict(seen), -turns, axes=(2, 3))
        said = said[..., ::-1] if mirrored else said
        total = said.copy() if total is None else np.add(total, said, out=total)
    assert total is not None
    total /= len(symmetries)
    return total
