"""Finds objects in optical remote-sensing images and hands them over as clean vector polygons.

    import weft_geo

    predictor = weft_geo.load_predictor("embedded")
    report = weft_geo.predict_scene("scene.tif", predictor, objects="objects.gpkg")

Names load when they are first used, so importing the package costs next to nothing and never imports torch.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from weft_geo.version import __version__

# ONNX Runtime's own wheels report to Microsoft, and put an identifier into the user's home, unless told not to before
# they load (its Privacy.md). Who wants that sets it to 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from weft_geo.datasets.synthetic import draw_scene
    from weft_geo.inference import (
        CallablePredictor,
        ModelContract,
        Predictor,
        PredictReport,
        load_predictor,
        plan_scene,
        predict_scene,
    )
    from weft_geo.models import Weft, WeftConfig, build_model, load_checkpoint, load_official, save_checkpoint
    from weft_geo.vector import ObjectScores, ObjectStream, VectorOptions, match_objects, polygonize

__all__ = [
    "CallablePredictor",
    "ModelContract",
    "ObjectScores",
    "ObjectStream",
    "PredictReport",
    "Predictor",
    "VectorOptions",
    "Weft",
    "WeftConfig",
    "__version__",
    "build_model",
    "draw_scene",
    "load_checkpoint",
    "load_official",
    "load_predictor",
    "match_objects",
    "plan_scene",
    "polygonize",
    "predict_scene",
    "save_checkpoint",
]

_ROOMS = {
    "weft_geo.datasets.synthetic": ("draw_scene",),
    "weft_geo.inference": (
        "CallablePredictor",
        "ModelContract",
        "PredictReport",
        "Predictor",
        "load_predictor",
        "plan_scene",
        "predict_scene",
    ),
    "weft_geo.models": ("Weft", "WeftConfig", "build_model", "load_checkpoint", "load_official", "save_checkpoint"),
    "weft_geo.vector": ("ObjectScores", "ObjectStream", "VectorOptions", "match_objects", "polygonize"),
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}


def __getattr__(name: str) -> Any:
    """Load a public name from its room; those of `weft_geo.models` need the train extra."""
    if name not in _ROOM_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_ROOM_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Public names, loaded or not; `help` loads them all, so none that lacks its extra."""
    lacking = set(_ROOMS["weft_geo.models"]) - set(dir(import_module("weft_geo.models")))
    return sorted((set(globals()) | set(__all__)) - lacking)
