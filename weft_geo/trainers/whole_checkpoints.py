"""Checkpoints that are whole or not there, at whichever moment the run is killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from weft_geo.errors import RunError
from weft_geo.geo.whole_files import written_whole


class WholeCheckpoints(TorchCheckpointIO):  # type: ignore[misc]  # lightning is not type-checked here
    """Lightning's checkpoints, written beside their place.

    Differs from Lightning's, which writes to the system's folder for temporary files: where that is another file system
    than the run's, as it often is, the file is copied into its place, and a run that is killed meanwhile is left with
    half a checkpoint.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint.

        Raises:
            RunError: the disk does not take it.
        """
        place = Path(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(place) as beside:
            try:
                torch.save(checkpoint, beside)
            except RuntimeError as error:  # torch's own, which names a line of its source and no reason
                raise RunError(f"{place} could not be written; is the disk full?") from error
