"""The items of one process of several that train together."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from torch.utils.data import Sampler


class ProcessShare(Sampler[Any]):
    """Every n-th item of a sampler, for one of n processes: together they see each item once, in the sampler's order.

    So n processes with batches of B see in every step what one process with batches of n · B would see, and a run goes
    on exactly with another number of them. Lightning's own share is drawn anew over the whole run whenever it starts,
    and repeats items until all processes have as many. Here some may have one less: the items of a run must be a
    multiple of n, and who validates must not wait for the others at every item.

    Args:
        sampler: of all items.
        rank: of this process, from 0.
        processes: how many there are.
    """

    def __init__(self, sampler: Any, rank: int, processes: int) -> None:
        self.sampler, self.rank, self.processes = sampler, rank, processes

    def set_epoch(self, epoch: int) -> None:
        """Tell the sampler which epoch comes next, if it is one that wants to know."""
        if hasattr(self.sampler, "set_epoch"):
            self.sampler.set_epoch(epoch)

    def __len__(self) -> int:
        return len(range(self.rank, len(self.sampler), self.processes))

    def __iter__(self) -> Iterator[Any]:
        return islice(self.sampler, self.rank, None, self.processes)
