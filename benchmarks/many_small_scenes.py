"""A folder of small scenes: the model alone, a loop of ``predict_scene``, and ``run_fleet``, which lets them overlap.

    python benchmarks/many_small_scenes.py [--count 64] [--size 512] [--rounds 3]

All in one process, in turns; medians and their ratios to the model alone, called on as many batches at a time as it
takes.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from engine_overhead import seconds, write_scene

from weft_geo import load_predictor, predict_scene
from weft_geo.inference import SceneTask, plan_scene, run_fleet
from weft_geo.inference.stages import several


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    predictor = load_predictor("embedded")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first = write_scene(folder / "0.tif", arguments.size, arguments.size)
        scenes = [first, *(folder / f"{number}.tif" for number in range(1, arguments.count))]
        for scene in scenes[1:]:
            shutil.copy(first, scene)
        plan = plan_scene(first, predictor)
        batch = np.zeros((1, predictor.contract.bands, *plan.window), np.float32)
        tasks = [SceneTask(str(scene), scene.with_suffix(".gpkg")) for scene in scenes]

        def alone() -> None:
            for _ in several(predictor, [batch] * (plan.windows * len(scenes)), predictor.concurrency, "alone"):
                pass

        def loop() -> None:
            for scene in scenes:
                predict_scene(scene, predictor, scene.with_suffix(".gpkg"), overwrite=True)

        def fleet() -> None:
            run_fleet(tasks, lambda: predictor, folder / "ledger.json", overwrite=True)

        kinds: dict[str, Callable[[], None]] = {"the model alone": alone, "a loop": loop, "run_fleet": fleet}
        times: dict[str, list[float]] = {kind: [] for kind in kinds}
        for _ in range(arguments.rounds):
            for kind, work in kinds.items():
                times[kind].append(seconds(work))
        reference = statistics.median(times["the model alone"])
        print(f"{arguments.count} scenes of {arguments.size} × {arguments.size} px, {plan.windows} windows each")
        for kind, some in times.items():
            median = statistics.median(some)
            print(f"{kind:>16}: {median:.2f} s, {median / reference:.2f} × the model alone")


if __name__ == "__main__":
    main()
