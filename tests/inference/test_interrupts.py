import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from weft_geo.errors import InterruptedRunError
from weft_geo.inference.interrupts import terminate_as_error

RUN = """
import sys, time
import numpy as np
from weft_geo.inference import CallablePredictor, ModelContract, predict_scene

def slowly(images):
    print("running", flush=True)
    time.sleep(0.2)
    return images[:, :1] / np.float32(255)

scene, folder = sys.argv[1:]
contract = ModelContract(window=32, overlap=0)
predict_scene(scene, CallablePredictor(slowly, contract), f"{folder}/o.gpkg", f"{folder}/m.tif", f"{folder}/p.tif")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize(
    ("number", "says"), [(signal.SIGTERM, "InterruptedRunError"), (signal.SIGINT, "KeyboardInterrupt")]
)
def test_a_signal_ends_a_run_within_seconds_and_leaves_nothing(
    make_raster: Callable[..., Path], tmp_path: Path, number: signal.Signals, says: str
) -> None:
    scene = make_raster(height=1024, width=1024)
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, scene, tmp_path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "running\n"
    process.send_signal(number)
    _, errors = process.communicate(timeout=20)
    assert process.returncode != 0
    assert says in errors
    assert [path.name for path in tmp_path.iterdir()] == ["scene.tif"]


def test_the_former_handler_is_put_back() -> None:
    def stop() -> None:
        with terminate_as_error():
            signal.raise_signal(signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(InterruptedRunError, match="no output was written"):
        stop()
    assert signal.getsignal(signal.SIGTERM) == before


def test_other_threads_are_left_alone() -> None:
    seen = []

    def work() -> None:
        with terminate_as_error():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.SIG_DFL]
