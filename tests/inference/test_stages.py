import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.env import get_gdal_config

from weft_geo.errors import RunError
from weft_geo.geo.contract import ModelContract
from weft_geo.geo.raster import Raster
from weft_geo.inference import CallablePredictor, predict_scene
from weft_geo.inference.stages import Behind, several

MakeRaster = Callable[..., Path]

CONTRACT = ModelContract(window=64, overlap=16, multiple_of=16, scale=(0, 255))


def test_answers_come_in_the_order_of_what_was_asked() -> None:
    def late(number: int) -> int:
        time.sleep(random.Random(number).uniform(0, 0.005))
        return -number

    assert list(several(late, range(40), 3, "test")) == [(number, -number) for number in range(40)]


def test_a_lone_one_is_called_in_the_callers_thread() -> None:
    threads = [thread for _, thread in several(lambda _: threading.current_thread(), range(3), 1, "test")]
    assert threads == [threading.current_thread()] * 3


def test_closing_lets_go_of_what_waits() -> None:
    asked: list[int] = []
    answers = several(lambda number: asked.append(number), iter(range(1000)), 2, "test")
    next(answers)
    answers.close()
    assert len(asked) <= 3
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("weft-test")]


def test_a_model_that_takes_several_batches_at_once_gets_them_and_the_result_is_the_same(
    make_raster: MakeRaster, tmp_path: Path
) -> None:
    scene = make_raster(height=384, width=420)
    together = threading.Barrier(3)

    def say(images: np.ndarray) -> np.ndarray:
        together.wait(timeout=20)  # fails unless three batches are under way at the same time
        time.sleep(float(images[0, 0, 0, 0]) / 255 / 100)  # some are overtaken
        return images[:, :1] / np.float32(255)

    arguments = {"batch_size": 1, "overlap": 0}
    with rasterio.open(scene) as dataset:
        expected = dataset.read(1)
    predictor = CallablePredictor(say, CONTRACT, concurrency=3)
    report = predict_scene(scene, predictor, probability=tmp_path / "p.tif", **arguments)
    assert report.windows == 6 * 7
    with rasterio.open(tmp_path / "p.tif") as dataset:
        np.testing.assert_array_equal(dataset.read(1), expected)


@pytest.mark.parametrize("concurrency", [1, 2])
def test_the_first_error_ends_the_run(make_raster: MakeRaster, tmp_path: Path, concurrency: int) -> None:
    calls: list[int] = []

    def fail(images: np.ndarray) -> np.ndarray:
        calls.append(1)
        raise RunError(f"no memory for batch {len(calls)}")

    predictor = CallablePredictor(fail, CONTRACT, concurrency=concurrency)
    with pytest.raises(RunError, match="no memory"):
        predict_scene(make_raster(height=300, width=300), predictor, mask=tmp_path / "m.tif", batch_size=1)
    assert len(calls) <= concurrency + 1
    assert [path.name for path in tmp_path.iterdir()] == ["scene.tif"]


def test_a_scene_is_read_with_the_settings_of_the_calling_thread(
    make_raster: MakeRaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Credentials, for instance; rasterio keeps what is set outside of the main thread to the thread that set it."""
    read, seen = Raster.read, set()

    def listen(raster: Raster, *arguments: Any) -> Any:
        seen.add((threading.current_thread().name[:9], get_gdal_config("GDAL_HTTP_HEADERS")))
        return read(raster, *arguments)

    monkeypatch.setattr(Raster, "read", listen)
    scene = make_raster()

    def predict() -> None:
        with rasterio.Env(GDAL_HTTP_HEADERS="Token: 1"):
            predict_scene(scene, CallablePredictor(lambda images: images[:, :1] * 0, CONTRACT), tmp_path / "o.gpkg")

    caller = threading.Thread(target=predict)
    caller.start()
    caller.join()
    assert seen == {("weft-read", "Token: 1")}


def test_nothing_is_done_behind_what_failed() -> None:
    done: list[int] = []
    begin = threading.Event()

    def work(item: int) -> None:
        begin.wait()
        if item == 1:
            raise ValueError("one")
        done.append(item)

    def hand_over() -> None:
        with Behind(work, 4, "test") as stage:
            for item in range(4):
                stage.put(item)
            begin.set()
            time.sleep(0.1)  # all that would be done is
            stage.finish()

    with pytest.raises(ValueError, match="one"):
        hand_over()
    assert done == [0]


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="Windows sends no signal to a thread")
def test_an_interrupt_gives_up_the_last_one_too() -> None:
    """While the caller waits for it, nothing else is left to be waited for."""
    under_way, given_up = threading.Event(), threading.Event()

    def work(number: int) -> bool:
        if number == 0:
            return True
        under_way.set()
        return given_up.wait(timeout=20)

    def interrupt() -> None:
        under_way.wait(timeout=20)
        time.sleep(0.1)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    threading.Thread(target=interrupt).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        list(several(work, range(2), 2, "test", abandon=given_up.set))
    assert given_up.is_set()
    assert time.monotonic() - began < 10
