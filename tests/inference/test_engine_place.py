from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.enums import ColorInterp

from weft_geo.errors import ContractError, CrsError, InputError
from weft_geo.geo.contract import ModelContract
from weft_geo.geo.mosaic import write_mosaic
from weft_geo.inference import CallablePredictor, plan, predict_scene
from weft_geo.inference.columns import split_columns

MakeRaster = Callable[..., Path]
Oracle = Callable[..., CallablePredictor]

UTM = Affine(0.5, 0.0, 500_000.0, 0.0, -0.5, 5_000_000.0)


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return dataset.read(1)


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        ("EPSG:32633", UTM @ Affine.rotation(33)),
        ("EPSG:32633", Affine(0.5, 0, 500_000, 0, 0.5, 5_000_000)),
        ("EPSG:4326", Affine(1e-5, 0, 15, 0, -1e-5, 47)),
        ("EPSG:3857", Affine(0.3, 0, 1.6e6, 0, -0.3, 6e6)),
    ],
    ids=["rotated", "south-up", "geographic", "web mercator"],
)
def test_layers_lie_where_the_scene_lies(
    make_raster: MakeRaster, oracle: Oracle, tmp_path: Path, crs: str, transform: Affine
) -> None:
    values = np.zeros((3, 80, 90), int)
    values[:, 20:40, 30:70] = 255
    predict_scene(
        make_raster(values, crs=crs, transform=transform),
        oracle(),
        objects=tmp_path / "o.gpkg",
        mask=tmp_path / "m.tif",
    )
    found = geopandas.read_file(tmp_path / "o.gpkg")
    assert found.crs.to_string() == crs
    corners = [transform @ corner for corner in ((30, 20), (70, 20), (70, 40), (30, 40))]
    truth = shapely.Polygon(corners)
    assert found.geometry[0].symmetric_difference(truth).area < 1e-6 * truth.area
    with rasterio.open(tmp_path / "m.tif") as dataset:
        assert dataset.transform.almost_equals(transform)
        assert dataset.crs.to_string() == crs


def test_a_scene_without_a_crs_needs_one(make_raster: MakeRaster, oracle: Oracle, tmp_path: Path) -> None:
    scene = make_raster(crs=None)
    with pytest.raises(CrsError, match=r"scene\.tif has no CRS.*--crs EPSG:…"):
        predict_scene(scene, oracle(), objects=tmp_path / "o.gpkg")
    predict_scene(scene, oracle(), objects=tmp_path / "o.gpkg", crs="EPSG:32633")
    assert geopandas.read_file(tmp_path / "o.gpkg").crs.to_epsg() == 32633
    report = predict_scene(make_raster(), oracle(), mask=tmp_path / "m.tif", crs="EPSG:32634")
    assert report.warnings == ("scene.tif says EPSG:32633; EPSG:32634 is used instead",)


def test_a_plain_picture_needs_a_place(make_raster: MakeRaster, oracle: Oracle, tmp_path: Path) -> None:
    picture = make_raster(crs=None, transform=Affine.identity(), driver="PNG", name="photo.png")
    with pytest.raises(CrsError, match="neither a CRS nor a transform"):
        predict_scene(picture, oracle(), objects=tmp_path / "o.gpkg")
    predict_scene(picture, oracle(), objects=tmp_path / "o.gpkg", mask=tmp_path / "m.tif", crs="EPSG:3857")


@pytest.mark.parametrize(
    ("gsd", "model_gsd_m", "side"),
    [
        ("auto", 1.0, 100),
        ("auto", 0.6, 200),
        ("auto", None, 200),
        ("native", 1.0, 200),
        (0.25, None, 400),
        ("2", 0.5, 50),
    ],
)
def test_the_scene_is_resampled_to_the_models_ground_sampling_distance(
    make_raster: MakeRaster,
    oracle: Oracle,
    tmp_path: Path,
    gsd: str | float,
    model_gsd_m: float | None,
    side: int,
) -> None:
    values = np.zeros((3, 200, 200), int)
    values[:, 40:120, 80:160] = 255
    report = predict_scene(
        make_raster(values), oracle(gsd_m=model_gsd_m), objects=tmp_path / "o.gpkg", mask=tmp_path / "m.tif", gsd=gsd
    )
    assert (report.height, report.width) == (side, side)
    assert bool(report.warnings) == (side != 200)
    found = geopandas.read_file(tmp_path / "o.gpkg").geometry[0]
    truth = shapely.box(*(UTM @ (80, 120)), *(UTM @ (160, 40)))
    assert found.intersection(truth).area / found.union(truth).area > 0.97
    with rasterio.open(tmp_path / "m.tif") as dataset:
        assert dataset.bounds == pytest.approx((500_000, 4_999_900, 500_100, 5_000_000))


