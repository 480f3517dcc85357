"""Windows as they are stored, for models that normalise them and round their answers themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st

from weft_geo.errors import RunError
from weft_geo.geo.contract import ModelContract
from weft_geo.geo.normalize import Normalizer
from weft_geo.inference import CallablePredictor, predict_scene
from weft_geo.inference.backends import MultiDevicePredictor, answer_here, takes_stored
from weft_geo.inference.blending import LEVELS, to_levels
from weft_geo.inference.stored_windows import Levels, StoredWindows
from weft_geo.inference.symmetries import MODES, mean_over

MakeRaster = Callable[..., Path]
TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64")


class Remote:
    """An oracle that is given windows as they are stored."""

    takes_stored = True

    def __init__(self, predictor: CallablePredictor) -> None:
        self.contract, self.name, self.sha256 = predictor.contract, predictor.name, predictor.sha256
        self.device, self.fixed_size, self.concurrency = "cpu", predictor.fixed_size, predictor.concurrency
        self.asked: list[StoredWindows] = []
        self._predictor = predictor

    def __call__(self, images: np.ndarray) -> np.ndarray:
        raise AssertionError("it was to be asked by answer")

    def answer(self, windows: StoredWindows) -> Levels:
        self.asked.append(windows)
        return answer_here(self._predictor, windows)


def oracle(say: Callable[[np.ndarray], np.ndarray] | None = None, **facts: Any) -> CallablePredictor:
    contract = ModelContract(window=32, overlap=8, multiple_of=32, mean=(10, 20, 30), std=(2, 3, 5), name="oracle")
    return CallablePredictor(say or (lambda images: 1 / (1 + np.exp(-images[:, :1]))), contract, **facts)


@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("shape", [(3, 7, 9), (3, 50, 90)])
def test_the_layers_are_those_of_the_ordinary_way(
    make_raster: MakeRaster, tmp_path: Path, shape: tuple[int, int, int], dtype: str, concurrency: int
) -> None:
    values = np.random.default_rng(0).integers(0, 250, shape)
    values[:, 2:5, 3:6] = 17
    scene = make_raster(values, dtype=dtype, nodata=17)
    layers = []
    remote = Remote(oracle(concurrency=concurrency))
    for predictor in (remote, oracle()):
        out = {kind: tmp_path / f"{id(predictor)}.{kind}" for kind in ("objects.gpkg", "probability.tif")}
        report = predict_scene(scene, predictor, out["objects.gpkg"], probability=out["probability.tif"], batch_size=4)
        with rasterio.open(out["probability.tif"]) as raster:
            frame = geopandas.read_file(out["objects.gpkg"], layer="objects")
            layers.append(
                (raster.read(), report.windows, report.valid_pixels, frame.drop(columns="run", errors="ignore"))
            )
    np.testing.assert_array_equal(layers[0][0], layers[1][0])
    assert layers[0][1:3] == layers[1][1:3]
    assert layers[0][3].equals(layers[1][3])
    assert {windows.values.dtype.name for windows in remote.asked} == {dtype}
    assert any(windows.valid is not None for windows in remote.asked)


@pytest.mark.parametrize("mode", ["flips", "d4"])
def test_augmented_windows_travel_once_and_are_averaged_there(
    make_raster: MakeRaster, tmp_path: Path, mode: str
) -> None:
    def lean(images: np.ndarray) -> np.ndarray:
        """Not the same in all directions."""
        return 1 / (1 + np.exp(-np.roll(images[:, :1], 1, axis=3)))

    values = np.random.default_rng(0).integers(0, 250, (3, 50, 90))
    values[:, 2:5, 3:6] = 17
    scene = make_raster(values, nodata=17)
    remote, layers = Remote(oracle(lean)), []
    for name, predictor in (("remote", remote), ("here", oracle(lean))):
        predict_scene(scene, predictor, probability=tmp_path / f"{name}.tif", tta=mode, batch_size=4)
        with rasterio.open(tmp_path / f"{name}.tif") as raster:
            layers.append(raster.read())
    np.testing.assert_array_equal(*layers)
    assert sum(len(windows.values) for windows in remote.asked) == 8
    assert {windows.values.dtype.name for windows in remote.asked} == {"uint8"}


@pytest.mark.parametrize("wrong", [2.0, -1.0, float("nan")])
def test_what_is_no_probability_is_refused(make_raster: MakeRaster, tmp_path: Path, wrong: float) -> None:
    say = lambda images: np.full((len(images), 1, *images.shape[2:]), wrong, np.float32)  # noqa: E731
    with pytest.raises(RunError, match=f"the model oracle answered {wrong:.4g} to {wrong:.4g}, which are no probab"):
        predict_scene(make_raster(), Remote(oracle(say)), tmp_path / "o.gpkg")


def test_an_answer_of_the_wrong_shape_is_refused(make_raster: MakeRaster, tmp_path: Path) -> None:
    for empty in (lambda images: images[:, :1, :0], lambda images: images[:, :2] * 0):
        with pytest.raises(RunError, match=r"the model oracle answered \(\d+, \d, \d+, \d+\), expected"):
            predict_scene(make_raster(), Remote(oracle(empty)), tmp_path / "o.gpkg")


def test_several_devices_take_what_all_of_them_take() -> None:
    stored, plain = Remote(oracle()), oracle()
    both = MultiDevicePredictor([stored, stored])
    assert takes_stored(both)
    assert not takes_stored(MultiDevicePredictor([stored, plain]))
    windows = StoredWindows(
        np.zeros((2, 3, 32, 32), np.uint8), None, Normalizer((0,) * 3, (255,) * 3, (9,) * 3, (2,) * 3)
    )
    np.testing.assert_array_equal(both.answer(windows).levels, answer_here(plain, windows).levels)


@given(st.sampled_from(TYPES), st.integers(0, 2**32 - 1), st.booleans())
@settings(max_examples=100, deadline=None)
def test_torch_normalises_to_the_bit_like_numpy(dtype: str, seed: int, all_valid: bool) -> None:
    torch = pytest.importorskip("torch", reason="needs the train extra")
    from weft_geo.inference.torch_windows import normalize, portable

    rng = np.random.default_rng(seed)
    values: np.ndarray = rng.integers(0, 256, (2, 3, 5, 7 * np.dtype(dtype).itemsize), np.uint8).view(dtype)
    low = tuple(rng.normal(0, 10.0 ** rng.integers(0, 6), 3).tolist())
    high = tuple(start + float(rng.exponential(10.0 ** rng.integers(0, 6))) for start in low)
    mean, std = rng.uniform(0, 255, 3).tolist(), rng.choice([1.0, 57.12, 0.3], 3).tolist()
    normalizer = Normalizer(low, high, tuple(mean), tuple(std))
    if rng.random() < 0.3:
        normalizer = Normalizer((0.0,) * 3, (255.0,) * 3, normalizer.mean, normalizer.std)
    valid = None if all_valid else rng.random((2, *values.shape[2:])) > 0.3
    tensor = None if valid is None else torch.from_numpy(valid)
    ours = normalize(torch.from_numpy(portable(values)), tensor, normalizer, values.dtype)
    np.testing.assert_array_equal(ours.numpy(), StoredWindows(values, valid, normalizer).normalized())


@pytest.mark.parametrize("mode", MODES)
def test_torch_averages_to_the_bit_like_numpy(mode: str) -> None:
    torch = pytest.importorskip("torch", reason="needs the train extra")
    from weft_geo.inference import torch_windows

    images = np.random.default_rng(0).normal(size=(2, 3, 5, 7)).astype(np.float32)
    lean = lambda images: images[:, :1] * images[:, 1:2, :1, :1]  # noqa: E731
    ours = torch_windows.mean_over(MODES[mode], lean, torch.from_numpy(images))
    np.testing.assert_array_equal(ours.numpy(), mean_over(MODES[mode], lean, images))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_torch_rounds_to_the_bit_like_numpy(seed: int) -> None:
    torch = pytest.importorskip("torch", reason="needs the train extra")
    from weft_geo.inference import torch_windows

    rng = np.random.default_rng(seed)
    halves = (rng.integers(0, LEVELS, 50) + 0.5) / LEVELS
    probabilities = np.concatenate([rng.uniform(-1e-3, 1 + 1e-3, 500), halves, [0, 1]]).astype(np.float32)
    ours = torch_windows.to_levels(torch.from_numpy(probabilities)).numpy().view(np.uint16)
    np.testing.assert_array_equal(ours, to_levels(probabilities))
