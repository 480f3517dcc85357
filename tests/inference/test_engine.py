from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio
from affine import Affine
from geopandas.testing import assert_geodataframe_equal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.features import rasterize

from weft_geo.datasets.synthetic import draw_scene
from weft_geo.geo.contract import ModelContract
from weft_geo.inference import CallablePredictor, PredictReport, predict_scene

MakeRaster = Callable[..., Path]
Oracle = Callable[..., CallablePredictor]

UTM = Affine(0.5, 0.0, 500_000.0, 0.0, -0.5, 5_000_000.0)


def constant(value: float, **contract: Any) -> CallablePredictor:
    values = {"window": 256, "overlap": 64} | contract
    return CallablePredictor(
        lambda images: np.full((len(images), 1, *images.shape[2:]), value, np.float32), ModelContract(**values)
    )


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return dataset.read(1)


def blobs(height: int, width: int, seed: int = 0) -> np.ndarray:
    """uint8 [3, H, W]: smooth blobs as probabilities, the same in each band."""
    noise = np.random.default_rng(seed).random((height, width))
    for axis in (0, 1):
        noise = np.mean([np.roll(noise, shift, axis) for shift in range(-4, 5)], axis=0)
    low, high = noise.min(), noise.max()
    scaled = (noise - low) / max(high - low, 1e-9) * 255
    return np.stack([scaled.astype(np.uint8)] * 3)


def test_the_model_says_which_objects_are_too_small(make_raster: MakeRaster, tmp_path: Path) -> None:
    image = np.zeros((1, 64, 64), np.uint8)
    image[:, 4:8, 4:8], image[:, 20:30, 20:30] = 255, 255  # 4 and 25 m²
    contract = ModelContract(bands=1, window=64, overlap=0, min_area_m2=5.0)
    predictor = CallablePredictor(lambda images: images / np.float32(255), contract)
    scene, objects = make_raster(image), tmp_path / "objects.gpkg"
    for options, expected in [({}, [25]), ({"min_area_m2": 0}, [4, 25]), ({"min_area_m2": 30}, [])]:
        predict_scene(scene, predictor, objects, overwrite=True, **options)
        found = geopandas.read_file(objects, layer="objects")
        assert found.area_m2.round().tolist() == expected


@pytest.mark.parametrize("overlap", [0, 64, 200])
def test_a_constant_stays_constant_to_the_last_corner(make_raster: MakeRaster, tmp_path: Path, overlap: int) -> None:
    """Spline blending elsewhere divides by weights near zero: whole corners come out wrong, or a frame of nodata."""
    report = predict_scene(
        make_raster(height=600, width=700),
        constant(0.6),
        mask=tmp_path / "mask.tif",
        probability=tmp_path / "probability.tif",
        overlap=overlap,
    )
    assert (read(tmp_path / "probability.tif") == 153).all()
    assert (read(tmp_path / "mask.tif") == 1).all()
    assert report.object_pixels == report.valid_pixels == 600 * 700


@pytest.mark.parametrize("fixed_size", [False, True])
@pytest.mark.parametrize("shape", [(300, 300), (400, 2500), (120, 1000), (1, 1), (31, 700), (2, 3), (257, 255)])
def test_every_valid_pixel_is_predicted(
    make_raster: MakeRaster, tmp_path: Path, shape: tuple[int, int], fixed_size: bool
) -> None:
    """Elsewhere 300×300 and 120×1000 return nothing, 400×2500 loses its last batch, a small image raises."""
    seen: list[tuple[int, ...]] = []

    def say(images: np.ndarray) -> np.ndarray:
        seen.append(images.shape[2:])
        return images[:, :1] / np.float32(255)

    contract = ModelContract(window=256, overlap=64)
    values = np.random.default_rng(0).integers(0, 256, (3, *shape))
    predictor = CallablePredictor(say, contract, fixed_size=fixed_size)
    report = predict_scene(
        make_raster(values), predictor, objects=tmp_path / "o.gpkg", probability=tmp_path / "p.tif", threshold=1.0
    )
    np.testing.assert_array_equal(read(tmp_path / "p.tif"), values[0])
    assert report.valid_pixels == shape[0] * shape[1]
    assert all(side % 32 == 0 for window in seen for side in window)
    assert not fixed_size or set(seen) == {(256, 256)}


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "float64"])
def test_values_of_any_type(make_raster: MakeRaster, tmp_path: Path, dtype: str) -> None:
    """Scaling each tile by its own maximum makes one value mean different things; uint16 reached 11.8 elsewhere."""
    seen: list[float] = []

    def watch(images: np.ndarray) -> np.ndarray:
        seen.extend((float(images.min()), float(images.max())))
        return images[:, :1] / np.float32(255)

    picture = blobs(200, 300)
    picture[:, :64, :64] //= 8  # a dark corner stays dark
    scale = {"uint8": 1.0, "uint16": 40.0, "int16": 20.0, "float32": 1e-3, "float64": 1e5}[dtype]
    predictor = CallablePredictor(watch, ModelContract(window=64, overlap=16))
    predict_scene(make_raster(picture * scale, dtype=dtype), predictor, probability=tmp_path / "p.tif")
    assert min(seen) >= 0
    assert max(seen) <= 255
    low, high = (0, 255) if dtype == "uint8" else np.percentile(picture[0], (2, 98))
    expected = np.clip((picture[0].astype(float) - low) / (high - low), 0, 1) * 255
    np.testing.assert_allclose(read(tmp_path / "p.tif"), expected, atol=1.5)


