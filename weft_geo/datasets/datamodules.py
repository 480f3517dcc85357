"""Lightning data modules over benchmarks and over your own scenes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as L
import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from weft_geo.datasets.augment import ResearchAugmentation, augment
from weft_geo.datasets.benchmark import BenchmarkDataset
from weft_geo.datasets.registry import load_dataset
from weft_geo.errors import InputError
from weft_geo.samplers.resumable import ResumableSampler

Item = dict[str, Tensor]


class AugmentedDataset(Dataset[Item]):
    """Items of another data set, varied. An item depends on the seed and its key alone.

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


class SegmentationDataModule(L.LightningDataModule):  # type: ignore[misc]  # lightning is not type-checked here
    """A benchmark, in the paper's regime.

    Training batches are "image" float32 [B, 3, crop, crop] on 0…255 and "mask" int64 [B, crop, crop]. Pictures to
    validate and test on come one at a time in their own size, without augmentation.

    A run that was stopped goes on exactly if `start_samples` is set to the samples it has seen (optimisation steps ×
    batch size × accumulated batches × processes) before the loader is asked for: order and augmentation depend on
    seed, epoch and index only.

    Args:
        name: of the benchmark; see `registry.DATASETS`.
        root: its folder.
        batch_size: pictures in a batch of one process.
        num_workers: processes that read and augment.
        augmentation: how training pictures vary; the research configuration's by default.
        seed: of order and augmentation.
        samples: samples of the whole run, so that one epoch of the trainer is the whole run; None for one pass over
            the data an epoch.
        limit: only the first pictures of each split, to try things out or to overfit on purpose.

    Attributes:
        classes: object classes, background left out.
        mean: of the training split, per band on 0…255.
        std: likewise.
        test_mean: of the split that is validated and tested on. The research configuration normalises each split
            with its own.
        test_std: likewise.
        start_samples: samples of the run that are left out, having been seen.

    Raises:
        UnknownNameError: there is no benchmark of that name.
        DatasetError: in `setup`: the data are missing or damaged.
    """

    def __init__(
        self,
        name: str,
        root: str | Path,
        batch_size: int = 6,
        num_workers: int = 2,
        augmentation: ResearchAugmentation | None = None,
        seed: int = 2024,
        samples: int | None = None,
        limit: int | None = None,
    ) -> None:
        super().__init__()
        from weft_geo.datasets.catalogue import find_benchmark

        if batch_size < 1 or num_workers < 0 or (limit is not None and limit < 1):
            raise InputError(
                f"batch_size and limit must be at least 1 and num_workers at least 0, got {batch_size}, {limit}, "
                f"{num_workers}"
            )
        self.benchmark = find_benchmark(name)
        self.root, self.batch_size, self.num_workers = Path(root), batch_size, num_workers
        self.augmentation = augmentation or ResearchAugmentation()
        self.seed, self.samples, self.limit = seed, samples, limit
        self.start_samples = 0
        self.classes = self.benchmark.classes
        train, test = (self.benchmark.statistics_of(split) for split in ("train", self.benchmark.validation))
        self.mean, self.std, self.test_mean, self.test_std = train.mean, train.std, test.mean, test.std
        self.train_set: BenchmarkDataset | None = None
        self.val_set: BenchmarkDataset | None = None

    def setup(self, stage: str | None = None) -> None:
        """Find the files of the splits that a stage needs ("fit", "validate", "test")."""
        if stage in (None, "fit") and self.train_set is None:
            self.train_set = self._load("train")
        if self.val_set is None:
            self.val_set = self._load(self.benchmark.validation)

    def train_dataloader(self) -> DataLoader[Item]:
        """Batches to train on; incomplete ones are left out."""
        assert self.train_set is not None, "setup('fit') comes first"
        items = AugmentedDataset(self.train_set, self.augmentation, self.mean, self.seed)
        sampler = ResumableSampler(len(items), self.seed, self.samples, self.start_samples)
        return DataLoader(items, self.batch_size, sampler=sampler, drop_last=True, **self._workers())

    def val_dataloader(self) -> DataLoader[Item]:
        """Pictures to validate on, one at a time."""
        assert self.val_set is not None, "setup() comes first"
        return DataLoader(self.val_set, 1, shuffle=False, **self._workers())

    test_dataloader = val_dataloader

    def _load(self, split: str) -> BenchmarkDataset:
        data = load_dataset(self.benchmark.name, self.root, split)
        data.pairs = data.pairs[: self.limit]
        return data

    def _workers(self) -> dict[str, Any]:
        return {"num_workers": self.num_workers, "persistent_workers": self.num_workers > 0}
