"""What a run on own images starts from, and at which pixel size it works."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from affine import Affine

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("lightning.pytorch", reason="needs the train extra")

from weft_geo.trainers.config import TrainConfig, build_config
from weft_geo.trainers.start import contract_for, shipped_start, working_gsd


def config(image: Path, *, gsd_m: float | None = None, **model: Any) -> TrainConfig:
    data = {"images": [str(image)], "labels": ["objects.gpkg"], "gsd_m": gsd_m}
    return build_config({"data": data, "model": {"name": "weft-tiny", **model}})


@pytest.mark.parametrize(("pixel_m", "works_at"), [(0.1, 0.3), (0.25, None), (0.5, None), (10.0, None)])
def test_finer_images_are_worked_on_as_the_embedded_model_would(
    make_raster: Callable[..., Path], pixel_m: float, works_at: float | None
) -> None:
    image = make_raster(transform=Affine(pixel_m, 0, 500_000, 0, -pixel_m, 5_000_000))
    assert working_gsd(config(image)) == works_at
    assert working_gsd(config(image, gsd_m=0.2)) == 0.2
    assert working_gsd(config(image, weights="mine.safetensors")) is None


def test_only_an_unchanged_model_starts_from_the_embedded_one(make_raster: Callable[..., Path]) -> None:
    image = make_raster()
    assert shipped_start(config(image)) is not None
    assert shipped_start(config(image, name="weft-large")) is None
    assert shipped_start(config(image, strategy="lora")) is None
    assert shipped_start(config(image, ablate=("esto",))) is None


def test_what_starts_from_the_embedded_values_is_as_cautious_as_they_are(make_raster: Callable[..., Path]) -> None:
    """It sees objects where there are none as they do; a run from other values has thresholds of its own."""
    image = make_raster()
    data = SimpleNamespace(mean=(1.0,) * 3, std=(1.0,) * 3, classes=("roof",), min_area_m2=6.7)
    contract = contract_for(config(image), data)
    assert (contract.threshold, contract.min_area_m2) == (0.6, 6.7)
    assert contract_for(config(image, weights="mine.safetensors"), data).threshold == 0.5
    data.classes = ("roof", "road")
    assert contract_for(config(image), data).threshold == 0.5
