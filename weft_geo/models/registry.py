"""The models that are known by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from weft_geo.errors import UnknownNameError
from weft_geo.models.weft import Weft, WeftConfig

CONFIGS: dict[str, WeftConfig] = {
    # The paper's configuration on UniPerceiver-L: 317,734,232 values, 14,373,720 of them trainable.
    "weft-large": WeftConfig(),
    # A WEFT small enough to ship and to train on a CPU, on a plain ViT that starts from random values and so is
    # trained too.
    "weft-tiny": WeftConfig(
        embed_dim=128,
        depth=8,
        num_heads=4,
        position_grid=16,
        stage_ends=(2, 4, 6, 8),
        layer_scale=0.1,
        train_trunk=True,
        drop_path=0.1,
        inner_channels=32,
        injection_heads=4,
        last_stage_enhancers=1,
        decoder_dim=64,
        num_queries=16,
        decoder_layers=3,
        decoder_feedforward=256,
        pixel_layers=2,
        pixel_feedforward=192,
    ),
}


def model_names() -> list[str]:
    """The names `build_model` knows."""
    return sorted(CONFIGS)


def build_model(name: str, weights: str | Path | None = None, **overrides: Any) -> Weft:
    """A Weft by name.

    Args:
        name: one of `model_names()`.
        weights: a file to start from: a weft-geo checkpoint (.safetensors), a checkpoint of the research code, or the
            published checkpoint of the UniPerceiver-L trunk (.pth). None: random values, the trunk's too.
        **overrides: fields of `WeftConfig` to change, e.g. `classes=("ship", "plane")` or `in_channels=4`.

    Raises:
        UnknownNameError: the name is not known.
        CheckpointError: the weights do not fit the model.
    """
    if name not in CONFIGS:
        raise UnknownNameError("model", name, list(CONFIGS))
    model = Weft(replace(CONFIGS[name], **overrides))
    if weights is not None:
        from weft_geo.models.checkpoint import load_weights

        load_weights(model, weights)
    return model
