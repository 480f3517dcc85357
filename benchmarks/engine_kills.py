"""One run killed again and again at random moments, then left alone: is the result the same to the bit?

    python benchmarks/engine_kills.py [--model trivial|embedded] [--size 8192x8192] [--kills 50] [--seed 0]

``weft-geo predict`` writes objects, a mask and a probability raster of one scene, and is killed by SIGKILL at least
``--kills`` times: while it starts, while it reads, predicts and notes how far it is, while it writes its outputs. Every
time the same command is given again; only kills that hit a living process count. The last run is left alone. What it
wrote is held, pixel by pixel and object by object, against an undisturbed run, and what lies beside it is listed.
The exit code is 1 unless all is the same and nothing is left.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import rasterio
from engine_overhead import write_scene

OUTPUTS = ("objects.gpkg", "mask.tif", "probability.tif")
STAGES = ("starting", "running", "writing")
SHARE_STARTING = 0.15
"""Of the kills before everything is predicted, those that come while the process starts."""
SHARE_WRITING = 0.25
"""Of all kills, those that come while outputs are written, at least."""


def write_trivial_model(path: Path) -> Path:
    """The first band over 255, as an ONNX file."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    from weft_geo.geo.contract import METADATA_KEY, ModelContract

    nodes = [
        helper.make_node("Gather", ["x", "first"], ["band"], axis=1),
        helper.make_node("Div", ["band", "full"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "first_band",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("B", 3, "H", "W"))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ("B", 1, "H", "W"))],
        [numpy_helper.from_array(np.array([0]), "first"), numpy_helper.from_array(np.float32([255]), "full")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    contract = ModelContract(window=512, overlap=128, scale=(0, 255))
    helper.set_model_props(model, {METADATA_KEY: contract.to_json()})
    onnx.save(model, path)
    return path


@dataclass
class Attempt:
    """One start of the command, followed line by line.

    Attributes:
        began: When each stage began, in seconds after the start.
        done: Windows that were finished when it was last heard of.
        total: Windows in all.
        error: What it said went wrong.
    """

    command: list[str]
    began: dict[str, float] = field(default_factory=lambda: {"starting": 0.0})
    done: int = 0
    total: int = 0
    error: str = ""

    def __post_init__(self) -> None:
        self._clock = time.perf_counter()
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._listen)
        self._reader.start()

    @property
    def seconds(self) -> float:
        """Since it was started."""
        return time.perf_counter() - self._clock

    @property
    def stage(self) -> str:
        """The last one that it was heard to begin."""
        return [stage for stage in STAGES if stage in self.began][-1]

    def reaches(self, stage: str) -> bool:
        """Waits until a stage has begun; whether it has before the process ended."""
        with self._news:
            self._news.wait_for(lambda: stage in self.began or "end" in self.began)
        return stage in self.began

    def end(self) -> int:
        """Waits for its end; the exit code."""
        code = self.process.wait()
        self._reader.join()
        return code

    def _listen(self) -> None:
        assert self.process.stderr is not None
        for line in filter(str.strip, self.process.stderr):
            event = json.loads(line)
            with self._news:
                if event["event"] == "error":
                    self.error = event["message"]
                elif event["event"] == "start":
                    self.began["running"], self.total = self.seconds, event["total"]
                elif event["event"] == "progress" and event["stage"] == "predict":
                    self.done = event["done"]
                elif event["event"] == "progress" and event["stage"] == "write":
                    self.began["writing"] = self.seconds
                elif event["event"] == "done":
                    self.began["done"] = self.seconds
                self._news.notify_all()
        with self._news:
            self.began["end"] = self.seconds
            self._news.notify_all()


def command(scene: Path, into: Path, model: str) -> list[str]:
    """A run of a scene into a new folder."""
    into.mkdir()
    objects, mask, probability = (str(into / output) for output in OUTPUTS)
    words = ["predict", str(scene), "-o", objects, "--mask", mask, "--probability", probability]
    return [sys.executable, "-m", "weft_geo_cli.main", *words, "--model", model, "--progress", "json"]


