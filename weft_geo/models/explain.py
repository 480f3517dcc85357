"""What a Weft does inside with one image: the experts it chooses, and where ESTO sees boundaries."""

from __future__ import annotations

from collections.abc import Callable
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


@dataclass(frozen=True)
class Explanation:
    """What happened in one forward pass on one image.

    Attributes:
        kernel_sizes: of the experts, in order.
        routings: what the router decided at strides 4, 8, 16 and 32; empty without TWE.
        boundaries: ESTO's boundary mask of each stage, [h, w] in (0, 1), cells of 16 px; empty without ESTO.
        probability: of being an object, [H, W].
    """

    kernel_sizes: tuple[int, ...]
    routings: tuple[Routing, ...]
    boundaries: tuple[Tensor, ...]
    probability: Tensor

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
    image = torch.as_tensor(image)
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
    return Explanation(sizes, tuple(routings), tuple(boundaries), probability.cpu())


def draw_explanation(found: Explanation, picture: Any) -> Figure:
    """Draw the image, its probability, the boundary mask of each stage, and the experts of each scale.

    Args:
        found: what `explain` gave.
        picture: uint8 [H, W, 3], the image for the eye.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 9), layout="constrained")
    rows: Any = figure.subfigures(3, 1, height_ratios=(1.2, 1, 1))
    for axis, (title, values, options) in zip(
        rows[0].subplots(1, 2),
        (("image", picture, {}), ("probability of an object", found.probability.numpy(), {"vmin": 0, "vmax": 1})),
        strict=True,
    ):
        _show(axis, title, values, **options)
    for stage, mask in enumerate(found.boundaries):
        title = f"ESTO boundary mask, stage {stage + 1}"
        _show(rows[1].add_subplot(1, 4, stage + 1), title, mask.numpy(), cmap="magma", vmin=0, vmax=1)
    axes: Callable[..., Any] = rows[2].add_subplot
    for scale, routing in enumerate(found.routings):
        axis = axes(1, 4, scale + 1)
        weights = routing.dense_weights()[0]
        names = [f"{size}×{size}" for size in found.kernel_sizes]
        axis.bar(names, routing.probabilities[0].numpy(), color=["tab:blue" if w > 0 else "lightgrey" for w in weights])
        axis.set_title(f"experts at stride {STRIDES[scale]}: {', '.join(_chosen(found, routing))}", fontsize=9)
        axis.tick_params(axis="x", labelrotation=60, labelsize=8)
        axis.set_ylabel("gate probability" if scale == 0 else "")
    return figure


def _chosen(found: Explanation, routing: Routing) -> list[str]:
    return [f"{found.kernel_sizes[int(index)]}" for index in routing.indices[0]]


def _show(axis: Any, title: str, values: Any, **options: Any) -> None:
    axis.imshow(np.asarray(values), **options)
    axis.set_title(title, fontsize=9)
    axis.axis("off")
