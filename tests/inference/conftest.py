from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from weft_geo.geo.contract import METADATA_KEY, NAME_KEY, ModelContract
from weft_geo.inference import CallablePredictor


@pytest.fixture
def oracle() -> Callable[..., CallablePredictor]:
    """A model that says `first band / 255`, wherever the window lies."""

    def make(**contract: Any) -> CallablePredictor:
        values = {"window": 64, "overlap": 16, "multiple_of": 16, "scale": (0, 255), "name": "oracle"} | contract
        return CallablePredictor(lambda images: images[:, :1] / np.float32(255), ModelContract(**values))

    return make


@pytest.fixture
def make_onnx(tmp_path: Path) -> Callable[..., Path]:
    """Writes the oracle as an ONNX file: the mean of the bands over 255."""

    def make(
        contract: ModelContract | None,
        *,
        shape: tuple[int | str, ...] = ("B", 3, "H", "W"),
        classes: int = 1,
        kind: int = TensorProto.FLOAT,
        name: str = "model.onnx",
    ) -> Path:
        nodes = [
            helper.make_node("ReduceMean", ["x", "axes"], ["mean"], keepdims=1),
            helper.make_node("Div", ["mean", "full"], ["one"]),
            helper.make_node("Concat", ["one"] * classes, ["y"], axis=1),
        ]
        full = np.array(255, helper.tensor_dtype_to_np_dtype(kind))
        graph = helper.make_graph(
            nodes,
            "oracle",
            [helper.make_tensor_value_info("x", kind, shape)],
            [helper.make_tensor_value_info("y", kind, (shape[0], classes, *shape[2:]))],
            [numpy_helper.from_array(np.array([1]), "axes"), numpy_helper.from_array(full, "full")],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        if contract is not None:
            helper.set_model_props(model, {METADATA_KEY: contract.to_json(), NAME_KEY: "mean of bands"})
        onnx.save(model, tmp_path / name)
        return tmp_path / name

    return make
