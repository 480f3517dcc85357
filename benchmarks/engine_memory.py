"""Peak memory of a run against the size of the scene, beside the estimate that --dry-run prints.

    python benchmarks/engine_memory.py [4096x4096 32768x4096 4096x16384 …] [--max-memory 1GB]

A trivial predictor, objects and a mask; each run is a process of its own. The scenes are written first, and take about
two bytes a pixel on disk.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def run(scene: Path, max_memory: str | None) -> None:
    from engine_overhead import trivial

    from weft_geo import predict_scene
    from weft_geo.inference import plan_scene

    plan = plan_scene(scene, trivial(), mask=True, max_memory=max_memory)
    began = time.perf_counter()
    beside = scene.parent
    report = predict_scene(scene, trivial(), beside / "o.gpkg", mask=beside / "m.tif", max_memory=max_memory)
    seconds = time.perf_counter() - began
    result = {"plan": plan.memory_bytes, "peak": report.peak_memory_bytes, "seconds": seconds, "blocks": plan.blocks}
    print(json.dumps(result))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("sizes", nargs="*", default=["4096x4096", "32768x4096", "4096x16384"], metavar="HEIGHTxWIDTH")
    parser.add_argument("--max-memory")
    parser.add_argument("--scene", type=Path)
    arguments = parser.parse_args()
    if arguments.scene:
        run(arguments.scene, arguments.max_memory)
        return
    from engine_overhead import write_scene

    first = 0.0
    for size in arguments.sizes:
        height, width = (int(side) for side in size.split("x"))
        with tempfile.TemporaryDirectory() as name:
            scene = write_scene(Path(name) / "scene.tif", height, width)
            command = [sys.executable, __file__, "--scene", str(scene)]
            command += ["--max-memory", arguments.max_memory] if arguments.max_memory else []
            told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
        result = {key: float(value) for key, value in json.loads(told).items()}
        peak, plan = result["peak"] / 2**20, result["plan"] / 2**20
        first = first or peak
        print(
            f"{size:>13}: peak {peak:.0f} MiB ({peak - first:+.0f}), estimate {plan:.0f} ({plan / peak:.2f} ×), "
            f"{result['blocks']:.0f} block(s), {result['seconds']:.1f} s, "
            f"{height * width / result['seconds'] / 1e6:.0f} million pixels a second",
            flush=True,
        )


if __name__ == "__main__":
    main()
