"""The files that hold a model in the folder of a run."""

from __future__ import annotations

from pathlib import Path

from weft_geo.geo.access import is_file

ONNX, WHOLE, ADAPTER = "model.onnx", "model.safetensors", "adapter.safetensors"


def find_model(folder: Path, *names: str) -> Path | None:
    """The first of some files that is in a folder; None if none is."""
    return next((folder / name for name in names if is_file(folder / name)), None)