def digest(folder: Path) -> str:
    """Of what the outputs hold; when a run was made is part of the files, so their bytes differ."""
    import pyogrio

    content = hashlib.sha256()
    _, table = pyogrio.read_arrow(folder / "objects.gpkg", layer="objects")
    for name in table.column_names:
        content.update(name.encode())
        content.update(repr(table[name].to_pylist()).encode())
    for name in OUTPUTS[1:]:
        with rasterio.open(folder / name) as dataset:
            content.update(dataset.read().tobytes() + dataset.dataset_mask().tobytes())
    return f"{content.hexdigest()[:16]} of {table.num_rows} objects"


def kill_again_and_again(command: list[str], usual: Attempt, kills: int, moments: random.Random) -> list[str]:
    """Kills until there were enough, or the run has ended before one; the stages that were hit."""
    length = {
        stage: usual.began[after] - usual.began[stage]
        for stage, after in zip(STAGES, [*STAGES[1:], "done"], strict=True)
    }
    # Each kill lets a little be done, so that there is work for all of them.
    moment = 2 * length["running"] / (kills * (1 - SHARE_WRITING) * (1 - SHARE_STARTING))
    hit: list[str] = []
    complete, furthest = False, 0
    while len(hit) < kills or not complete:
        attempt = Attempt(command)
        if complete:
            stage, most = "writing", 0.8 * length["writing"]
        elif moments.random() < SHARE_STARTING:
            stage, most = "starting", length["starting"]
        else:
            stage, most = "running", moment
        if attempt.reaches(stage):
            time.sleep(moments.uniform(0, most))
        attempt.process.send_signal(signal.SIGKILL)
        if attempt.end() != -signal.SIGKILL or "done" in attempt.began:
            print(
                f"\nit came to its end before the next kill, after {len(hit)}; take another --seed or a larger --size"
            )
            return hit
        hit.append(attempt.stage)
        complete = complete or attempt.stage == "writing"
        if stage == "running" and attempt.done <= furthest:
            moment *= 1.1  # nothing was done, since the machine has become slower or reads again what is done
        furthest = max(furthest, attempt.done)
        print(f"\r{len(hit)} kills, {attempt.done} of {attempt.total or usual.total} windows", end="", flush=True)
    print()
    return hit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="trivial")
    parser.add_argument("--size", default="8192x8192", metavar="HEIGHTxWIDTH")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    height, width = (int(side) for side in arguments.size.split("x"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scene = write_scene(folder / "scene.tif", height, width)
        model = arguments.model
        if model == "trivial":
            model = str(write_trivial_model(folder / "trivial.onnx"))

        usual = Attempt(command(scene, folder / "whole", model))
        if usual.end():
            raise SystemExit(f"the undisturbed run failed: {usual.error}")
        whole = digest(folder / "whole")
        print(f"undisturbed: {usual.total} windows, {usual.began['end']:.1f} s, {whole}")
        again = command(scene, folder / "killed", model)
        began = time.perf_counter()
        hit = kill_again_and_again(again, usual, arguments.kills, random.Random(arguments.seed))
        last = Attempt(again) if len(hit) >= arguments.kills else None
        code = last.end() if last else 0
        counts = Counter(hit)
        print(
            f"killed {len(hit)} times in {time.perf_counter() - began:.0f} s: "
            + ", ".join(f"{counts[stage]} while {stage}" for stage in STAGES)
        )
        killed = digest(folder / "killed") if code == 0 else f"exit code {code}, {last and last.error}"
        left = sorted(item.name for item in (folder / "killed").iterdir() if item.name not in OUTPUTS)
        print(f"then left alone: {killed}: {'the same' if killed == whole else 'DIFFERENT'}")
        print(f"left beside the outputs: {', '.join(left) or 'nothing'}")
        if left or killed != whole or last is None:
            raise SystemExit(1)


if __name__ == "__main__":
    main()
