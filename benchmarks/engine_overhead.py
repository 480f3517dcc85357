"""What the engine adds: to a plain read of the scene, and to the model alone on the same windows.

    python benchmarks/engine_overhead.py [--size 4096 | --scene FILE] [--compress deflate] [--rounds 5]
                                         [--model embedded] [--model-rounds 1]

With a trivial predictor (a threshold of one band), ``predict_scene`` runs beside rasterio reading the same file in rows
of blocks: one that is given normalised float32 windows, as a model on the CPU is, and one that is given them as they
are stored, as a model on a GPU is. With a real model it runs beside the model called on the same batches of windows,
already cut and normalised, as many at a time as it takes. Runs alternate; medians and their ratios are printed. All in
one process, imports done before.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine

from weft_geo import CallablePredictor, ModelContract, load_predictor, predict_scene
from weft_geo.inference import Predictor
from weft_geo.inference.blending import LEVELS
from weft_geo.inference.plan import open_job
from weft_geo.inference.stages import several
from weft_geo.inference.stored_windows import Levels, StoredWindows
from weft_geo.inference.strips import StripReader

BLOCK = 512
BRIGHT = ModelContract(window=512, overlap=128, name="bright")


def write_scene(path: Path, height: int, width: int, pitch: int = 64, compress: str = "deflate") -> Path:
    """A textured RGB GeoTIFF of 512 px tiles, with one bright disc in every ``pitch`` × ``pitch`` pixels."""
    rng = np.random.default_rng(0)
    texture = rng.integers(0, 24, (3, BLOCK, width), np.uint8)
    col = np.arange(width)
    profile = {"driver": "GTiff", "count": 3, "height": height, "width": width, "dtype": "uint8", "photometric": "rgb"}
    profile |= {"tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK, "compress": compress, "interleave": "pixel"}
    if compress == "jpeg":
        profile |= {"photometric": "ycbcr"}
    elif compress != "none":
        profile |= {"predictor": 2}
    profile |= {"crs": "EPSG:32645", "transform": Affine(0.3, 0, 300_000, 0, -0.3, 3_000_000), "bigtiff": "if_safer"}
    with rasterio.open(path, "w", **profile) as target:
        for top in range(0, height, BLOCK):
            row = np.arange(top, min(top + BLOCK, height))[:, None]
            disc = (row % pitch - pitch // 2) ** 2 + (col % pitch - pitch // 2) ** 2 < (pitch * 5 // 16) ** 2
            values = np.roll(texture[:, : len(row)], top * 7, axis=2) + (60 + 120 * disc).astype(np.uint8)
            target.write(values, window=((top, top + len(row)), (0, width)))
    return path


def bright(images: np.ndarray) -> np.ndarray:
    return (images[:, :1] > 120) * np.float32(0.9)


def trivial(sha256: str = "") -> CallablePredictor:
    return CallablePredictor(bright, BRIGHT, sha256=sha256)


class BrightAsStored:
    """The same model given windows as they are stored; it answers levels, as one on a GPU does."""

    contract = BRIGHT
    name, sha256, device, fixed_size, concurrency, takes_stored = "bright", "", "cpu", False, 1, True

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """The model as any other."""
        return bright(images)

    def answer(self, windows: StoredWindows) -> Levels:
        """The model as the engine calls it."""
        levels = (windows.values[:, :1] > 120) * np.uint16(0.9 * LEVELS)
        answered = np.array([0, 0.9], np.float32).repeat(len(levels)).reshape(2, -1)
        return Levels(levels, *answered)


def read_plainly(scene: Path) -> None:
    with rasterio.open(scene) as dataset:
        for top in range(0, dataset.height, BLOCK):
            dataset.read(window=((top, min(top + BLOCK, dataset.height)), (0, dataset.width)))


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def beside_a_read(scene: Path, folder: Path, rounds: int) -> None:
    kinds: dict[str, Callable[[], object]] = {
        "plain read": lambda: read_plainly(scene),
        "mask": lambda: predict_scene(scene, trivial(), mask=folder / "m.tif", overwrite=True),
        "objects": lambda: predict_scene(scene, trivial(), folder / "o.gpkg", overwrite=True),
        "mask, as stored": lambda: predict_scene(scene, BrightAsStored(), mask=folder / "m.tif", overwrite=True),
        "objects, as stored": lambda: predict_scene(scene, BrightAsStored(), folder / "o.gpkg", overwrite=True),
        "objects, journal": lambda: predict_scene(scene, trivial("0" * 64), folder / "o.gpkg", overwrite=True),
    }
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(rounds + 1):
        for kind, work in kinds.items():
            times[kind].append(seconds(work))
    medians = {kind: statistics.median(some[1:]) for kind, some in times.items()}  # the first round warms up
    for kind, median in medians.items():
        print(f"{kind:>20}: {median:.3f} s, {median / medians['plain read']:.2f} × a plain read", flush=True)


def model_alone(scene: Path, predictor: Predictor) -> float:
    """Time for every batch that the engine would give the model, as many at a time as it takes, nothing else going on.

    All batches are held in memory: 4 · bands · 512² bytes a window.
    """
    with open_job(scene, predictor) as job:
        (block,) = job.blocks
        reader = StripReader(job, block, as_stored=False)
        with closing(reader.batches()) as batches:
            images = [batch.images.copy() for batch in batches if len(batch.images)]

    def run() -> None:
        for _ in several(predictor, images, predictor.concurrency, "alone"):
            pass

    return seconds(run)


def beside_the_model(scene: Path, folder: Path, model: str, rounds: int) -> None:
    predictor = load_predictor(model)
    predictor(np.zeros((1, predictor.contract.bands, predictor.contract.window, predictor.contract.window), np.float32))
    fastest = [float("inf")] * 2
    for number in range(rounds):
        runs: list[Callable[[], float]] = [
            lambda: model_alone(scene, predictor),
            lambda: seconds(lambda: predict_scene(scene, predictor, folder / "o.gpkg", overwrite=True)),
        ]
        order = [0, 1] if number % 2 == 0 else [1, 0]
        times = {which: runs[which]() for which in order}
        fastest = [min(fastest[which], times[which]) for which in (0, 1)]
        ratio = times[1] / times[0]
        print(f"{model}: alone {times[0]:.1f} s, in the engine {times[1]:.1f} s, ratio {ratio:.3f}", flush=True)
    print(f"{model}: ratio of the fastest runs {fastest[1] / fastest[0]:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--compress", default="deflate", help="of the scene; none, or any that GDAL has for a GeoTIFF")
    parser.add_argument("--scene", type=Path, help="in place of one that is made")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--model-rounds", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scene = arguments.scene or write_scene(
            folder / "scene.tif", arguments.size, arguments.size, compress=arguments.compress
        )
        if arguments.rounds:
            beside_a_read(scene, folder, arguments.rounds)
        if arguments.model_rounds:
            beside_the_model(scene, folder, arguments.model, arguments.model_rounds)


if __name__ == "__main__":
    main()
