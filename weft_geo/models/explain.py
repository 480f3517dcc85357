"""What a Weft does inside with one image: the experts it chooses, and where ESTO sees boundaries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from weft_geo.errors import InputError
from weft_geo.models.esto import SubspaceTokenOptimizer
from weft_geo.models.expert_router import Routing
from weft_geo.models.segmenter import Segmenter, padded_size
from weft_geo.models.weft import Weft

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STRIDES = (4, 8, 16, 32)
WIDTH = 13.0  # of the picture, in inches
FOUND, CHOSEN, IDLE = "#ff00dc", "tab:blue", "lightgrey"


@dataclass(frozen=True)
class Explanation:
    """What happened in one forward pass on one image.

    Attributes:
        kernel_sizes: of the experts, in order.
        routings: what the router decided at strides 4, 8, 16 and 32; empty without TWE.
        boundaries: ESTO's boundary mask of each stage, [h, w] in (0, 1), cells of 16 px; empty without ESTO.
        probability: of being an object, [H, W].
        threshold: probability from which `predict` counts a pixel as an object, unless the user says otherwise.
    """

    kernel_sizes: tuple[int, ...]
    routings: tuple[Routing, ...]
    boundaries: tuple[Tensor, ...]
    probability: Tensor
    threshold: float

    def experts(self) -> list[dict[str, Any]]:
        """Per scale: the stride, and of each expert its kernel size, probability and weight (0 if not chosen)."""
        return [
            {
                "stride": stride,
                "experts": [
                    {"kernel_size": size, "probability": round(float(p), 6), "weight": round(float(w), 6)}
                    for size, p, w in zip(
                        self.kernel_sizes, routing.probabilities[0], routing.dense_weights()[0], strict=True
                    )
                ],
            }
            for stride, routing in zip(STRIDES, self.routings, strict=False)
        ]


@torch.no_grad()
def explain(model: Segmenter, image: Tensor | NDArray[np.float32]) -> Explanation:
    """Run a model on one image and keep what it decided.

    Args:
        model: a Weft in evaluation mode.
        image: [1, C, H, W], normalised as its contract says.

    Raises:
        InputError: the model is no Weft, so there are no experts to tell of.
    """
    if not isinstance(model, Weft):
        raise InputError(f"the strategy {model.config.strategy} has no wavelet experts; give a checkpoint of a WEFT")
    image = torch.as_tensor(image).to(next(model.parameters()).device)
    H, W = (padded_size(side) // 16 for side in image.shape[-2:])
    routings: list[Routing] = []
    boundaries: list[Tensor] = []

    def keep_routing(module: Any, inputs: tuple[Tensor, ...], output: Routing) -> None:
        routings.append(Routing(*(part.cpu() for part in output)))

    def keep_boundary(module: SubspaceTokenOptimizer, inputs: tuple[Tensor, ...]) -> None:
        boundaries.append(module.boundary_mask(inputs[0])[0, :, 0].view(H, W).cpu())

    hooks = []
    for part in model.modules():
        if isinstance(part, SubspaceTokenOptimizer):
            hooks.append(part.register_forward_pre_hook(keep_boundary))
    if model.expert_extractor.mixture is not None:
        hooks.append(model.expert_extractor.mixture.router.register_forward_hook(keep_routing))
    try:
        probability = 1 - model.probabilities(image)[0, 0]
    finally:
        for hook in hooks:
            hook.remove()
    sizes = model.config.expert_kernel_sizes
    return Explanation(sizes, tuple(routings), tuple(boundaries), probability.cpu(), model.contract.threshold)


def draw_explanation(found: Explanation, picture: NDArray[np.uint8]) -> Figure:
    """Draw the image, where objects are, where each stage sees boundaries, and the experts of each scale.

    Args:
        found: what `explain` gave.
        picture: uint8 [H, W, 3], the image for the eye.
    """
    from matplotlib.figure import Figure

    H, W = picture.shape[:2]
    panels = 2 + len(found.boundaries)
    most = 1 if H > W else 2 if W <= 2 * H else 3  # rows: tall pictures stand in one, very wide ones lie in three
    columns = -(-panels // most)
    rows = -(-panels // columns)
    height = rows * (WIDTH / columns * H / W + 0.35)
    bars = 3.0 if found.routings else 0.0
    figure = Figure(figsize=(WIDTH, height + bars + 0.3), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=(height, bars)) if bars else (figure,)
    pictures, *below = parts
    axes: Any = pictures.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.axis("off")
    axes[0].imshow(picture)
    axes[0].set_title("image")
    axes[1].imshow(picture)
    _outline(axes[1], found.probability.numpy(), found.threshold)
    grey = np.broadcast_to(picture.mean(axis=2, keepdims=True).astype(np.uint8), picture.shape)
    for stage, (axis, mask) in enumerate(zip(axes[2:], found.boundaries, strict=False), start=1):
        axis.imshow(grey)
        # Cells of 16 px; the last ones reach over the edge, where the model pads.
        extent = (0, 16 * mask.shape[1], 16 * mask.shape[0], 0)
        shown = axis.imshow(
            mask.numpy(), cmap="inferno", vmin=0, vmax=1, alpha=0.6, extent=extent, interpolation="bilinear"
        )
        axis.set(xlim=(0, W), ylim=(H, 0), title=f"ESTO, stage {stage}")
    if found.boundaries:
        bar = pictures.colorbar(shown, ax=axes.tolist(), shrink=0.6, aspect=30, pad=0.01, ticks=(0, 0.5, 1))
        bar.set_label("ESTO's boundary mask\n0.5: the image's mean", fontsize=8)
    if below:
        _experts(below[0], found)
    return figure


def _outline(axis: Any, probability: NDArray[np.float32], threshold: float) -> None:
    """The probability as a veil of colour, and the line that `predict` draws by default."""
    axis.imshow(probability, cmap="Blues", vmin=0, vmax=1, alpha=0.75 * np.clip(probability, 0, 1))
    if probability.min() < threshold < probability.max():
        axis.contour(probability, levels=[threshold], colors=[FOUND], linewidths=1.2)
    axis.set_title(f"objects: line at {threshold:g}")


def _experts(figure: Any, found: Explanation) -> None:
    """A bar an expert and scale, as high as the gate's probability; the chosen ones with their weight."""
    figure.suptitle("wavelet experts by kernel size: gate probability; those chosen in colour, with their weight")
    axes = figure.subplots(1, len(found.routings), sharey=True, squeeze=False)[0]
    names = [f"{size}×{size}" for size in found.kernel_sizes]
    for axis, stride, routing in zip(axes, STRIDES, found.routings, strict=False):
        weights, heights = routing.dense_weights()[0].tolist(), routing.probabilities[0].numpy()
        axis.bar(names, heights, color=[CHOSEN if weight else IDLE for weight in weights])
        for place, (weight, top) in enumerate(zip(weights, heights, strict=True)):
            if weight:
                axis.annotate(f"{weight:.2f}".lstrip("0"), (place, top), ha="center", va="bottom", fontsize=8)
        axis.set_title(f"stride {stride}")
        axis.tick_params(axis="x", labelrotation=45, labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
        axis.margins(y=0.12)
