"""Chips that cover areas once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from torchgeo.datasets import GeoDataset
from torchgeo.samplers import GeoSampler

from weft_geo.samplers.object_balanced import Bounds, Query


class CoveringGeoSampler(GeoSampler):  # type: ignore[misc]  # torchgeo is not type-checked here
    """Lays chips side by side so that they cover each area once.

    Unlike torchgeo's `GridGeoSampler`, it does not leave out areas that are smaller than a chip. The last chips of a
    row hang over; what lies outside of the areas is not to be scored.

    Args:
        dataset: what the chips are for.
        areas: rectangles (minx, miny, maxx, maxy) in its CRS.
        size: height and width of a chip in pixels.
    """

    def __init__(self, dataset: GeoDataset, areas: Sequence[Bounds], size: int) -> None:
        first = dataset.index.index[0]
        time = slice(first.left, first.right)
        step_x, step_y = dataset.res
        self.queries: list[Query] = []
        for x0, y0, x1, y1 in areas:
            rows = max(math.ceil((y1 - y0) / (size * step_y) - 1e-6), 1)
            columns = max(math.ceil((x1 - x0) / (size * step_x) - 1e-6), 1)
            for row in range(rows):
                top = y1 - row * size * step_y
                for column in range(columns):
                    left = x0 + column * size * step_x
                    x = slice(left, left + size * step_x, step_x)
                    self.queries.append((x, slice(top - size * step_y, top, step_y), time))

    def __len__(self) -> int:
        return len(self.queries)

    def __iter__(self) -> Iterator[Query]:
        """Queries [x, y, t] of one chip each, from the top left of each area."""
        return iter(self.queries)
