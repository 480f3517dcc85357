"""How long a run goes on after it was asked to stop, at random moments, on a scene of a million objects.

    python benchmarks/engine_stop.py [--size 16384] [--times 12] [--seed 0]

A trivial model; objects, a mask and a probability raster. SIGTERM and SIGINT by turns, half of them while outputs are
written; then the run is given again to its end, and what lies beside the outputs is listed.
"""

from __future__ import annotations

import argparse
import random
import signal
import tempfile
import time
from pathlib import Path

from engine_kills import Attempt, command, write_trivial_model
from engine_overhead import write_scene

PITCH = 16
"""Pixels from one object to the next: 1,048,576 objects on 16,384²."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--size", type=int, default=16384)
    parser.add_argument("--times", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    moments = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scene = write_scene(folder / "scene.tif", arguments.size, arguments.size, PITCH)
        model = str(write_trivial_model(folder / "trivial.onnx"))
        usual = Attempt(command(scene, folder / "whole", model))
        if usual.end():
            raise SystemExit(f"the undisturbed run failed: {usual.error}")
        print(f"undisturbed: {', '.join(f'{stage} after {when:.1f} s' for stage, when in usual.began.items())}")
        again = command(scene, folder / "stopped", model)
        took: dict[str, list[float]] = {"running": [], "writing": []}
        for number in range(arguments.times):
            stage, after = ("writing", "done") if number % 2 else ("running", "writing")
            attempt = Attempt(again)
            attempt.reaches(stage)
            time.sleep(moments.uniform(0, 0.9 * (usual.began[after] - usual.began[stage])))
            asked = time.perf_counter()
            attempt.process.send_signal(moments.choice([signal.SIGTERM, signal.SIGINT]))
            code = attempt.end()
            if code != 130:
                raise SystemExit(f"exit code {code} while {stage}, expected 130: {attempt.error}")
            took[stage].append(time.perf_counter() - asked)
            print(f"{stage}: ended {took[stage][-1]:.2f} s after it was asked to", flush=True)
        last = Attempt(again)
        if last.end():
            raise SystemExit(f"the run did not come to its end: {last.error}")
        outputs = {path.name for path in (folder / "whole").iterdir()}
        left = sorted(path.name for path in (folder / "stopped").iterdir() if path.name not in outputs)
        print("; ".join(f"longest while {stage}: {max(some):.2f} s" for stage, some in took.items() if some))
        print(f"then to its end in {last.began['end']:.1f} s; left beside the outputs: {', '.join(left) or 'nothing'}")


if __name__ == "__main__":
    main()
