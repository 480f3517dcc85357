"""The folders of training runs: which can go on, which are models. Knows nothing of QGIS."""

from __future__ import annotations

import time
from pathlib import Path

MODEL = "model.onnx"
TRAINING_STEPS = 300
"""Of a run that is started here, unless the user says otherwise."""
_CHECKPOINT = "last.ckpt"


def can_go_on(folder: Path) -> bool:
    """Whether a run was stopped there before it came to a model."""
    return (folder / _CHECKPOINT).is_file() and not (folder / MODEL).is_file()


def stopped_run(runs: Path, scene: str) -> Path | None:
    """The last run on a scene that can go on; None if there is none."""
    found = [folder for folder in runs.glob(f"{_plain(scene)}_*") if can_go_on(folder)]
    return max(found, key=lambda folder: folder.stat().st_mtime, default=None)


def new_run(runs: Path, scene: str) -> Path:
    """A folder for a run on a scene, not there yet."""
    return runs / f"{_plain(scene)}_{time.strftime('%Y-%m-%d_%H-%M-%S')}"


def _plain(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name)
