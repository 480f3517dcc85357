"""The research configuration's augmentation: resize, crop, flip, photometric distortion, pad.

Source: the training pipeline of the research configuration, which is mmsegmentation 0.24's.

Differs: values are not rounded to whole numbers between the steps, and hues are turned in float.
"""

from __future__ import annotations

from dataclasses import dataclass

import kornia.color
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from weft_geo.datasets.labels import IGNORE
from weft_geo.errors import InputError


@dataclass(frozen=True)
class ResearchAugmentation:
    """How training pictures vary. The defaults are the research configuration's.

    Attributes:
        long_side: a picture is resized, keeping its aspect, to fit (long_side, short_side) times a ratio.
        short_side: the other bound; both in pixels.
        scales: the ratio is drawn evenly from this range.
        crop: height and width of what comes out, in pixels.
        max_share: crops in which one class has this share or more are drawn again, up to ten times.
        flip: probability of mirroring left and right.
        photometric: distort brightness, contrast, saturation and hue.
    """

    long_side: int = 2048
    short_side: int = 512
    scales: tuple[float, float] = (0.5, 2.0)
    crop: int = 512
    max_share: float = 0.75
    flip: float = 0.5
    photometric: bool = True

    def __post_init__(self) -> None:
        low, high = self.scales
        if not 0 < low <= high:
            raise InputError(f"scales must be (low, high) with 0 < low ≤ high, got {self.scales}")
        if self.crop < 32 or self.short_side < 32 or self.long_side < self.short_side:
            raise InputError(
                f"crop and short_side must be at least 32 and long_side no less than short_side, got "
                f"{self.crop}, {self.short_side}, {self.long_side}"
            )


def augment(
    rng: np.random.Generator, image: Tensor, mask: Tensor, how: ResearchAugmentation, fill: tuple[float, ...]
) -> tuple[Tensor, Tensor]:
    """Vary a picture and its mask.

    Args:
        rng: of all random choices.
        image: float32 [3, H, W] on 0…255.
        mask: int64 [H, W].
        how: what to do.
        fill: per band, the value beside a picture that is smaller than the crop. With the mean it becomes 0 once
            normalised, as in the research configuration, which pads after normalising.

    Returns:
        float32 [3, crop, crop] and int64 [crop, crop], 255 where padded.
    """
    ratio = rng.uniform(*how.scales)
    image, mask = resize_to_fit(image, mask, int(how.long_side * ratio), int(how.short_side * ratio))
    top, left = _choose_crop(rng, mask, how)
    image, mask = (x[..., top : top + how.crop, left : left + how.crop] for x in (image, mask))
    if rng.random() < how.flip:
        image, mask = image.flip(-1), mask.flip(-1)
    if how.photometric:
        image = distort_colours(rng, image)
    return pad_to(image, mask, how.crop, fill)


def resize_to_fit(image: Tensor, mask: Tensor, long_side: int, short_side: int) -> tuple[Tensor, Tensor]:
    """Resize to the largest size whose sides do not exceed both bounds; bilinear, and nearest for the mask."""
    H, W = mask.shape
    scale = min(long_side / max(H, W), short_side / min(H, W))
    size = (max(int(H * scale + 0.5), 1), max(int(W * scale + 0.5), 1))
    if size == (H, W):
        return image, mask
    resized = F.interpolate(image[None], size, mode="bilinear", align_corners=False)[0]
    return resized, F.interpolate(mask[None, None].float(), size, mode="nearest")[0, 0].long()


def distort_colours(rng: np.random.Generator, image: Tensor) -> Tensor:
    """Brightness ± 32, contrast and saturation × 0.5…1.5, hue ± 36°, each with probability one half.

    Contrast comes before saturation and hue or after them, with equal probability.

    Args:
        rng: of all random choices.
        image: float32 [3, H, W] on 0…255.
    """
    if rng.random() < 0.5:
        image = image + float(rng.uniform(-32, 32))
    contrast = float(rng.uniform(0.5, 1.5)) if rng.random() < 0.5 else None
    contrast_first = rng.random() < 0.5
    image = image.clamp(0, 255)
    if contrast is not None and contrast_first:
        image = (image * contrast).clamp(0, 255)
    saturation = float(rng.uniform(0.5, 1.5)) if rng.random() < 0.5 else None
    turn = float(np.radians(rng.uniform(-36, 36))) if rng.random() < 0.5 else None
    if saturation is not None or turn is not None:
        hsv = kornia.color.rgb_to_hsv(image / 255)  # hue in radians
        if saturation is not None:
            hsv[1] = (hsv[1] * saturation).clamp(0, 1)
        if turn is not None:
            hsv[0] = (hsv[0] + turn) % (2 * np.pi)
        image = kornia.color.hsv_to_rgb(hsv) * 255
    if contrast is not None and not contrast_first:
        image = image * contrast
    return image.clamp(0, 255)


def pad_to(image: Tensor, mask: Tensor, side: int, fill: tuple[float, ...]) -> tuple[Tensor, Tensor]:
    """Pad at the bottom and the right to [3, side, side] and [side, side], the mask with 255."""
    H, W = mask.shape
    if (side, side) == (H, W):
        return image.contiguous(), mask.contiguous()
    padded = torch.tensor(fill, dtype=image.dtype)[:, None, None].repeat(1, side, side)
    padded[:, :H, :W] = image
    labels = torch.full((side, side), IGNORE, dtype=mask.dtype)
    labels[:H, :W] = mask
    return padded, labels


def _choose_crop(rng: np.random.Generator, mask: Tensor, how: ResearchAugmentation) -> tuple[int, int]:
    """(top, left) of the first of ten crops that shows more than one class, none above `max_share`, or of the last."""
    free = [max(side - how.crop, 0) for side in mask.shape]
    top = left = 0
    for _ in range(10):
        top, left = (int(rng.integers(0, space + 1)) for space in free)
        counts = torch.bincount(mask[top : top + how.crop, left : left + how.crop].flatten(), minlength=IGNORE + 1)
        counts = counts[:IGNORE]
        if (counts > 0).sum() > 1 and counts.max() < how.max_share * counts.sum():
            break
        if free == [0, 0]:
            break
    return top, left
