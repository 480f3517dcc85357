"""Test-time scales, flips and windows, as in the research configuration.

It resizes a picture to a short side of 512 · ratio for ratios 0.5, 1 and 1.5, but never below 512: so to 512, 512 and
768. Each is seen plain and mirrored, through windows of 512 px every 426 px whose scores are averaged; scores are
brought back to the picture's size, put through a softmax, and averaged over the six passes. Two of the three scales are
the same, so here four passes are computed and the smaller scale counts twice: the result is equal.

Differs: windows of one pass go through the model together, which changes nothing as long as ESTO takes its statistics
per image; a model that takes them over the batch sees its windows one by one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from weft_geo.models import Segmenter


@dataclass(frozen=True)
class TestPasses:
    """How a picture is shown to the model.

    Attributes:
        short_sides: of the resized picture, in pixels; None for the picture in its own size.
        weights: of each of these in the average.
        flip: also mirrored, at the same weight.
        window: side of the windows, in pixels.
        stride: from one window to the next.
    """

    short_sides: tuple[int | None, ...] = (512, 768)
    weights: tuple[float, ...] = (2 / 3, 1 / 3)
    flip: bool = True
    window: int = 512
    stride: int = 426


RESEARCH = TestPasses()
SIX_PASSES = TestPasses((512, 512, 768), (1 / 3, 1 / 3, 1 / 3))
"""The same without the saving, for tests."""
SINGLE = TestPasses((512,), (1.0,), flip=False)
OWN = TestPasses((None,), (1.0,), flip=False)
"""As a training validates, but for the windows over a large picture."""


@torch.inference_mode()
def object_probability(
    model: Segmenter,
    image: Tensor,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    passes: TestPasses = RESEARCH,
    batch_size: int = 4,
) -> NDArray[np.float32]:
    """The probability that a pixel belongs to any object.

    The averaged softmax of the research code lies between 0.27 and 0.73, since it takes the softmax of scores that are
    probabilities already. Here it is stretched to 0…1 by the difference of scores it stands for: (1 + logit) / 2. The
    decision at 0.5 is the research code's.

    Args:
        model: in evaluation mode.
        image: float32 [3, H, W] on 0…255.
        mean: per band.
        std: per band.
        passes: how the picture is shown.
        batch_size: windows that go through the model together.

    Returns:
        [H, W] on 0…1.
    """
    device = next(model.parameters()).device
    scale = [torch.tensor(values, device=device)[:, None, None] for values in (mean, std)]
    normal = ((image.to(device) - scale[0]) / scale[1])[None]
    size = (image.shape[1], image.shape[2])
    flips = (False, True) if passes.flip else (False,)
    total = torch.zeros(size, device=device)
    for short_side, weight in zip(passes.short_sides, passes.weights, strict=True):
        fitted = size if short_side is None else _fit(size, short_side)
        resized = F.interpolate(normal, fitted, mode="bilinear", align_corners=False)
        for flip in flips:
            scores = _slide(model, resized.flip(-1) if flip else resized, passes, batch_size)
            scores = F.interpolate(scores, size, mode="bilinear", align_corners=False)
            share = 1 - scores.softmax(dim=1)[0, 0]
            total += weight / len(flips) * (share.flip(-1) if flip else share)
    stretched: NDArray[np.float32] = ((1 + torch.logit(total, eps=1e-6)) / 2).clamp(0, 1).cpu().numpy()
    return stretched


def _fit(size: tuple[int, int], short_side: int) -> tuple[int, int]:
    scale = short_side / min(size)
    return int(size[0] * scale + 0.5), int(size[1] * scale + 0.5)


def _slide(model: Segmenter, image: Tensor, passes: TestPasses, batch_size: int) -> Tensor:
    """Average scores [1, K, H, W] of the windows over an image [1, 3, H, W]."""
    H, W = image.shape[2:]
    h, w = min(passes.window, H), min(passes.window, W)
    places = [(top, left) for top in _starts(H, h, passes.stride) for left in _starts(W, w, passes.stride)]
    together = 1 if model.config.esto_statistics == "batch" else batch_size
    total = count = None
    for first in range(0, len(places), together):
        some = places[first : first + together]
        windows = torch.cat([image[..., top : top + h, left : left + w] for top, left in some])
        scores = F.interpolate(model.semantic_scores(windows), (h, w), mode="bilinear", align_corners=False)
        if total is None or count is None:
            total, count = image.new_zeros(1, scores.shape[1], H, W), image.new_zeros(H, W)
        for score, (top, left) in zip(scores, some, strict=True):
            total[0, :, top : top + h, left : left + w] += score
            count[top : top + h, left : left + w] += 1
    assert total is not None
    assert count is not None
    return total / count


def _starts(side: int, window: int, stride: int) -> list[int]:
    """Where windows begin; the last one is shifted back inside."""
    number = max(side - window + stride - 1, 0) // stride + 1
    return [min(i * stride, side - window) for i in range(number)]
