from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine

from weft_geo.errors import InputError, OutputExistsError, RasterError, RunError
from weft_geo.geo.contract import ModelContract
from weft_geo.inference import CallablePredictor, load_predictor, predict_scene

MakeRaster = Callable[..., Path]
Oracle = Callable[..., CallablePredictor]

UTM = Affine(0.5, 0.0, 500_000.0, 0.0, -0.5, 5_000_000.0)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda images: images, r"answered \(1, 3, 64, 64\), expected \(1, 1, 64, 64\)"),
        (lambda images: images[:, :1] * np.nan, "which are no probabilities, in the window at row 0, column 0"),
        (lambda images: images[:, :1] * 0 + np.inf, "answered inf to inf"),
        (lambda images: images[:, :1] * 0 + 1.5, "answered 1.5 to 1.5"),
    ],
)
def test_a_model_that_answers_nonsense_fails_the_run(
    make_raster: MakeRaster, tmp_path: Path, answer: Callable[[np.ndarray], np.ndarray], says: str
) -> None:
    scene = make_raster(100)
    predictor = CallablePredictor(answer, ModelContract(window=64, overlap=0), fixed_size=True)
    outputs = {"objects": tmp_path / "o.gpkg", "mask": tmp_path / "m.tif", "probability": tmp_path / "p.tif"}
    with pytest.raises(RunError, match=says):
        predict_scene(scene, predictor, **outputs, batch_size=1)
    assert [path.name for path in tmp_path.iterdir()] == ["scene.tif"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_a_run_that_stops_half_way_leaves_nothing_and_spares_what_was_there(
    make_raster: MakeRaster, tmp_path: Path, error: type[BaseException]
) -> None:
    scene = make_raster(height=600, width=64)
    calls = []

    def stop(images: np.ndarray) -> np.ndarray:
        calls.append(1)
        if len(calls) == 5:
            raise error
        return images[:, :1] / np.float32(255)

    (tmp_path / "m.tif").write_text("old")
    outputs = {"objects": tmp_path / "o.gpkg", "mask": tmp_path / "m.tif", "probability": tmp_path / "p.tif"}
    with pytest.raises(error):
        predict_scene(
            scene, CallablePredictor(stop, ModelContract(window=64, overlap=0)), **outputs, overwrite=True, batch_size=1
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.tif", "scene.tif"]
    assert (tmp_path / "m.tif").read_text() == "old"


def test_a_damaged_scene_fails_with_the_rows(make_raster: MakeRaster, oracle: Oracle, tmp_path: Path) -> None:
    scene = make_raster(height=512, width=256, tiled=True, blockxsize=64, blockysize=64)
    scene.write_bytes(scene.read_bytes()[: scene.stat().st_size // 2])
    with pytest.raises(RunError, match=r"scene\.tif cannot be read in rows"):
        predict_scene(scene, oracle(), objects=tmp_path / "o.gpkg", mask=tmp_path / "m.tif")
    assert [path.name for path in tmp_path.iterdir()] == ["scene.tif"]


def test_outputs_are_checked_before_any_work(make_raster: MakeRaster, oracle: Oracle, tmp_path: Path) -> None:
    scene = make_raster()
    (tmp_path / "there.tif").touch()
    (tmp_path / "there.gpkg").touch()
    cases: list[tuple[dict[str, Any], type[InputError], str]] = [
        ({}, InputError, "at least one of objects, mask and probability"),
        ({"mask": tmp_path / "there.tif"}, OutputExistsError, "already there"),
        ({"objects": tmp_path / "there.gpkg"}, OutputExistsError, "already there"),
        ({"mask": scene, "overwrite": True}, InputError, "is the scene itself"),
        ({"mask": tmp_path / "a.tif", "probability": tmp_path / "a.tif"}, InputError, "the same path"),
        ({"mask": tmp_path / "a.png"}, InputError, "must end in .tif"),
        ({"mask": tmp_path / "none" / "a.tif"}, InputError, "does not exist"),
        ({"objects": tmp_path / "a.gpkg", "overlap": 64}, InputError, "overlap must be"),
        ({"objects": tmp_path / "a.gpkg", "window": 65}, InputError, "multiple of 16"),
        ({"objects": tmp_path / "a.gpkg", "batch_size": 0}, InputError, "batch size must be"),
        ({"objects": tmp_path / "a.gpkg", "threshold": 1.5}, InputError, "threshold"),
        ({"objects": tmp_path / "a.gpkg", "gsd": "fine"}, InputError, "gsd must be"),
    ]
    before = sorted(tmp_path.iterdir())
    for arguments, error, says in cases:
        with pytest.raises(error, match=says):
            predict_scene(scene, oracle(), **arguments)
    with pytest.raises(RasterError, match="does not exist"):
        predict_scene(tmp_path / "absent.tif", oracle(), mask=tmp_path / "a.tif")
    assert sorted(tmp_path.iterdir()) == before


def test_a_fixed_model_refuses_other_windows(
    make_raster: MakeRaster, make_onnx: Callable[..., Path], tmp_path: Path
) -> None:
    contract = ModelContract(window=64, overlap=16)
    predictor = load_predictor(make_onnx(contract, shape=(1, 3, 64, 64)), device="cpu")
    with pytest.raises(InputError, match="takes windows of 64 px and no others, got 128"):
        predict_scene(make_raster(), predictor, mask=tmp_path / "m.tif", window=128)
    report = predict_scene(make_raster(), predictor, mask=tmp_path / "m.tif", batch_size=3)
    assert report.valid_pixels == 64 * 96
