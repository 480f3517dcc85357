"""Small models train as fast on one thread as on two, and do not stall where the other core is busy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def orssd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small tree in the layout of ORSSD as its authors zip it: bright squares on noise."""
    from PIL import Image

    root = tmp_path_factory.mktemp("ORSSD")
    rng = np.random.default_rng(0)
    for split, count in (("train", 6), ("test", 3)):
        for kind in ("images", "labels"):
            (root / f"{split}-{kind}").mkdir()
        for number in range(count):
            image = rng.integers(0, 60, (96, 128, 3), dtype=np.uint8)
            mask = np.zeros((96, 128), np.uint8)
            row, column = rng.integers(8, 48), rng.integers(8, 80)
            image[row : row + 40, column : column + 40] += 160
            mask[row : row + 40, column : column + 40] = 255
            Image.fromarray(image).save(root / f"{split}-images" / f"{number:04d}.jpg", quality=95)
            Image.fromarray(mask).save(root / f"{split}-labels" / f"{number:04d}.png")
    return root


@pytest.fixture
def values(orssd: Path) -> Callable[..., dict[str, Any]]:
    """The values of a short run on it; sections given are laid over."""

    def make(**sections: dict[str, Any]) -> dict[str, Any]:
        base: dict[str, Any] = {
            "data": {"dataset": "orssd", "data_root": str(orssd), "crop": 64, "workers": 0},
            "model": {"name": "weft-tiny"},
            "loss": {"num_points": 256, "semantic_weight": 5.0},
            "optimizer": {"lr": 5e-4, "max_steps": 8, "warmup_steps": 2},
            "run": {"batch_size": 2, "device": "cpu", "val_every": 4, "save_every": 50, "log_every": 1, "pictures": 1},
        }
        return {name: given | sections.get(name, {}) for name, given in base.items()}

    return make
