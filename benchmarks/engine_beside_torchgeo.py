"""One scene to polygons: weft-geo beside a plain torchgeo script on the same model and scene.

    python benchmarks/engine_beside_torchgeo.py [--size 2048] [--model embedded|trivial] [--rounds 2]

The script is what one writes with torchgeo: a RasterDataset, a GridGeoSampler with the same window and overlap, a
DataLoader, sums and counts of the whole scene in memory, a threshold, rasterio.features.shapes, a GeoDataFrame. Both
run the same ONNX file by ONNX Runtime with the same threads. Each run is a process of its own, from start to end; runs
alternate.
Wall time and peak resident memory are printed, and their ratios.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

KINDS = ("weft-geo", "torchgeo")


def run_weft_geo(scene: Path, model: str, out: Path) -> int:
    from engine_overhead import trivial

    from weft_geo import load_predictor, predict_scene

    predictor = trivial() if model == "trivial" else load_predictor(model)
    return predict_scene(scene, predictor, out, overwrite=True).objects or 0


def run_torchgeo(scene: Path, model: str, out: Path) -> int:
    import geopandas
    import numpy as np
    import rasterio
    import rasterio.features
    import shapely.geometry
    import torch
    from engine_overhead import trivial
    from torch.utils.data import DataLoader
    from torchgeo.datasets import RasterDataset, stack_samples
    from torchgeo.samplers import GridGeoSampler

    from weft_geo import load_predictor

    class Scene(RasterDataset):
        filename_glob = scene.name
        is_image = True

    predictor = trivial() if model == "trivial" else load_predictor(model)
    contract = predictor.contract
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (contract.means, contract.stds))
    dataset = Scene(str(scene.parent))
    sampler = GridGeoSampler(dataset, size=contract.window, stride=contract.window - contract.overlap)
    with rasterio.open(scene) as source:
        height, width, transform, crs = source.height, source.width, source.transform, source.crs
    total, count = np.zeros((2, height, width), np.float32)
    for batch in DataLoader(dataset, batch_size=4, sampler=sampler, collate_fn=stack_samples):
        images = ((batch["image"] - mean) / std).numpy()
        for probability, bounds in zip(predictor(images)[:, 0], batch["bounds"], strict=True):
            x, y = bounds[0], bounds[1]
            col, row = ~transform @ (x.start, y.stop)
            top, left = round(row), round(col)  # the grid starts at the lower left, so windows hang over at the top
            up, side = max(top, 0), max(left, 0)
            inside = probability[up - top : height - top, side - left : width - left]
            part = np.s_[up : up + inside.shape[0], side : side + inside.shape[1]]
            total[part] += inside
            count[part] += 1
    mask = (total / np.maximum(count, 1) >= contract.threshold).astype(np.uint8)
    found = rasterio.features.shapes(mask, mask=mask == 1, connectivity=8, transform=transform)
    polygons = [shapely.geometry.shape(shape) for shape, _ in found]
    geopandas.GeoDataFrame(geometry=polygons, crs=crs).to_file(out, layer="objects")
    return len(polygons)


def measure(kind: str, scene: Path, model: str, out: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--run", kind, "--scene", str(scene), "--model", model, "--out", str(out)]
    began = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result | {"seconds": time.perf_counter() - began}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--run", choices=KINDS)
    parser.add_argument("--scene", type=Path)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.run:
        from weft_geo.geo.memory import peak_memory_bytes

        work = run_weft_geo if arguments.run == "weft-geo" else run_torchgeo
        objects = work(arguments.scene, arguments.model, arguments.out)
        print(json.dumps({"objects": objects, "bytes": peak_memory_bytes()}))
        return
    from engine_overhead import write_scene

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scene = write_scene(folder / "scene.tif", arguments.size, arguments.size)
        runs: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
        for number in range(arguments.rounds):
            for kind in KINDS if number % 2 == 0 else KINDS[::-1]:
                result = measure(kind, scene, arguments.model, folder / f"{kind}.gpkg")
                runs[kind].append(result)
                print(
                    f"{kind:>9}: {result['seconds']:.1f} s, {result['bytes'] / 2**20:.0f} MiB, "
                    f"{result['objects']:.0f} objects",
                    flush=True,
                )
        for what in ("seconds", "bytes"):
            ours, theirs = (statistics.median(run[what] for run in runs[kind]) for kind in KINDS)
            print(f"torchgeo takes {theirs / ours:.2f} × the {'time' if what == 'seconds' else 'memory'}")


if __name__ == "__main__":
    main()
