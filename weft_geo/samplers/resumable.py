"""The order of training items, which depends on the seed alone, so that a stopped run goes on exactly."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler


class ResumableSampler(Sampler[int]):
    """Shuffles anew every epoch and yields keys that hold the epoch: key = epoch · size + index.

    A data set that takes such keys (`AugmentedDataset`) can make its random choices from the key alone, in any worker
    process, and needs no state to be resumed.

    Args:
        size: items of the data set.
        seed: of the order.
        length: keys in all; the sampler goes through as many epochs as that takes. None for one epoch at a time, the
            one that `set_epoch` names (Lightning calls it).
        start: keys to leave out at the beginning: those that the run has seen before it was stopped. Without a
            `length`, this holds for the first epoch that is iterated.
        shuffle: False to keep the order of the data set.
    """

    def __init__(
        self, size: int, seed: int = 0, length: int | None = None, start: int = 0, shuffle: bool = True
    ) -> None:
        self.size, self.seed, self.length, self.start, self.shuffle = size, seed, length, start, shuffle
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes next."""
        self.epoch = epoch

    def __len__(self) -> int:
        return (self.size if self.length is None else self.length) - self.start

    def __iter__(self) -> Iterator[int]:
        if self.length is None:
            start, self.start = self.start, 0
            yield from self._epoch(self.epoch)[start:]
            return
        position = self.start
        while position < self.length:
            epoch, skipped = divmod(position, self.size)
            keys = self._epoch(epoch)[skipped : skipped + self.length - position]
            yield from keys
            position += len(keys)

    def _epoch(self, epoch: int) -> list[int]:
        order = np.arange(self.size)
        if self.shuffle:
            np.random.default_rng((self.seed, epoch)).shuffle(order)
        return [epoch * self.size + int(index) for index in order]
