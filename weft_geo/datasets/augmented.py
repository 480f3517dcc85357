"""Items varied for training. Each depends on the seed and on what was asked for alone, so that a run can be resumed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchgeo.datasets import GeoDataset

from weft_geo.datasets.areas import Bounds
from weft_geo.datasets.augment import ResearchAugmentation, augment, distort_colours
from weft_geo.datasets.benchmark import BenchmarkDataset
from weft_geo.datasets.labels import IGNORE

Item = dict[str, Tensor]
Query = tuple[slice, slice, slice]


class AugmentedDataset(Dataset[Item]):
    """Pictures of a benchmark, varied as in the research configuration.

    Args:
        items: what to vary.
        how: how pictures vary.
        fill: what lies beside a picture that is smaller than the crop, per band on 0…255.
        seed: of the random choices.
    """

    def __init__(
        self, items: BenchmarkDataset, how: ResearchAugmentation, fill: tuple[float, ...], seed: int = 0
    ) -> None:
        self.items, self.how, self.fill, self.seed = items, how, fill, seed

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, key: int) -> Item:
        """Item `key % len` as it looks in epoch `key // len` (see `ResumableSampler`)."""
        epoch, index = divmod(key, len(self.items))
        item = self.items[index]
        rng = np.random.default_rng((self.seed, epoch, index))
        image, mask = augment(rng, item["image"], item["mask"], self.how, self.fill)
        return {"image": image, "mask": mask}


class SceneChips(Dataset[Item]):
    """Chips of scenes; for training turned by quarters, mirrored, and distorted in colour.

    Args:
        scenes: rasters & polygons; see `scene_datasets`.
        areas: rectangles in the CRS of the scenes; what lies outside of them is unknown (255).
        fill: what lies where there is no raster, per band on 0…255.
        vary: whether to turn, mirror and distort.
        seed: of the random choices.
        held: rectangles within the areas that are unknown all the same: kept for validation, where scenes overlap.
    """

    def __init__(
        self,
        scenes: GeoDataset,
        areas: Sequence[Bounds],
        fill: tuple[float, ...],
        vary: bool = False,
        seed: int = 0,
        held: Sequence[Bounds] = (),
    ) -> None:
        self.scenes, self.areas, self.fill, self.vary, self.seed = scenes, list(areas), fill, vary, seed
        self.held = list(held)

    def __getitem__(self, query: Query) -> Item:
        """The chip of a sampler's query: "image" float32 [3, h, w] on 0…255, "mask" int64 [h, w]."""
        sample = self.scenes[query]
        image, mask = sample["image"], sample["mask"]
        valid = sample["valid"]
        image = torch.where(valid, image, torch.tensor(self.fill)[:, None, None])
        mask = mask.masked_fill(~(valid & self._inside(query, mask)), IGNORE)
        if self.vary:
            x, y, _ = query
            key = np.array([x.start, y.start, x.step]).view(np.uint32).tolist()
            rng = np.random.default_rng((self.seed, *key))
            quarters, mirror = int(rng.integers(4)), rng.random() < 0.5
            image, mask = (torch.rot90(part, quarters, (-2, -1)) for part in (image, mask))
            if mirror:
                image, mask = image.flip(-1), mask.flip(-1)
            image = distort_colours(rng, image)
        return {"image": image.contiguous(), "mask": mask.contiguous()}

    def _inside(self, query: Query, mask: Tensor) -> Tensor:
        """Bool [h, w]: pixels whose centre lies in one of the areas, and in none that is held."""
        x, y, _ = query
        H, W = mask.shape
        xs = torch.arange(W, dtype=torch.float64) * x.step + x.start + x.step / 2
        ys = y.stop - torch.arange(H, dtype=torch.float64) * y.step - y.step / 2
        inside = torch.zeros(H, W, dtype=torch.bool)
        for areas, known in ((self.areas, True), (self.held, False)):
            for x0, y0, x1, y1 in areas:
                inside[((ys >= y0) & (ys < y1))[:, None] & ((xs >= x0) & (xs < x1))[None]] = known
        return inside
