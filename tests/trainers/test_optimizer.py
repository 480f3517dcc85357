"""Parameter groups and schedule, against the research configuration's."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from weft_geo.models import build_model  # noqa: E402
from weft_geo.trainers.optimizer import parameter_groups, rate_factor  # noqa: E402
from weft_geo.trainers.settings import OptimizerConfig  # noqa: E402


def test_the_research_groups_of_weft_large() -> None:
    with torch.device("meta"):
        model = build_model("weft-large")
    config = OptimizerConfig(decoder_heads="research")
    sizes = {
        (group["weight_decay"] > 0, round(group["lr"] / config.lr, 4)): sum(p.numel() for p in group["params"])
        for group in parameter_groups(model, config)
    }
    assert sizes == {
        (True, 1.0): 14_219_396,
        (False, 1.0): 106_609,
        (True, 0.0718): 47_424,
        (False, 0.0718): 291,
    }


def test_equal_rates_hold_every_trainable_value_once() -> None:
    with torch.device("meta"):
        model = build_model("weft-large")
    groups = parameter_groups(model, OptimizerConfig())
    assert {group["lr"] for group in groups} == {5e-5}
    assert sum(p.numel() for group in groups for p in group["params"]) == 14_373_720


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (0, 1e-6),
        (750, (1 - 750 / 80_000) * (0.5 + 0.5e-6)),
        (1_500, 1 - 1_500 / 80_000),
        (40_000, 0.5),
        (80_000, 0.0),
        (80_001, 0.0),
    ],
)
def test_warm_up_then_poly(step: int, expected: float) -> None:
    assert rate_factor(step, OptimizerConfig()) == pytest.approx(expected, rel=1e-9)
