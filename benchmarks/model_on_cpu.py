"""weft-tiny on a CPU: batches beside each other or threads inside them, and what int8 gains and loses.

    python benchmarks/model_on_cpu.py [--scene scene.tif --truth truth.geojson]

Ratios of time are medians of alternating calls on 512² windows. int8 is ONNX Runtime's own quantisation: dynamic of the
weights of matrix products, and static with calibration on synthetic scenes. With a scene of your own and its truth,
each variant's objects are scored as ``weft-geo evaluate`` does.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.resources import files
from pathlib import Path
from statistics import median

import geopandas
import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static

from weft_geo import load_predictor, predict_scene
from weft_geo.datasets.synthetic import draw_scene
from weft_geo.vector import match_objects

ROUNDS = 5
CALIBRATION = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scene", type=Path)
    parser.add_argument("--truth", type=Path)
    arguments = parser.parse_args()
    shipped = Path(str(files("weft_geo.weights").joinpath("weft-tiny.onnx")))
    threads_or_batches(shipped)
    with tempfile.TemporaryDirectory() as folder:
        variants = {"float32": shipped} | quantise(shipped, Path(folder))
        int8(variants)
        if arguments.scene:
            score(variants, arguments.scene, arguments.truth, Path(folder))


def threads_or_batches(model: Path) -> None:
    images = windows(1, 512, 50)
    inside, beside = session(model, 2), session(model, 1)
    with ThreadPoolExecutor(2) as pool:

        def side_by_side() -> None:
            list(pool.map(lambda _: beside.run(None, {"images": images}), range(2)))

        def one_by_one() -> None:
            for _ in range(2):
                inside.run(None, {"images": images})

        within, between = alternate([one_by_one, side_by_side], time.perf_counter)
    print(f"2 windows, 2 threads inside each: {1000 * within:.0f} ms; side by side: {1000 * between:.0f} ms", end="; ")
    print(f"ratio {within / between:.2f}")


def int8(variants: dict[str, Path]) -> None:
    for batch in (1, 4):
        images = windows(batch, 512, 50)
        sessions = [session(path, 1) for path in variants.values()]
        runs = [partial(one.run, None, {"images": images}) for one in sessions]
        # The process's own time, which other programs on the machine do not lengthen; there is one thread.
        seconds = alternate(runs, time.process_time)
        first = runs[0]()[0]
        for name, run, taken in zip(variants, runs, seconds, strict=True):
            found = run()[0]
            both, any_ = (found > 0.5) & (first > 0.5), (found > 0.5) | (first > 0.5)
            print(
                f"batch {batch}, {name}: {1000 * taken / batch:.0f} ms a window, {seconds[0] / taken:.2f} × as fast; "
                f"probabilities differ by {np.abs(found - first).max():.3f} at most, IoU with float32 "
                f"{both.sum() / any_.sum():.3f}"
            )


def score(variants: dict[str, Path], scene: Path, truth: Path, folder: Path) -> None:
    for name, path in variants.items():
        predict_scene(scene, load_predictor(path, device="cpu"), objects=folder / "found.gpkg", overwrite=True)
        found = geopandas.read_file(folder / "found.gpkg", layer="objects")
        result = match_objects(found, geopandas.read_file(truth))
        print(f"{scene.name}, {name}: area IoU {result.area_iou:.3f}, F1 {result.f1:.3f}, {len(found)} objects")


def alternate(runs: list[Callable[[], object]], clock: Callable[[], float]) -> list[float]:
    """The median time of each, called in turns."""
    taken: list[list[float]] = [[] for _ in runs]
    for round_ in range(ROUNDS + 1):
        for times, run in zip(taken, runs, strict=True):
            began = clock()
            run()
            if round_:  # the first one warms up
                times.append(clock() - began)
    return [median(times) for times in taken]


def session(model: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def windows(count: int, size: int, seed: int) -> np.ndarray:
    """Synthetic windows as the model is given them: float32 [count, 3, size, size]."""
    contract = load_predictor("embedded", device="cpu").contract
    mean, std = (np.array(values, np.float32)[:, None, None] for values in (contract.mean, contract.std))
    images = []
    for number in range(count):
        image = draw_scene(size, size, seed=seed + number, gsd_m=contract.gsd_m).image.astype(np.float32)
        low, high = image.min(), image.max()
        images.append(((image - low) * (255 / (high - low)) - mean) / std)
    return np.stack(images).astype(np.float32)


class Calibration(CalibrationDataReader):
    """Synthetic windows, one after the other."""

    def __init__(self) -> None:
        self._rest: Iterator[np.ndarray] = iter(windows(CALIBRATION, 256, 900))

    def get_next(self) -> dict[str, np.ndarray] | None:
        """As ONNX Runtime asks for them."""
        image = next(self._rest, None)
        return None if image is None else {"images": image[None]}


def quantise(model: Path, folder: Path) -> dict[str, Path]:
    """Each variant of int8 by name."""
    logging.disable(logging.WARNING)
    graph = onnx.load(model).graph
    constants = {tensor.name for tensor in graph.initializer}
    between_activations = [
        node.name for node in graph.node if node.op_type == "MatMul" and not constants.intersection(node.input)
    ]
    made = {name: folder / f"{number}.onnx" for number, name in enumerate(("dynamic", "static", "static with Conv"))}
    dynamic, static, with_conv = made.values()
    quantize_dynamic(model, dynamic, op_types_to_quantize=["MatMul"], per_channel=True, weight_type=QuantType.QInt8)
    for path, kinds in ((static, ["MatMul", "Gemm"]), (with_conv, ["MatMul", "Gemm", "Conv"])):
        quantize_static(
            model,
            path,
            Calibration(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=kinds,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=between_activations,
        )
    return made


if __name__ == "__main__":
    main()