def test_an_area_of_interest_restricts_the_work(make_raster: MakeRaster, oracle: Oracle, tmp_path: Path) -> None:
    scene = make_raster(np.full((3, 300, 400), 255))
    triangle = shapely.Polygon([UTM @ (100, 50), UTM @ (300, 50), UTM @ (100, 250)])
    geopandas.GeoDataFrame(geometry=[triangle], crs=32633).to_crs(4326).to_file(tmp_path / "area.gpkg")
    report = predict_scene(
        scene, oracle(), objects=tmp_path / "o.gpkg", mask=tmp_path / "m.tif", aoi=tmp_path / "area.gpkg"
    )
    assert (report.height, report.width) == pytest.approx((200, 200), abs=1)
    assert report.skipped >= 3
    assert report.valid_pixels == pytest.approx(20_000, rel=0.01)
    found = geopandas.read_file(tmp_path / "o.gpkg").geometry[0]
    assert found.intersection(triangle).area / found.union(triangle).area > 0.98
    box = ",".join(map(str, triangle.bounds))
    report = predict_scene(scene, oracle(), mask=tmp_path / "m2.tif", aoi=box)
    assert (report.height, report.width, report.valid_pixels) == (200, 200, 40_000)


def test_bands_are_chosen_or_given(make_raster: MakeRaster, tmp_path: Path) -> None:
    values = np.stack([np.full((40, 40), value) for value in (10, 20, 30, 40)])
    colors = (ColorInterp.undefined, ColorInterp.red, ColorInterp.green, ColorInterp.blue)
    scene = make_raster(values, colors=colors)
    seen: list[list[float]] = []

    def watch(images: np.ndarray) -> np.ndarray:
        seen.append(images.mean(axis=(0, 2, 3)).tolist())
        return images[:, :1] / np.float32(255)

    predictor = CallablePredictor(watch, ModelContract())
    predict_scene(scene, predictor, mask=tmp_path / "m.tif")
    predict_scene(scene, predictor, mask=tmp_path / "m.tif", bands="4,1,1", overwrite=True)
    assert seen == [[20, 30, 40], [40, 10, 10]]
    with pytest.raises(ContractError, match="takes 3 bands"):
        predict_scene(make_raster(bands=2, name="two.tif"), predictor, mask=tmp_path / "n.tif")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), height=st.integers(1, 200), width=st.integers(1, 200), blocks=st.integers(1, 3))
def test_a_part_of_a_scene_is_what_the_whole_gives_there(
    make_raster: MakeRaster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    data: st.DataObject,
    height: int,
    width: int,
    blocks: int,
) -> None:
    """Also of a model that looks around, as all do."""
    calls = []

    def around(images: np.ndarray) -> np.ndarray:
        calls.append(len(images))
        return (images[:, :1] + images.mean(axis=(1, 2, 3), keepdims=True)) / np.float32(510)

    contract = ModelContract(window=64, overlap=16, multiple_of=16, scale=(0, 255))
    scene = make_raster(np.random.default_rng(height * 201 + width).integers(0, 256, (3, height, width)))
    model = CallablePredictor(around, contract)
    predict_scene(scene, model, probability=tmp_path / "whole.tif", mask=tmp_path / "m.tif", overwrite=True)
    whole = sum(calls)
    calls.clear()
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    low, right = data.draw(st.integers(top + 1, height)), data.draw(st.integers(left + 1, width))
    (west, north), (east, south) = UTM @ (left, top), UTM @ (right, low)
    monkeypatch.setattr(plan, "fit_into_memory", lambda job, *_: replace(job, blocks=split_columns(job.grid, blocks)))
    report = predict_scene(
        scene, model, probability=tmp_path / "part.tif", mask=tmp_path / "n.tif", overwrite=True,
        aoi=(west, south, east, north),
    )  # fmt: skip
    monkeypatch.undo()
    assert (report.height, report.width) == (low - top, right - left)
    assert sum(calls) <= whole * (1 if blocks == 1 else 3)
    for name, other in (("whole.tif", "part.tif"), ("m.tif", "n.tif")):
        np.testing.assert_array_equal(read(tmp_path / other), read(tmp_path / name)[top:low, left:right])
    with rasterio.open(tmp_path / "part.tif") as part:
        assert part.bounds == pytest.approx((west, south, east, north))


def test_no_output_replaces_what_the_scene_is_read_from(
    make_raster: MakeRaster, oracle: Oracle, tmp_path: Path
) -> None:
    tile = make_raster(name="tile.tif")
    scene = write_mosaic([tile], tmp_path / "scene.vrt")
    of_scenes = write_mosaic([scene], tmp_path / "of_scenes.vrt")
    before = read(tile)
    for whole in (scene, of_scenes):
        with pytest.raises(InputError, match=r"the run reads .*tile\.tif; write to another file"):
            predict_scene(whole, oracle(), mask=tile, overwrite=True)
    np.testing.assert_array_equal(read(tile), before)
    assert not list(tmp_path.glob(".*"))


def test_no_output_replaces_the_area_of_interest(make_raster: MakeRaster, oracle: Oracle, tmp_path: Path) -> None:
    scene, area = make_raster(), tmp_path / "area.gpkg"
    with rasterio.open(scene) as raster:
        geopandas.GeoDataFrame({"mine": [1]}, geometry=[shapely.box(*raster.bounds)], crs=raster.crs).to_file(area)
    for named in (area, str(area)):
        with pytest.raises(InputError, match=r"the run reads .*area\.gpkg; write to another file"):
            predict_scene(scene, oracle(), area, aoi=named, overwrite=True)
    assert list(geopandas.read_file(area)["mine"]) == [1]
    assert not list(tmp_path.glob(".*"))
