"""Peak memory of a run against the size of the scene, beside the estimate that --dry-run prints.

    python benchmarks/engine_memory.py [4096x4096 32768x4096 4096x16384 …] [--layers objects mask …] [--max-memory 1GB]
    python benchmarks/engine_memory.py --huge

A trivial predictor; each run is a process of its own, and what it starts itself is counted with it. Every size is
run with objects and a mask, and with ``--cases`` with each choice of layers. ``--huge`` runs 65,536² with a million
objects within 1 GB. The scenes are written first, and take about two bytes a pixel on disk.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil

SIZES = ["4096x4096", "32768x4096", "4096x16384"]
SUFFIXES = {"objects": ".gpkg", "mask": ".tif", "probability": ".tif"}
CASES = [["mask"], ["probability"], ["objects"], ["objects", "mask"], ["objects", "mask", "probability"]]


def run(scene: Path, layers: list[str], max_memory: str | None) -> None:
    from engine_overhead import trivial

    from weft_geo import predict_scene
    from weft_geo.inference import plan_scene

    wanted = {layer: layer in layers for layer in SUFFIXES}
    plan = plan_scene(scene, trivial(), **wanted, max_memory=max_memory)
    began = time.perf_counter()
    outputs = {layer: scene.parent / f"{layer}{SUFFIXES[layer]}" for layer in layers}
    report = predict_scene(scene, trivial(), **outputs, max_memory=max_memory)
    seconds = time.perf_counter() - began
    result = {"plan": plan.memory_bytes, "peak": report.peak_memory_bytes, "seconds": seconds, "blocks": plan.blocks}
    print(json.dumps(result | {"objects": report.objects or 0}))


def measure(scene: Path, layers: list[str], max_memory: str | None) -> dict[str, float]:
    command = [sys.executable, __file__, "--scene", str(scene), "--layers", *layers]
    command += ["--max-memory", max_memory] if max_memory else []
    peak = 0
    with psutil.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            with suppress(psutil.Error):  # one may end meanwhile
                both = [process, *process.children(recursive=True)]
                peak = max(peak, sum(one.memory_full_info().pss for one in both))
            time.sleep(0.01)
        told = json.loads(process.stdout.read().splitlines()[-1])
    for layer in layers:
        scene.with_name(f"{layer}{SUFFIXES[layer]}").unlink()
    return {key: float(value) for key, value in (told | {"peak": max(peak, told["peak"])}).items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("sizes", nargs="*", metavar="HEIGHTxWIDTH")
    parser.add_argument("--layers", nargs="+", choices=SUFFIXES, default=["objects", "mask"])
    parser.add_argument("--cases", action="store_true")
    parser.add_argument("--huge", action="store_true")
    parser.add_argument("--max-memory")
    parser.add_argument("--scene", type=Path)
    arguments = parser.parse_args()
    if arguments.scene:
        run(arguments.scene, arguments.layers, arguments.max_memory)
        return
    from engine_overhead import write_scene

    sizes, cases, max_memory = arguments.sizes or SIZES, [arguments.layers], arguments.max_memory
    if arguments.huge:
        sizes, cases, max_memory = ["65536x65536"], [["objects"]], "1GB"
    first = 0.0
    for size in sizes:
        height, width = (int(side) for side in size.split("x"))
        with tempfile.TemporaryDirectory() as name:
            scene = write_scene(Path(name) / "scene.tif", height, width)
            for layers in CASES if arguments.cases else cases:
                result = measure(scene, layers, max_memory)
                peak, plan = result["peak"] / 2**20, result["plan"] / 2**20
                first = first or peak
                print(
                    f"{size:>11} {', '.join(layers):>26}: peak {peak:.0f} MiB ({peak - first:+.0f}), "
                    f"estimate {plan:.0f} ({plan / peak:.2f} ×), {result['blocks']:.0f} block(s), "
                    f"{result['objects']:.0f} objects, {result['seconds']:.1f} s",
                    flush=True,
                )


if __name__ == "__main__":
    main()
