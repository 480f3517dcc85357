"""Checkpoints of the research code: loaded whole, or refused with the reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from weft_geo.errors import CheckpointError  # noqa: E402
from weft_geo.models import build_model, load_official  # noqa: E402
from weft_geo.models.checkpoint import load_weights  # noqa: E402
from weft_geo.models.official import load_trunk  # noqa: E402


def test_what_training_saves_around_the_tensors_is_taken_off(
    golden_state: dict[str, Any], golden_config: dict[str, Any]
) -> None:
    wrapped = {"meta": {"epoch": 3}, "state_dict": {f"module.{key}": value for key, value in golden_state.items()}}
    assert load_official(wrapped, golden_config).num_total() == load_official(golden_state, golden_config).num_total()


def test_a_missing_and_a_left_over_key_are_named(golden_state: dict[str, Any], golden_config: dict[str, Any]) -> None:
    state = dict(golden_state)
    state["backbone.layers.0.extra"] = state.pop("backbone.layers.0.gamma_2")
    with pytest.raises(CheckpointError, match=r"2 places: missing .*ls2\.gamma; unknown .*extra"):
        load_official(state, golden_config)


def test_another_wavelet_is_refused(golden_state: dict[str, Any], golden_config: dict[str, Any]) -> None:
    key = next(key for key in golden_state if key.endswith("iwt_filter"))
    with pytest.raises(CheckpointError, match="not the Haar wavelet"):
        load_official(golden_state | {key: golden_state[key] * 2}, golden_config)


def test_a_configuration_that_contradicts_the_tensors_is_refused(
    golden_state: dict[str, Any], golden_config: dict[str, Any]
) -> None:
    with pytest.raises(CheckpointError, match="num_queries=21, the checkpoint's tensors 20"):
        load_official(golden_state, golden_config | {"num_queries": 21})


def trunk_state(golden_state: dict[str, Any]) -> dict[str, Any]:
    return {
        key.removeprefix("backbone."): value
        for key, value in golden_state.items()
        if key.startswith(("backbone.layers.", "backbone.visual_embed."))
    }


def test_the_trunks_own_checkpoint(golden_state: dict[str, Any], golden_config: dict[str, Any], tmp_path: Path) -> None:
    whole = load_official(golden_state, golden_config)
    file = tmp_path / "trunk.pth"
    torch.save({"model": trunk_state(golden_state)}, file)
    model = type(whole)(whole.config)
    load_weights(model, file)
    assert all(torch.equal(a, b) for a, b in zip(model.trunk.parameters(), whole.trunk.parameters(), strict=True))


def test_a_trunk_without_layer_scales_is_refused(golden_state: dict[str, Any], golden_config: dict[str, Any]) -> None:
    model = load_official(golden_state, golden_config)
    state = {key: value for key, value in trunk_state(golden_state).items() if "gamma_" not in key}
    with pytest.raises(CheckpointError, match="no layer scales"):
        load_trunk(model, state)


def test_a_pickle_with_code_is_not_run(tmp_path: Path) -> None:
    file = tmp_path / "evil.pth"
    torch.save({"state_dict": Path("x")}, file)
    with pytest.raises(CheckpointError, match="cannot be read as tensors only"):
        load_weights(build_model("weft-tiny"), file)
