import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio

from weft_geo.errors import RunError
from weft_geo.geo.contract import ModelContract
from weft_geo.inference import CallablePredictor, load_predictor, predict_scene
from weft_geo.inference.backends import MultiDevicePredictor

CONTRACT = ModelContract(window=64, overlap=16, multiple_of=16, scale=(0, 255))


def test_several_devices_make_the_scene_that_one_makes(make_raster: Callable[..., Path], tmp_path: Path) -> None:
    scene = make_raster(height=300, width=260)
    rasters = []
    for device in ("cpu", "cpu,cpu,cpu"):
        predictor = load_predictor("embedded", device=device, threads=1)
        assert (predictor.device, predictor.concurrency) == (device, len(device.split(",")))
        probability = tmp_path / f"{predictor.concurrency}.tif"
        report = predict_scene(scene, predictor, probability=probability, window=64, overlap=16, batch_size=2)
        assert report.windows > 20
        with rasterio.open(probability) as dataset:
            rasters.append(dataset.read())
    np.testing.assert_array_equal(*rasters)


def test_all_devices_work_at_the_same_time_and_none_on_more_than_it_takes(
    make_raster: Callable[..., Path], tmp_path: Path
) -> None:
    under_way: Counter[str] = Counter()
    most: Counter[str] = Counter()
    lock, together = threading.Lock(), threading.Barrier(3)

    def device(name: str, concurrency: int) -> CallablePredictor:
        def say(images: np.ndarray) -> np.ndarray:
            with lock:
                under_way[name] += 1
                most[name] = max(most[name], under_way[name])
            together.wait(timeout=20)  # fails unless three batches are under way at the same time
            with lock:
                under_way[name] -= 1
            return images[:, :1] / np.float32(255)

        return CallablePredictor(say, CONTRACT, concurrency=concurrency)

    predictor = MultiDevicePredictor([device("first", 2), device("second", 1)])
    report = predict_scene(
        make_raster(height=384, width=420), predictor, mask=tmp_path / "m.tif", batch_size=1, overlap=0
    )
    assert report.windows % 3 == 0
    assert most == {"first": 2, "second": 1}


def test_a_device_that_fails_ends_the_run_and_is_free_again() -> None:
    def fail(images: np.ndarray) -> np.ndarray:
        raise RunError("out of memory")

    predictor = MultiDevicePredictor([CallablePredictor(fail, CONTRACT)])
    for _ in range(2):
        with pytest.raises(RunError, match="out of memory"):
            predictor(np.zeros((1, 3, 64, 64), np.float32))
