"""Chips around objects, beside chips from anywhere."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import shapely
from numpy.typing import NDArray
from torchgeo.datasets import GeoDataset
from torchgeo.samplers import GeoSampler

from weft_geo.errors import InputError

Query = tuple[slice, slice, slice]
Bounds = tuple[float, float, float, float]


class ObjectBalancedGeoSampler(GeoSampler):  # type: ignore[misc]  # torchgeo is not type-checked here
    """Draws a share of the chips around an object, every class and within it every object as often as any other.

    Where objects are rare, torchgeo's `RandomGeoSampler` shows a model little but background; where one class is rare,
    little but the other. The rest of the chips is drawn evenly from the whole area, so that the model also learns what
    is no object. Unlike torchgeo's, it does not leave out areas that are smaller than a chip: the chip is then laid
    around the area, and hangs over.

    A chip depends on the seed and its number alone, so a run can be resumed.

    Args:
        dataset: what the chips are for: gives resolution and time.
        areas: rectangles (minx, miny, maxx, maxy) in the CRS of the data set that chips are drawn from.
        objects: geometries [N] in the same CRS.
        classes: of each object, a number [N].
        size: height and width of a chip in pixels.
        length: chips to draw.
        share: of the chips that are drawn around an object.
        scales: a chip shows the ground at 1/scale of the pixel size, drawn log-evenly from this range; the resolution
            goes with the query as its step.
        seed: of the random choices.
        start: chips of an epoch to leave out at its beginning: those that a stopped run has seen.

    Raises:
        InputError: an argument is out of range.
    """

    def __init__(
        self,
        dataset: GeoDataset,
        areas: Sequence[Bounds],
        objects: NDArray[np.object_],
        classes: NDArray[np.int64],
        size: int,
        length: int,
        share: float = 0.5,
        scales: tuple[float, float] = (1.0, 1.0),
        seed: int = 0,
        start: int = 0,
    ) -> None:
        if not 0 <= share <= 1:
            raise InputError(f"share must lie in 0…1, got {share}")
        if not 0 < scales[0] <= scales[1]:
            raise InputError(f"scales must be (low, high) with 0 < low ≤ high, got {scales}")
        self.res = dataset.res
        self.areas = list(areas)
        self.size, self.length, self.share, self.scales, self.seed, self.start = (
            size, length, share, scales, seed, start,
        )  # fmt: skip
        extents = np.array([(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in self.areas])
        self._chances = extents / extents.sum()
        self._objects, self._homes, self._by_class = _inside(self.areas, objects, classes)
        first = dataset.index.index[0]
        self._time = slice(first.left, first.right)
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes next: its chips are others than those of the epochs before it."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length - self.start

    def __iter__(self) -> Iterator[Query]:
        """Queries [x, y, t] of one chip each, with the resolution as the step of x and y."""
        first = self.epoch * self.length
        for number in range(first + self.start, first + self.length):
            yield self.draw(number)

    @property
    def has_objects(self) -> bool:
        """Whether any object lies in the areas."""
        return bool(self._by_class)

    def draw(self, number: int) -> Query:
        """The query of the chip of a number."""
        rng = np.random.default_rng((self.seed, number))
        zoom = math.exp(rng.uniform(*np.log(self.scales)))
        step_x, step_y = (step / zoom for step in self.res)
        reach_x, reach_y = self.size * step_x, self.size * step_y
        if self._by_class and rng.random() < self.share:
            members = self._by_class[int(rng.integers(len(self._by_class)))]
            chosen = int(rng.choice(members))
            x0, y0, x1, y1 = self._objects[chosen]
            x = (x0 + x1) / 2 + rng.normal() * reach_x / 6
            y = (y0 + y1) / 2 + rng.normal() * reach_y / 6
            area = self.areas[self._homes[chosen]]
        else:
            area = self.areas[int(rng.choice(len(self.areas), p=self._chances))]
            x, y = rng.uniform(area[0], area[2]), rng.uniform(area[1], area[3])
        left = _place(x - reach_x / 2, reach_x, area[0], area[2], step_x)
        low = _place(y - reach_y / 2, reach_y, area[1], area[3], step_y)
        return slice(left, left + reach_x, step_x), slice(low, low + reach_y, step_y), self._time


def _place(low: float, reach: float, area_low: float, area_high: float, step: float) -> float:
    """Move a chip into its area, or over the middle of one that is smaller, by whole pixels from the area's edge."""
    if reach >= area_high - area_low:
        low = (area_low + area_high - reach) / 2
    else:
        low = min(max(low, area_low), area_high - reach)
    return area_low + math.floor((low - area_low) / step + 1e-6) * step


def _inside(
    areas: Sequence[Bounds], objects: NDArray[np.object_], classes: NDArray[np.int64]
) -> tuple[NDArray[np.float64], list[int], list[NDArray[np.int64]]]:
    """Bounds of the parts of objects in each area, the area of each, and the numbers of those of each class."""
    bounds, homes, kinds = [], [], []
    for home, area in enumerate(areas):
        meets = np.flatnonzero(shapely.intersects(objects, shapely.box(*area)))
        parts = shapely.clip_by_rect(objects[meets], *area)
        kept = shapely.area(parts) > 0
        bounds.append(shapely.bounds(parts[kept]))
        homes += [home] * int(kept.sum())
        kinds.append(classes[meets][kept])
    kind = np.concatenate(kinds)
    return np.concatenate(bounds), homes, [np.flatnonzero(kind == k) for k in np.unique(kind)]