def test_no_window_setting_changes_mask_or_objects(make_raster: MakeRaster, oracle: Oracle, tmp_path: Path) -> None:
    scene = make_raster(blobs(333, 407), nodata=0)
    outcomes = []
    for window, overlap, batch_size in [(512, 128, 1), (64, 0, 3), (96, 40, 7), (48, 33, 32), (128, 16, None)]:
        report = predict_scene(
            scene,
            oracle(),
            objects=tmp_path / "objects.gpkg",
            mask=tmp_path / "mask.tif",
            probability=tmp_path / "probability.tif",
            window=window,
            overlap=overlap,
            batch_size=batch_size,
            overwrite=True,
        )
        layers = read(tmp_path / "mask.tif"), read(tmp_path / "probability.tif")
        outcomes.append((report, *layers, geopandas.read_file(tmp_path / "objects.gpkg")))
    first = outcomes[0]
    assert first[0].objects is not None
    assert first[0].objects > 10
    for other in outcomes[1:]:
        assert other[0].objects == first[0].objects
        np.testing.assert_array_equal(other[1], first[1])
        np.testing.assert_array_equal(other[2], first[2])
        assert_geodataframe_equal(other[3], first[3])


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    window=st.sampled_from([16, 32, 48, 64]),
    share=st.floats(0, 0.99),
    batch_size=st.integers(1, 9),
)
def test_tiling_is_invisible_at_any_size(
    make_raster: MakeRaster,
    oracle: Oracle,
    tmp_path: Path,
    height: int,
    width: int,
    window: int,
    share: float,
    batch_size: int,
) -> None:
    values = np.random.default_rng(height * 91 + width).integers(0, 256, (3, height, width))
    predict_scene(
        make_raster(values),
        oracle(),
        mask=tmp_path / "mask.tif",
        probability=tmp_path / "probability.tif",
        window=window,
        overlap=int(share * window),
        batch_size=batch_size,
        overwrite=True,
    )
    np.testing.assert_array_equal(read(tmp_path / "probability.tif"), values[0])
    np.testing.assert_array_equal(read(tmp_path / "mask.tif"), values[0] >= 127.5)


def test_truth_comes_back_through_an_oracle(make_raster: MakeRaster, oracle: Oracle, tmp_path: Path) -> None:
    truth = draw_scene(600, 700, seed=3).polygons
    labels = rasterize([(polygon, number) for number, polygon in enumerate(truth, start=1)], (600, 700), dtype="int32")
    picture = (labels > 0) * 255
    report = predict_scene(make_raster(np.stack([picture] * 3)), oracle(), objects=tmp_path / "objects.gpkg")
    found = geopandas.read_file(tmp_path / "objects.gpkg").geometry
    assert report.objects == len(found) == len(truth) > 20
    matched = set()
    for polygon in found:
        inside = rasterize([polygon], (600, 700), transform=UTM) == 1
        number = np.bincount(labels[inside]).argmax()
        same = labels == number
        assert (inside & same).sum() / (inside | same).sum() >= 0.99
        matched.add(number)
    assert len(matched) == len(truth)


def test_windows_without_an_image_are_skipped_and_partly_valid_ones_run(
    make_raster: MakeRaster, tmp_path: Path
) -> None:
    values = np.full((3, 256, 256), 200)
    values[:, :, 96:] = 0
    values[:, 200, 250] = 9
    seen: list[np.ndarray] = []

    def watch(images: np.ndarray) -> np.ndarray:
        seen.extend(images.copy())
        return np.full((len(images), 1, *images.shape[2:]), 0.8, np.float32)

    contract = ModelContract(window=64, overlap=0, mean=50)
    report = predict_scene(
        make_raster(values, nodata=0),
        CallablePredictor(watch, contract),
        objects=tmp_path / "o.gpkg",
        mask=tmp_path / "m.tif",
        probability=tmp_path / "p.tif",
    )
    assert (report.windows, report.skipped, len(seen)) == (16, 7, 9)
    assert report.objects == 2
    half = next(window for window in seen if (window == 0).any() and (window == 150).any())
    assert set(np.unique(half)) == {0.0, 150.0}  # nodata is filled with the mean
    valid = values[0] != 0
    np.testing.assert_array_equal(read(tmp_path / "m.tif"), np.where(valid, 1, 255))
    with rasterio.open(tmp_path / "p.tif") as dataset:
        np.testing.assert_array_equal(dataset.read(1), np.where(valid, 204, 0))
        np.testing.assert_array_equal(dataset.dataset_mask() != 0, valid)


