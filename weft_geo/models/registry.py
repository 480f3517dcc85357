"""Builds the models that are known by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from weft_geo.errors import UnknownNameError
from weft_geo.models.backbones import trunk_shape
from weft_geo.models.config import CONFIGS, WeftConfig
from weft_geo.models.peft import assemble
from weft_geo.models.segmenter import Segmenter


def build_model(name: str, weights: str | Path | None = None, **overrides: Any) -> Segmenter:
    """A model by name: a Weft, unless `strategy` asks for one of those it is compared with.

    Args:
        name: one of `model_names()`.
        weights: a file to start from: a weft-geo checkpoint (.safetensors), a checkpoint of the research code, or the
            published checkpoint of the trunk; see `checkpoint.load_weights`. None: random values, the trunk's too.
        **overrides: fields of `WeftConfig` to change, e.g. `classes=("ship", "plane")` or `in_channels=4`. With
            `backbone="timm/NAME"` the fields that follow from it are filled in.

    Raises:
        UnknownNameError: the name is not known.
        CheckpointError: the weights do not fit the model.
    """
    model = assemble(config_of(name, **overrides))
    if weights is not None:
        from weft_geo.models.checkpoint import load_weights

        load_weights(model, weights)
    return model


def config_of(name: str, **overrides: Any) -> WeftConfig:
    """The configuration of a model by name, with fields changed as for `build_model`.

    Raises:
        UnknownNameError: the name is not known.
    """
    if name not in CONFIGS:
        raise UnknownNameError("model", name, list(CONFIGS))
    backbone = overrides.get("backbone", "")
    shape = trunk_shape(backbone) if backbone.startswith("timm/") else {}
    return replace(CONFIGS[name], **shape | overrides)
