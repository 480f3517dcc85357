import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from weft_geo.errors import InterruptedRunError, RunError
from weft_geo.inference.interrupts import stoppably, terminate_as_error

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


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_work_that_hears_no_signal_ends_with_its_files(tmp_path: Path) -> None:
    file = tmp_path / "strips.tif"
    file.write_bytes(b"rows")
    main = threading.main_thread().ident
    assert main is not None

    def work() -> None:
        signal.pthread_kill(main, signal.SIGINT)
        while file.stat().st_size:
            time.sleep(0.01)
        raise RunError("a block is not there")

    with pytest.raises(KeyboardInterrupt):
        stoppably(work, lambda: [file, tmp_path / "gone"])
    for thread in threading.enumerate():
        if thread.name == "weft-write":
            thread.join(timeout=10)
            assert not thread.is_alive()


def test_what_goes_wrong_in_such_work_goes_on(tmp_path: Path) -> None:
    def work() -> None:
        raise RunError("the disk is full")

    with pytest.raises(RunError, match="disk is full"):
        stoppably(work, lambda: [])


WRITE = """
import sys
import numpy as np
from weft_geo.geo import cog
from weft_geo.inference import CallablePredictor, ModelContract, predict_scene

def tell(event, stage, done, total, message):
    if stage == "write":
        print("writing", flush=True)

scene, folder, quick = sys.argv[1:]
cog.QUICK_BYTES = int(quick)
model = CallablePredictor(lambda images: images[:, :1] / np.float32(255), ModelContract(window=512), sha256="0" * 64)
outputs = [f"{folder}/o.gpkg", f"{folder}/m.tif", f"{folder}/p.tif"]
print(predict_scene(scene, model, *outputs, progress=tell).resumed, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize(("number", "quick"), [(signal.SIGTERM, 0), (signal.SIGINT, 0), (signal.SIGINT, 1 << 30)])
def test_a_signal_while_outputs_are_written_leaves_the_journal_alone(
    make_raster: Callable[..., Path], tmp_path: Path, number: signal.Signals, quick: int
) -> None:
    scene = make_raster(height=800, width=800)
    (tmp_path / "out").mkdir()
    command = [sys.executable, "-c", WRITE, scene, tmp_path / "out", str(quick)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "goes on from there" in errors
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".o.gpkg.journal"]
    again = subprocess.run(command, check=True, capture_output=True, text=True)
    assert again.stdout.split() == ["writing", "4"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["m.tif", "o.gpkg", "p.tif"]
