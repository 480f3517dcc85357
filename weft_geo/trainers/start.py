"""What a run begins with: its data, and a model that expects such data."""

from __future__ import annotations

from importlib.resources import as_file, files
from importlib.resources.abc import Traversable
from typing import Any

import torch
from safetensors import safe_open

from weft_geo.datasets.augment import ResearchAugmentation
from weft_geo.datasets.augmented import AugmentedDataset
from weft_geo.datasets.datamodules import ScenesDataModule, SegmentationDataModule
from weft_geo.datasets.scene_datasets import SceneImages
from weft_geo.geo.contract import SCENE_SCALE, ModelContract
from weft_geo.geo.raster import open_raster
from weft_geo.models import Segmenter
from weft_geo.models.checkpoint import load_weights
from weft_geo.models.peft import assemble
from weft_geo.models.registry import config_of
from weft_geo.progress import Progress
from weft_geo.trainers.config import TrainConfig

WINDOW = 512


def open_data(config: TrainConfig, samples: int | None = None, progress: Progress | None = None) -> Any:
    """The data module of a run, set up: whatever is wrong with the data is said here, before anything is trained.

    Args:
        config: of the run.
        samples: that the whole run draws; None to say so later, before the loader is asked for.
        progress: hears how far the check of the files is.

    Raises:
        DatasetError, RasterError, VectorError: the data cannot be used.
    """
    data, run = config.data, config.run
    module: Any
    if data.dataset:
        assert data.data_root is not None
        module = SegmentationDataModule(
            data.dataset,
            data.data_root,
            run.batch_size,
            data.workers,
            ResearchAugmentation(long_side=4 * data.crop, short_side=data.crop, crop=data.crop)
            if data.overfit is None
            else whole_pictures(data.crop),
            run.seed,
            samples,
            data.overfit or data.limit,
            data.check,
            progress,
        )
    else:
        module = ScenesDataModule(
            data.images,
            data.labels,
            data.class_field,
            val_images=data.val_images or None,
            val_share=data.val_share,
            batch_size=run.batch_size,
            num_workers=data.workers,
            chip=data.crop,
            samples=samples,
            gsd_m=working_gsd(config),
            seed=run.seed,
            check=data.check,
            progress=progress,
        )
    module.setup("fit")
    if data.overfit is not None:
        module.val_set = AugmentedDataset(module.train_set, whole_pictures(data.crop), module.mean, run.seed)
    return module


def whole_pictures(crop: int) -> ResearchAugmentation:
    """Pictures as they are, fitted whole into the crop."""
    return ResearchAugmentation(crop, crop, (1.0, 1.0), crop, flip=0.0, photometric=False)


def shipped_start(config: TrainConfig) -> Traversable | None:
    """The values that come with the package, for a run on own images that names no others and changes no part."""
    chosen = config.model
    if chosen.weights or chosen.backbone or chosen.ablate or chosen.strategy != "weft" or not config.data.images:
        return None
    shipped = files("weft_geo.weights").joinpath(f"{chosen.name}.safetensors")
    return shipped if shipped.is_file() else None


def working_gsd(config: TrainConfig) -> float | None:
    """Metres a pixel to train own images at; None for those of the first image.

    What was asked for. Else, where the run starts from values that come with the package and the images are so much
    finer that `weft-geo predict` would resample them, what those values were trained at.
    """
    if config.data.gsd_m is not None or (shipped := shipped_start(config)) is None:
        return config.data.gsd_m
    trained = _contract_of(shipped).gsd_m
    with open_raster(SceneImages.list_files(config.data.images)[0]) as first:
        if first.info.crs is None:
            return None  # the data set refuses it, and says what to do
        change = first.info.resampling("auto", trained)
    return trained if change is not None and change.coarser else None


def _contract_of(shipped: Traversable) -> ModelContract:
    with as_file(shipped) as path, safe_open(path, "pt") as file:
        return ModelContract.from_json(file.metadata()["contract"])


def contract_for(config: TrainConfig, data: Any) -> ModelContract:
    """What a model trained on these data expects of a scene: windows of twice the crops it saw, 512 px at most.

    Its threshold is that of the shipped values, where it starts from these and finds one class, as they do.
    """
    shipped = shipped_start(config)
    window = min(2 * config.data.crop, WINDOW)
    return ModelContract(
        bands=len(data.mean),
        classes=data.classes,
        window=window,
        overlap=window // 4,
        multiple_of=32,
        gsd_m=getattr(data, "gsd_m", None),
        scale=SCENE_SCALE if config.data.images else None,
        mean=tuple(data.mean),
        std=tuple(data.std),
        name=config.model.name,
        threshold=_contract_of(shipped).threshold if shipped and len(data.classes) == 1 else ModelContract.threshold,
        min_area_m2=getattr(data, "min_area_m2", 0.0),
    )


def start_model(config: TrainConfig, data: Any) -> tuple[Segmenter, str]:
    """The model of a run with the values that it starts from, and what these are, in words.

    A head for other classes than those of the weights starts anew; all else must fit.

    Raises:
        CheckpointError: the weights do not fit.
    """
    torch.manual_seed(config.run.seed)
    shape = config_of(config.model.name, classes=data.classes, in_channels=len(data.mean), **config.model_fields())
    model = assemble(shape, contract_for(config, data))
    model.recompute_in_backward(config.run.gradient_checkpointing)
    chosen = config.model
    if chosen.weights:
        load_weights(model, chosen.weights, fresh_classes=True)
        return model, f"starts from {chosen.weights}"
    if (shipped := shipped_start(config)) is not None:
        with as_file(shipped) as path:
            load_weights(model, path, fresh_classes=True)
        return model, f"starts from the {chosen.name} that comes with the package"
    frozen = ", its frozen trunk too: give --weights for a useful model" if shape.trunk_is_frozen else ""
    return model, f"starts from random values{frozen}"
