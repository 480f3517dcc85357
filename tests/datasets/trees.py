"""Small benchmarks in the layouts that are met in the wild."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def draw_pair(image: Path, mask: Path, seed: int = 0, top: int = 255, size: tuple[int, int] = (40, 60)) -> None:
    """A picture with one bright rectangle, and its mask of 0 and `top`."""
    rng = np.random.default_rng(seed)
    truth = np.zeros(size, np.uint8)
    row, column = int(rng.integers(2, 15)), int(rng.integers(2, 25))
    truth[row : row + 15, column : column + 25] = 1
    picture = rng.integers(0, 90, (*size, 3), dtype=np.uint8)
    picture[truth == 1] += 120
    for path in (image, mask):
        path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(image)
    Image.fromarray(truth * top).save(mask)


def draw_tree(
    root: Path, images: str, masks: str, number: int, suffixes: tuple[str, str] = (".jpg", ".png"), top: int = 255
) -> Path:
    """`number` pairs in two folders of a tree."""
    for i in range(number):
        draw_pair(root / images / f"{i:04}{suffixes[0]}", root / masks / f"{i:04}{suffixes[1]}", i, top)
    return root
