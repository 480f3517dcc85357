"""What a caller of the library may give, and what is said of what it cannot take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from weft_geo.errors import InputError, OutputExistsError, RasterError, UnknownNameError
from weft_geo.inference import CallablePredictor, ModelContract, plan_scene, predict_scene

MakeRaster = Callable[..., Path]
Oracle = Callable[..., CallablePredictor]


def test_an_unknown_option_names_the_known_ones(make_raster: MakeRaster, oracle: Oracle, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown option 'min_area'; known: aoi, .*min_area_m2, .*simplify_m"):
        predict_scene(make_raster(), oracle(), tmp_path / "o.gpkg", min_area=10)


def test_a_model_may_be_given_by_its_path(
    make_raster: MakeRaster, make_onnx: Callable[..., Path], tmp_path: Path
) -> None:
    scene, model = make_raster(np.full((3, 64, 64), 255)), make_onnx(ModelContract(window=64, overlap=16))
    assert predict_scene(scene, model, tmp_path / "o.gpkg").objects == 1
    assert predict_scene(scene, str(model), tmp_path / "p.gpkg").objects == 1
    assert plan_scene(scene, model).model == "mean of bands"
    with pytest.raises(UnknownNameError, match=r"unknown model 'embeded'; known: .*embedded"):
        predict_scene(scene, "embeded", tmp_path / "q.gpkg")


@pytest.mark.parametrize("model", [np.mean, None, ModelContract()])
def test_what_is_no_model_says_what_is(make_raster: MakeRaster, tmp_path: Path, model: Any) -> None:
    for call in (lambda: predict_scene(make_raster(), model, tmp_path / "o.gpkg"), lambda: plan_scene("x.tif", model)):
        with pytest.raises(InputError, match=rf"type {type(model).__name__} is no model .*CallablePredictor\(function"):
            call()


def test_a_scene_is_given_by_its_name(make_raster: MakeRaster, oracle: Oracle, tmp_path: Path) -> None:
    with pytest.raises(RasterError, match=r"not an object of type ndarray; write an array to a GeoTIFF with its CRS"):
        predict_scene(np.zeros((3, 64, 64)), oracle(), tmp_path / "o.gpkg")  # type: ignore[arg-type]
    with rasterio.open(make_raster()) as dataset:
        with pytest.raises(RasterError, match="not an open dataset; give its name"):
            predict_scene(dataset, oracle(), tmp_path / "o.gpkg")
        with pytest.raises(RasterError, match="not an open dataset; give its name"):
            plan_scene(dataset, oracle())


def test_options_may_be_numbers_of_numpy(make_raster: MakeRaster, oracle: Oracle, tmp_path: Path) -> None:
    scene = make_raster(np.full((3, 64, 64), 255))
    plain = predict_scene(
        scene, oracle(), tmp_path / "o.gpkg", window=32, overlap=8, threshold=0.25, simplify_m=1, gsd=2
    )
    numpy = predict_scene(
        scene,
        oracle(),
        tmp_path / "p.gpkg",
        window=np.int64(32),
        overlap=np.int32(8),
        batch_size=np.int64(1),
        threshold=np.float32(0.25),
        min_area_m2=np.float32(0),
        gsd=np.float32(2),
        simplify_m=np.int64(1),
        workers=np.int64(1),
        max_memory=np.int64(4_000_000_000),
    )
    assert (numpy.objects, numpy.windows, numpy.threshold) == (plain.objects, plain.windows, 0.25)


def test_what_is_there_already_can_be_overwritten(make_raster: MakeRaster, oracle: Oracle, tmp_path: Path) -> None:
    (tmp_path / "o.gpkg").touch()
    with pytest.raises(OutputExistsError, match=r"overwrite it \(--overwrite\) or give another name"):
        predict_scene(make_raster(), oracle(), tmp_path / "o.gpkg")