def test_a_scene_without_any_image_has_no_objects(make_raster: MakeRaster, tmp_path: Path) -> None:
    def fail(images: np.ndarray) -> np.ndarray:
        raise AssertionError("nothing is to be predicted")

    scene = make_raster(np.full((3, 40, 40), np.nan), dtype="float32")
    predictor = CallablePredictor(fail, ModelContract())
    report = predict_scene(scene, predictor, objects=tmp_path / "o.gpkg", mask=tmp_path / "m.tif")
    assert (report.objects, report.windows, report.skipped, report.valid_pixels) == (0, 1, 1, 0)
    assert (read(tmp_path / "m.tif") == 255).all()


def test_classes_are_told_apart(make_raster: MakeRaster, tmp_path: Path) -> None:
    values = np.zeros((3, 64, 64), int)
    values[0, 10:20, 10:20] = 255
    values[1, 30:40, 10:20] = 255
    values[1, 15:20, 10:20] = 250  # less than class one
    contract = ModelContract(window=32, overlap=8, classes=("roof", "ship"))
    predictor = CallablePredictor(lambda images: images[:, :2] / np.float32(255), contract)
    predict_scene(
        make_raster(values),
        predictor,
        objects=tmp_path / "o.gpkg",
        mask=tmp_path / "m.tif",
        probability=tmp_path / "p.tif",
    )
    expected = np.zeros((64, 64))
    expected[10:20, 10:20], expected[30:40, 10:20] = 1, 2
    np.testing.assert_array_equal(read(tmp_path / "m.tif"), expected)
    assert list(geopandas.read_file(tmp_path / "o.gpkg")["class"]) == ["roof", "ship"]
    with rasterio.open(tmp_path / "p.tif") as dataset:
        assert dataset.descriptions == ("roof", "ship")
        np.testing.assert_array_equal(dataset.read(), values[:2])


def test_progress_counts_to_the_end(make_raster: MakeRaster, oracle: Oracle, tmp_path: Path) -> None:
    events: list[tuple[str, str, int, int, str]] = []
    report = predict_scene(
        make_raster(bands=1, height=200, width=300),
        oracle(),
        objects=tmp_path / "o.gpkg",
        mask=tmp_path / "m.tif",
        progress=lambda *event: events.append(event),
    )
    kinds = [event[0] for event in events]
    assert (kinds[0], kinds[1], kinds[-1]) == ("start", "warning", "done")
    assert "one band" in events[1][4]
    counts = [done for kind, stage, done, total, _ in events if kind == "progress" and stage == "predict"]
    assert counts == sorted(counts)
    assert counts[-1] == report.windows == events[0][3]
    assert events[-1][4] == f"{report.objects} objects"
    assert report.seconds >= report.model_seconds > 0
    assert report.read_seconds > 0
    assert report.peak_memory_bytes > 10e6


def test_the_same_scene_twice_gives_the_same_bytes_of_mask(
    make_raster: MakeRaster, oracle: Oracle, tmp_path: Path
) -> None:
    def run(name: str) -> PredictReport:
        return predict_scene(make_raster(blobs(100, 120)), oracle(), mask=tmp_path / name)

    run("one.tif")
    run("two.tif")
    np.testing.assert_array_equal(read(tmp_path / "one.tif"), read(tmp_path / "two.tif"))


def test_a_four_band_scene(real_data: Callable[[str], Path], tmp_path: Path) -> None:
    scene = real_data("scenes/naip_2017_4band.tif")
    predictor = CallablePredictor(
        lambda images: np.clip(images[:, :1] / np.float32(255), 0, 1), ModelContract(window=256, overlap=64)
    )
    report = predict_scene(scene, predictor, probability=tmp_path / "p.tif", mask=tmp_path / "m.tif", threshold=0.7)
    assert (report.height, report.width) == (724, 934)
    assert "has 4 bands" in report.warnings[0]
    with rasterio.open(scene) as dataset:
        np.testing.assert_array_equal(read(tmp_path / "p.tif"), dataset.read(1))
        assert report.valid_pixels == int((dataset.dataset_mask() != 0).sum())


def test_a_striped_scene_with_nodata(real_data: Callable[[str], Path], tmp_path: Path) -> None:
    scene = real_data("scenes/neon_harv_022.tif")
    predictor = CallablePredictor(lambda images: images[:, :1] / np.float32(255), ModelContract(gsd_m=0.3))
    report = predict_scene(scene, predictor, probability=tmp_path / "p.tif")
    assert (report.height, report.width) == (133, 133)
    assert "the model expects 0.3 m" in report.warnings[0]
