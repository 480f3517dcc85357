"""Lightning data modules over benchmarks and over your own scenes."""

from __future__ import annotations

import math
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import numpy as np
import shapely
import torch
from torch.utils.data import DataLoader, SequentialSampler

from weft_geo.datasets.areas import Areas, split_by_area
from weft_geo.datasets.augment import ResearchAugmentation
from weft_geo.datasets.augmented import AugmentedDataset, Item, SceneChips
from weft_geo.datasets.benchmark import BenchmarkDataset
from weft_geo.datasets.catalogue import find_benchmark
from weft_geo.datasets.raster_check import require_readable
from weft_geo.datasets.registry import load_dataset
from weft_geo.datasets.scene_datasets import SceneImages, ScenePolygons
from weft_geo.datasets.verify import require_sound
from weft_geo.errors import InputError, VectorError
from weft_geo.progress import Progress
from weft_geo.samplers import CoveringGeoSampler, ObjectBalancedGeoSampler, ProcessShare, ResumableSampler


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
        check: read every file in `setup`, so that a damaged one stops the run before it starts.
        progress: hears how far the check is.

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
        check: bool = True,
        progress: Progress | None = None,
    ) -> None:
        super().__init__()
        _check(batch_size, num_workers)
        if limit is not None and limit < 1:
            raise InputError(f"limit must be at least 1, got {limit}")
        self.benchmark = find_benchmark(name)
        self.root, self.batch_size, self.num_workers = Path(root), batch_size, num_workers
        self.augmentation = augmentation or ResearchAugmentation()
        self.seed, self.samples, self.limit = seed, samples, limit
        self.check, self.progress = check, progress
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
        sampler = _share(ResumableSampler(len(items), self.seed, self.samples, self.start_samples), self.trainer)
        return DataLoader(items, self.batch_size, sampler=sampler, drop_last=True, **_workers(self.num_workers))

    def val_dataloader(self) -> DataLoader[Item]:
        """Pictures to validate on, one at a time."""
        assert self.val_set is not None, "setup() comes first"
        sampler = _share(SequentialSampler(self.val_set), self.trainer)
        return DataLoader(self.val_set, 1, sampler=sampler, **_workers(self.num_workers))

    test_dataloader = val_dataloader

    def _load(self, split: str) -> BenchmarkDataset:
        data = load_dataset(self.benchmark.name, self.root, split)
        data.pairs = data.pairs[: self.limit]
        if self.check and is_first_process():
            require_sound(data.pairs, progress=self.progress)
        return data


