from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import TensorProto, helper, numpy_helper

from weft_geo.geo.contract import METADATA_KEY, NAME_KEY, ModelContract
from weft_geo_cli.main import weft_geo

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line in an empty folder; `code` is what it must exit with."""
    monkeypatch.chdir(tmp_path)

    def invoke(*words: object, code: int = 0) -> Result:
        result = CliRunner().invoke(weft_geo, [str(word) for word in words])
        assert result.exit_code == code, (result.output, result.exception)
        return result

    return invoke


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX model that finds whatever is bright: sigmoid((mean of the bands - 128) / 8)."""
    nodes = [
        helper.make_node("ReduceMean", ["x", "axes"], ["mean"], keepdims=1),
        helper.make_node("Sub", ["mean", "middle"], ["above"]),
        helper.make_node("Div", ["above", "width"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["y"]),
    ]
    constants = {"axes": np.array([1]), "middle": np.float32(128), "width": np.float32(8)}
    graph = helper.make_graph(
        nodes,
        "bright",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("B", 3, "H", "W"))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ("B", 1, "H", "W"))],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    bright = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    contract = ModelContract(classes=("bright",), window=64, overlap=16, multiple_of=16, gsd_m=0.5, name="bright")
    helper.set_model_props(bright, {METADATA_KEY: contract.to_json(), NAME_KEY: "bright"})
    path = tmp_path_factory.mktemp("model") / "bright.onnx"
    onnx.save(bright, path)
    return path


@pytest.fixture
def scene(make_raster: Callable[..., Path]) -> Callable[..., Path]:
    """A dark scene with a row of bright squares of 10 x 10 px."""

    def make(squares: int = 3, name: str = "scene.tif", **options: object) -> Path:
        values = np.full((3, 80, 40 * squares), 40, np.uint8)
        for left in range(10, 40 * squares, 40):
            values[:, 30:40, left : left + 10] = 220
        return make_raster(values, name=name, **options)

    return make
