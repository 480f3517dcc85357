"""Golden tensors of the research code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")
safetensors_torch = pytest.importorskip("safetensors.torch", reason="needs the train extra")

torch.set_num_threads(1)  # small models are as fast, and do not stall where the other core is busy

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="session")
def golden() -> dict[str, Any]:
    return safetensors_torch.load_file(DATA / "golden_tiny.safetensors")


@pytest.fixture(scope="session")
def golden_config() -> dict[str, Any]:
    return json.loads((DATA / "golden_tiny.json").read_text())["config"]


@pytest.fixture(scope="session")
def golden_state(golden: dict[str, Any]) -> dict[str, Any]:
    return {key.removeprefix("state."): value for key, value in golden.items() if key.startswith("state.")}


@pytest.fixture(scope="session")
def golden_modules() -> dict[str, Any]:
    return safetensors_torch.load_file(DATA / "golden_modules.safetensors")


@pytest.fixture(scope="session")
def relative_error() -> Callable[[Any, Any], float]:
    """The largest error relative to the largest expected value."""

    def measure(found: Any, expected: Any) -> float:
        assert found.shape == expected.shape
        difference = found.detach().double() - expected.double()
        return float(difference.abs().max() / expected.double().abs().max())

    return measure
