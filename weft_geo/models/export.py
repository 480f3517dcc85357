"""To ONNX, with the contract inside, so that a file is all that inference needs."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from weft_geo.errors import MissingExtraError, RunError
from weft_geo.geo.contract import METADATA_KEY, NAME_KEY
from weft_geo.geo.whole_files import written_whole
from weft_geo.models.checkpoint import load_checkpoint
from weft_geo.models.segmenter import Segmenter

OPSET = 17
MULTIPLE_OF = 64  # then the map of stride 32 has even sides, and no wavelet convolution has to pad
TOLERANCE = 1e-3


class ObjectProbabilities(nn.Module):
    """What the file computes: images → probabilities of the classes of objects, the background left out."""

    def __init__(self, model: Segmenter) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """[B, C, H, W] → [B, K − 1, H, W]."""
        return self.model.probabilities(images)[:, 1:]


@dataclass(frozen=True)
class ExportReport:
    """What was written.

    Attributes:
        path: the file.
        bytes: its size.
        largest_difference: between torch and ONNX Runtime on one image, or None if it was not checked.
    """

    path: Path
    bytes: int
    largest_difference: float | None


def export_onnx(
    model: Segmenter | str | Path, output: str | Path, *, check: bool = False, image: np.ndarray[Any, Any] | None = None
) -> ExportReport:
    """Write a model as ONNX for ONNX Runtime.

    The file takes float32 images [B, C, H, W], normalised as its contract says, H and W multiples of 64, and
    gives probabilities [B, classes, H, W]. On a trunk whose tables of positions timm fits to one size when it is traced
    (SAM's), H and W are the contract's window.

    Args:
        model: a model, or the path of a checkpoint.
        output: the file, `*.onnx`; written whole or not at all.
        check: compare torch and ONNX Runtime.
        image: float32 [1, C, H, W] to compare on; None for noise.

    Raises:
        MissingExtraError: the "train" extra is not there.
        CheckpointError: the checkpoint cannot be read.
        RunError: the two differ by more than a thousandth.
    """
    try:
        import onnx
    except ImportError as error:
        raise MissingExtraError("the ONNX export", "train") from error

    weft = model if isinstance(model, Segmenter) else load_checkpoint(model)
    window = -(-weft.contract.window // MULTIPLE_OF) * MULTIPLE_OF
    contract = replace(weft.contract, window=window, multiple_of=MULTIPLE_OF)
    target = Path(output)
    graph = ObjectProbabilities(weft).eval()
    example = torch.zeros(2, contract.bands, window, window)
    free = {0: "batch"} | ({2: "height", 3: "width"} if weft.trunk.any_size_when_traced else {})
    with written_whole(target) as beside, _known_repeat_interleave():
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # the tracer warns of every size that it fixes; they are fixed on purpose
            torch.onnx.export(
                graph,
                (example,),
                str(beside),
                input_names=["images"],
                output_names=["probabilities"],
                dynamic_axes={"images": free, "probabilities": free},
                opset_version=OPSET,
                dynamo=False,
            )
        written = onnx.load(beside)
        written.graph.ClearField("value_info")  # the tracer's guesses at sizes in between, wrong ones among them
        for key, value in (
            (METADATA_KEY, contract.to_json()),
            (NAME_KEY, contract.name),
            ("weft_geo.config", json.dumps({"classes": weft.config.classes, "embed_dim": weft.config.embed_dim})),
        ):
            entry = written.metadata_props.add()
            entry.key, entry.value = key, value
        onnx.checker.check_model(written)
        onnx.save(written, beside)
        _fold_constants(beside)
        difference = compare(graph, beside, image) if check else None
        if difference is not None and difference > TOLERANCE:
            raise RunError(
                f"ONNX Runtime differs from torch by {difference:.2g}, more than {TOLERANCE:g}; nothing was written"
            )
    return ExportReport(target, target.stat().st_size, difference)


@contextmanager
def _known_repeat_interleave() -> Iterator[None]:
    """Lets the exporter take our form of an operator while the block runs."""
    exporter: Any = torch.onnx  # whose list of names leaves out the two that register an operator
    exporter.register_custom_op_symbolic("aten::repeat_interleave", _repeat_interleave, OPSET)
    try:
        yield
    finally:
        exporter.unregister_custom_op_symbolic("aten::repeat_interleave", OPSET)


def _repeat_interleave(g: Any, x: Any, repeats: Any, dim: Any, output_size: Any = None) -> Any:
    """[…, N] → […, N · repeats]: every value of the last axis side by side with itself, as EVA-02's rotary angles are.

    The exporter's own form of it spoils what it knows of shapes, and with that whatever comes later in the graph.
    """
    times, axis, rank = repeats.node().t("value").item(), dim.node().t("value").item(), x.type().dim()
    if axis not in (-1, rank - 1):
        raise RunError(f"repeat_interleave of axis {axis} cannot be exported, only of the last one")
    column = g.op("Unsqueeze", x, g.op("Constant", value_t=torch.tensor([rank])))
    repeated = g.op("Concat", *[column] * times, axis_i=rank)
    return g.op("Reshape", repeated, g.op("Constant", value_t=torch.tensor([0] * (rank - 1) + [-1])))


def _fold_constants(file: Path) -> None:
    """Halve the nodes of a graph, and with them the time it takes to load, by what ONNX Runtime knows to be constant.

    Its basic optimisations alone: they leave standard operators, which run anywhere; the others it does when it loads.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(file)
    try:
        onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # of its own kinds, none of which says that the disk is full
        raise RunError(f"{file.parent} did not take the model: {error}; is the disk full?") from error


def compare(graph: ObjectProbabilities, file: Path, image: np.ndarray[Any, Any] | None = None) -> float:
    """The largest absolute difference between torch and ONNX Runtime on one image."""
    import onnxruntime

    contract = graph.model.contract
    if image is None:
        shape = (1, contract.bands, contract.window, contract.window)
        image = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"images": image})
    with torch.no_grad():
        expected = graph(torch.from_numpy(image)).numpy()
    return float(np.abs(found - expected).max())
