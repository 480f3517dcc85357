"""Random chips of labelled scenes, turned, scaled, mirrored and recoloured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from weft_geo.datasets.scenes import IGNORE, LabelledScene


@dataclass(frozen=True)
class Augmentation:
    """How chips vary.

    Attributes:
        scale: a chip shows the ground at 1/scale of the scene's pixel size, scale drawn log-uniformly from this range.
        turn: any angle, and mirrored; otherwise upright.
        brightness: added to all values, ± this share of 255.
        contrast: factor drawn from 1 ± this.
        gamma: exponent drawn log-uniformly from 1/(1 + this) … 1 + this.
        colour: each channel times 1 ± this.
        grey: probability of losing most of the colour.
        blur: probability of a blur of up to one pixel.
        noise: standard deviation of added noise, up to this share of 255.
    """

    scale: tuple[float, float] = (0.6, 1.8)
    turn: bool = True
    brightness: float = 0.15
    contrast: float = 0.35
    gamma: float = 0.45
    colour: float = 0.12
    grey: float = 0.1
    blur: float = 0.25
    noise: float = 0.03


class RandomChips(Dataset[dict[str, Tensor]]):
    """Chips drawn at random from scenes, more often from larger scenes; half of them around a labelled object.

    An item depends on its index and the seed alone, so that a run can be resumed and repeated.

    Args:
        scenes: what to draw from.
        size: height and width of a chip, in pixels.
        length: how many items to offer.
        augmentation: how chips vary.
        seed: of the random choices.
        weights: how often to draw from each scene; None for its area.
    """

    def __init__(
        self,
        scenes: Sequence[LabelledScene],
        size: int,
        length: int,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        weights: Sequence[float] | None = None,
    ) -> None:
        self.scenes, self.size, self.length, self.seed = scenes, size, length, seed
        self.augmentation = augmentation or Augmentation()
        chances = np.asarray(weights if weights is not None else [s.labels.size for s in scenes], dtype=float)
        self._chances = chances / chances.sum()
        self._objects = [np.flatnonzero(s.labels == 1) for s in scenes]

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """An item: "image" float32 [3, size, size] on 0…255 and "mask" int64 [size, size], 255 outside the scene."""
        rng = np.random.default_rng((self.seed, index))
        chosen = int(rng.choice(len(self.scenes), p=self._chances))
        image, labels = self._cut(rng, chosen)
        return {"image": recolour(rng, image, self.augmentation), "mask": labels}

    def _cut(self, rng: np.random.Generator, chosen: int) -> tuple[Tensor, Tensor]:
        scene, size, change = self.scenes[chosen], self.size, self.augmentation
        H, W = scene.labels.shape
        objects = self._objects[chosen]
        if len(objects) and rng.random() < 0.5:
            row, column = divmod(int(rng.choice(objects)), W)
            row, column = row + rng.normal() * size / 4, column + rng.normal() * size / 4
        else:
            row, column = rng.uniform(0, H), rng.uniform(0, W)
        zoom = math.exp(rng.uniform(*np.log(change.scale)))
        angle = rng.uniform(0, 2 * math.pi) if change.turn else 0.0
        mirror = -1.0 if change.turn and rng.random() < 0.5 else 1.0

        # The part of the scene that the turned chip can reach, averaged down first when the chip shows more ground.
        reach = math.ceil(size / zoom * 0.7072) + 2
        row, column = np.clip((row, column), 0, (H, W))
        top, left = max(int(row) - reach, 0), max(int(column) - reach, 0)
        bottom, right = min(int(row) + reach, H), min(int(column) + reach, W)
        part = torch.from_numpy(scene.image[:, top:bottom, left:right].astype(np.float32))
        truth = torch.from_numpy(scene.labels[top:bottom, left:right].astype(np.float32))

        step = torch.arange(size, dtype=torch.float32) - (size - 1) / 2
        down, across = torch.meshgrid(step / zoom, step / zoom * mirror, indexing="ij")
        rows = row - top + math.cos(angle) * down + math.sin(angle) * across
        columns = column - left - math.sin(angle) * down + math.cos(angle) * across
        h, w = truth.shape
        grid = torch.stack((2 * columns / w - 1, 2 * rows / h - 1), dim=-1)[None]
        if zoom < 0.75:
            part = F.avg_pool2d(F.pad(part[None], (1, 1, 1, 1), mode="replicate"), 3, stride=1)[0]
        chip = F.grid_sample(part[None], grid, mode="bilinear", padding_mode="border", align_corners=False)[0]
        nearest = F.grid_sample(truth[None, None], grid, mode="nearest", padding_mode="border", align_corners=False)
        outside = (grid[0].abs() > 1).any(dim=-1)
        return chip, nearest[0, 0].long().masked_fill(outside, IGNORE)


class WholeScenes(Dataset[dict[str, Tensor]]):
    """Scenes as they are, each one item, for validation.

    Args:
        scenes: what to offer.
    """

    def __init__(self, scenes: Sequence[LabelledScene]) -> None:
        self.scenes = scenes

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """An item: "image" float32 [3, H, W] on 0…255 and "mask" int64 [H, W], 255 where nothing is known."""
        scene = self.scenes[index]
        return {"image": torch.from_numpy(scene.image).float(), "mask": torch.from_numpy(scene.labels).long()}


def recolour(rng: np.random.Generator, image: Tensor, change: Augmentation) -> Tensor:
    """Photometric changes of float32 [3, H, W] on 0…255."""
    x = image / 255
    gamma = math.exp(rng.uniform(-1, 1) * math.log1p(change.gamma))
    x = x.clamp(0, 1) ** gamma
    gains = torch.tensor(1 + rng.uniform(-1, 1, 3) * change.colour, dtype=torch.float32)[:, None, None]
    x = x * gains
    mean = x.mean()
    x = (x - mean) * (1 + rng.uniform(-1, 1) * change.contrast) + mean + rng.uniform(-1, 1) * change.brightness
    if rng.random() < change.grey:
        x = torch.lerp(x, x.mean(dim=0, keepdim=True).expand_as(x), float(rng.uniform(0.5, 1)))
    if rng.random() < change.blur:
        blurred = F.avg_pool2d(F.pad(x[None], (1, 1, 1, 1), mode="replicate"), 3, stride=1)[0]
        x = torch.lerp(x, blurred, float(rng.uniform(0.3, 1)))
    if change.noise:
        noise = torch.from_numpy(rng.standard_normal(x.shape, dtype=np.float32))
        x = x + noise * float(rng.uniform(0, change.noise))
    return (x * 255).clamp(0, 255)
