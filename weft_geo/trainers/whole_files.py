"""Files of a run that are whole or not there, at whichever moment it is killed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A path beside the file, to write to; it takes the file's place at once when the block ends without an error."""
    beside = path.with_name(f".{path.name}.part")
    yield beside
    with beside.open("rb+") as file:
        os.fsync(file.fileno())
    beside.replace(path)


class WholeCheckpoints(TorchCheckpointIO):  # type: ignore[misc]  # lightning is not type-checked here
    """Lightning's checkpoints, written beside their place.

    Differs from Lightning's, which writes to the system's folder for temporary files: where that is another file system
    than the run's, as it often is, the file is copied into its place, and a run that is killed meanwhile is left with
    half a checkpoint.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint."""
        place = Path(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(place) as beside:
            torch.save(checkpoint, beside)