class ScenesDataModule(L.LightningDataModule):  # type: ignore[misc]  # as above
    """Your own rasters and polygons: `SceneImages & ScenePolygons`, cut into chips.

    Training chips are drawn by `ObjectBalancedGeoSampler`; validation chips cover the validation area once. Batches are
    as those of `SegmentationDataModule`, with masks of 1…K for the classes.

    Args:
        images: rasters, or folders of them, with a CRS.
        labels: polygon layers in any CRS and format that OGR reads. Every raster needs polygons on it; what lies
            outside of polygons is background.
        class_field: the attribute that holds an object's class; None if there is only one.
        classes: the classes in their order, or the name of the only one; others are background. None for those there.
        val_images: rasters to validate on, labelled by the same layers; None to keep a strip of every raster.
        val_share: of each raster's area that is kept for validation, where there are no `val_images`.
        batch_size: chips in a batch of one process.
        num_workers: processes that read and augment.
        chip: height and width of a chip, in pixels.
        samples: chips of an epoch, or of the whole run if that is to be one epoch; None for as many as would cover the
            training area once.
        gsd_m: metres a pixel on the ground; None for that of the first raster.
        bands: 1-based numbers of red, green and blue; None to choose by what the raster says.
        object_share: share of the chips that are drawn around an object.
        scales: a chip shows the ground at 1/scale of the pixel size, drawn log-evenly from this range.
        vary: turn, mirror and distort training chips.
        seed: of all random choices.
        check: read every block of the rasters in `setup`, so that a damaged one stops the run before it starts.
        progress: hears how far the check is.

    Attributes:
        classes: object classes, background left out; known after `setup`, as are the others.
        mean: of the rasters, per band on 0…255; `test_mean` is the same.
        std: likewise.
        gsd_m: metres a pixel on the ground.
        min_area_m2: half of what 95 % of the polygons are larger than: an object that is smaller was hardly meant, and
            one of which half is found is not.
        start_samples: as in `SegmentationDataModule`.

    Raises:
        RasterError, CrsError, VectorError: in `setup`: a file is missing, damaged, or lies elsewhere.
    """

    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    min_area_m2: float

    def __init__(
        self,
        images: Sequence[str | Path],
        labels: Sequence[str | Path],
        class_field: str | None = None,
        classes: Sequence[str] | None = None,
        val_images: Sequence[str | Path] | None = None,
        val_share: float = 0.2,
        batch_size: int = 6,
        num_workers: int = 2,
        chip: int = 512,
        samples: int | None = None,
        gsd_m: float | None = None,
        bands: tuple[int, ...] | None = None,
        object_share: float = 0.5,
        scales: tuple[float, float] = (0.75, 1.5),
        vary: bool = True,
        seed: int = 2024,
        check: bool = True,
        progress: Progress | None = None,
    ) -> None:
        super().__init__()
        _check(batch_size, num_workers)
        if chip < 32:
            raise InputError(f"chip must be at least 32 pixels, got {chip}")
        self.images, self.labels = list(images), list(labels)
        self.class_field, self.wanted_classes = class_field, classes
        self.val_images, self.val_share = None if val_images is None else list(val_images), val_share
        self.batch_size, self.num_workers, self.chip, self.samples = batch_size, num_workers, chip, samples
        self.gsd_m, self.bands, self.object_share, self.scales = gsd_m, bands, object_share, scales
        self.vary, self.seed = vary, seed
        self.check, self.progress = check, progress
        self.start_samples = 0
        self.scenes: Any = None
        self.polygons: ScenePolygons | None = None
        self.areas: Areas | None = None

    def setup(self, stage: str | None = None) -> None:
        """Open all files and divide the area."""
        if self.areas is not None:
            return
        images = SceneImages([*self.images, *(self.val_images or ())], self.gsd_m, self.bands)
        polygons = ScenePolygons(self.labels, images, self.class_field, self.wanted_classes)
        areas = images.areas()
        if self.val_images is None:
            self.areas = split_by_area(areas, polygons.objects, self.val_share, images.res)
        else:
            held = set(SceneImages.list_files(self.val_images))
            pairs = list(zip(images.index.filepath, areas, strict=True))
            self.areas = Areas(
                [area for path, area in pairs if path not in held], [area for path, area in pairs if path in held]
            )
        if not self.areas.train:
            raise InputError("all rasters are kept for validation; give others to train on")
        self.scenes, self.polygons = images & polygons, polygons
        self.classes = polygons.classes
        self.mean, self.std = images.statistics()
        self.test_mean, self.test_std = self.mean, self.std
        self.gsd_m = images.gsd_m
        areas_m2 = shapely.area(polygons.objects.geometry.array) * (images.gsd_m**2 / math.prod(images.res))
        self.min_area_m2 = float(f"{np.quantile(areas_m2, 0.05) / 2:.2g}")
        if self.samples is None:
            self.samples = max(len(CoveringGeoSampler(self.scenes, self.areas.train, self.chip)), self.batch_size)
        if not self._sampler().has_objects:
            raise VectorError(
                "no polygon lies in the area to train on; give a raster with more labels, or another val_share"
            )
        if self.check and is_first_process():
            require_readable(images.scenes, progress=self.progress)

    def train_dataloader(self) -> DataLoader[Item]:
        """Batches to train on; incomplete ones are left out."""
        assert self.areas is not None, "setup('fit') comes first"
        chips = SceneChips(self.scenes, self.areas.train, self.mean, self.vary, self.seed, self.areas.val)
        sampler = _share(self._sampler(), self.trainer)
        return DataLoader(chips, self.batch_size, sampler=sampler, drop_last=True, **_workers(self.num_workers))

    def val_dataloader(self) -> DataLoader[Item]:
        """Chips that cover the validation area once, one at a time; 255 outside of it."""
        assert self.areas is not None, "setup() comes first"
        chips = SceneChips(self.scenes, self.areas.val, self.mean)
        sampler = _share(CoveringGeoSampler(self.scenes, self.areas.val, self.chip), self.trainer)
        return DataLoader(chips, 1, sampler=sampler, **_workers(self.num_workers))

    test_dataloader = val_dataloader

    def _sampler(self) -> ObjectBalancedGeoSampler:
        assert self.areas is not None
        assert self.polygons is not None
        objects = self.polygons.objects
        shapes = self.areas.to_learn(objects.geometry.to_numpy())
        there = ~shapely.is_empty(shapes)
        return ObjectBalancedGeoSampler(
            self.scenes,
            self.areas.train,
            shapes[there],
            objects["label"].to_numpy()[there],
            self.chip,
            self.samples or self.batch_size,
            self.object_share,
            self.scales,
            self.seed,
            self.start_samples,
        )


def _check(batch_size: int, num_workers: int) -> None:
    if batch_size < 1 or num_workers < 0:
        raise InputError(
            f"batch_size must be at least 1 and num_workers at least 0, got {batch_size} and {num_workers}"
        )


def is_first_process() -> bool:
    """Whether this is the only process of a run, or the first of several, which checks and writes for all of them.

    Lightning, torchrun and SLURM tell a process its place by these variables, before there is a trainer to ask.
    """
    return all(os.environ.get(name, "0") == "0" for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"))


def _share(sampler: Any, trainer: Any) -> Any:
    """The part of this process, where several train together."""
    alone = trainer is None or trainer.world_size == 1
    return sampler if alone else ProcessShare(sampler, trainer.global_rank, trainer.world_size)


def _workers(number: int) -> dict[str, Any]:
    return {
        "num_workers": number,
        "persistent_workers": number > 0,
        # As Python did by itself up to 3.13; since then each process would load torch anew.
        "multiprocessing_context": "fork" if number and sys.platform == "linux" else None,
        "worker_init_fn": _leave_signals_to_the_trainer,
        "pin_memory": torch.cuda.is_available(),
    }


def _leave_signals_to_the_trainer(worker: int) -> None:
    """Ctrl-C reaches every process of the group; a reader that died of it would fail the step that is to be saved."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
