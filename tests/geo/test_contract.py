import json
from typing import Any

import numpy as np
import pytest

from weft_geo.errors import ContractError
from weft_geo.geo.contract import ModelContract


def test_survives_json() -> None:
    contract = ModelContract(
        bands=4,
        classes=("roof", "ship"),
        window=256,
        overlap=32,
        gsd_m=0.3,
        scale=(0, 4095),
        mean=(1, 2, 3, 4),
        std=2,
        name="tiny",
        threshold=0.4,
        min_area_m2=8,
    )
    assert ModelContract.from_json(contract.to_json()) == contract
    assert contract.stds == (2.0, 2.0, 2.0, 2.0)


def test_takes_the_numbers_of_numpy() -> None:
    half, three = np.float32(0.5), np.int64(3)
    sizes: dict[str, Any] = {"bands": three, "window": np.int32(256), "overlap": np.uint8(32)}
    contract = ModelContract(**sizes, gsd_m=half, mean=half, threshold=half, min_area_m2=three)
    assert contract == ModelContract(bands=3, window=256, overlap=32, gsd_m=0.5, mean=0.5, threshold=0.5, min_area_m2=3)
    assert ModelContract.from_json(contract.to_json()) == contract


def test_the_scenes_own_scale_survives_json() -> None:
    assert ModelContract.from_json(ModelContract(scale="scene").to_json()).scale == "scene"


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"bands": 0}, "bands must be a whole number"),
        ({"window": float("inf")}, "window must be a whole number"),
        ({"classes": ()}, "classes must be 1 to 254"),
        ({"classes": ("a", "a")}, "different names"),
        ({"classes": "object"}, "single string"),
        ({"window": 500}, "multiple of 32"),
        ({"overlap": 512}, "smaller than the window"),
        ({"overlap": -1}, "overlap must be a whole number"),
        ({"gsd_m": 0.0}, "positive number of metres"),
        ({"scale": (5, 5)}, "low < high"),
        ({"scale": "bright"}, "\"scene\" or None, got 'bright'"),
        ({"mean": (1, 2)}, "one a band"),
        ({"std": (1, 0, 1)}, "std must be positive"),
        ({"threshold": 0.0}, "threshold must lie"),
        ({"min_area_m2": -1.0}, "min_area_m2 must be 0 or a number of square metres"),
    ],
)
def test_refuses_values_out_of_range(values: dict[str, Any], says: str) -> None:
    with pytest.raises(ContractError, match=says):
        ModelContract(**values)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not JSON"),
        ("[]", "must be a JSON object, got list"),
        (json.dumps({"bands": 3, "colour": 1}), "holds colour, unknown to this version"),
    ],
)
def test_refuses_what_is_no_contract(text: str, says: str) -> None:
    with pytest.raises(ContractError, match=says):
        ModelContract.from_json(text)
