"""Pixel scores over a whole validation set."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric

from weft_geo.datasets.scenes import IGNORE


class PixelScores(Metric):
    """Intersection over union of every class, over all pixels that have a label.

    Args:
        num_classes: K, background included.
    """

    confusion: Tensor
    full_state_update = False

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.add_state("confusion", torch.zeros(num_classes, num_classes, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, predicted: Tensor, truth: Tensor) -> None:
        """Add class numbers of the same shape."""
        known = truth != IGNORE
        pair = truth[known] * self.num_classes + predicted[known]
        counted = torch.bincount(pair, minlength=self.num_classes**2)
        self.confusion += counted.view(self.num_classes, self.num_classes)

    def compute(self) -> Tensor:
        """[K]; not a number for a class that is neither there nor predicted."""
        hit = self.confusion.diagonal().double()
        return hit / (self.confusion.sum(dim=0) + self.confusion.sum(dim=1) - hit)
