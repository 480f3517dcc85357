"""The recipe of the embedded model, `weft-tiny`, from random values to an ONNX file.

    python -m weft_geo.weights.train_default --data DIR --out DIR

DIR holds `buildings/<place>/scene_0N.tif` and `.geojson` (see the model card for what they are). A run that was
stopped goes on from its last checkpoint. `--start` begins with the values of a checkpoint instead of random ones, keeps
its batch norms as they are, and gives the mean of the first and the last values, which does better on scenes that
neither was trained on (Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022). Nothing in it needs a
GPU; it takes an hour or two on one core.
"""

from __future__ import annotations

import argparse
import copy
import os
from dataclasses import dataclass, replace
from pathlib import Path

import lightning.pytorch as L
import numpy as np
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from rasterio.features import rasterize
from torch import Tensor
from torch.utils.data import DataLoader

from weft_geo.datasets.chips import RandomChips, WholeScenes
from weft_geo.datasets.scenes import LabelledScene, load_scene
from weft_geo.datasets.synthetic import draw_scene
from weft_geo.geo.contract import ModelContract, Scale
from weft_geo.geo.normalize import scene_range
from weft_geo.models import Weft, build_model, save_checkpoint
from weft_geo.models.checkpoint import load_weights
from weft_geo.models.export import export_onnx
from weft_geo.trainers.settings import LossConfig, OptimizerConfig
from weft_geo.trainers.task import SegmentationTask


@dataclass(frozen=True)
class Recipe:
    """What was chosen, and why where it is not plain.

    Attributes:
        gsd_m: 0.3 m: half the resolution of the drone scenes, so that a window shows the surroundings of a house.
        chip: side of a training chip, in pixels.
        batch: chips in a step.
        steps: optimisation steps.
        warmup: steps of rising rate.
        freeze_norms_from: the step from which batch norms are fixed.
        lr: ten times the paper's, for values that start at random.
        scale: every scene by its own range, since exposure differs from scene to scene more than anything else.
        share: how often a chip is from each place. Nairobi's labels are a metre or two off, so it counts less.
        synthetic: drawn scenes.
        threshold: above one half, because the model sees too many buildings in places that it does not know.
        min_area_m2: no building of the scenes was found that is smaller than this, and most of what was found is.
        seed: of everything.
    """

    gsd_m: float = 0.3
    chip: int = 192
    batch: int = 4
    steps: int = 2_700
    warmup: int = 150
    freeze_norms_from: int = 1_200
    lr: float = 5e-4
    scale: Scale = "scene"
    share: tuple[tuple[str, float], ...] = (
        ("tanzania_zanzibar", 0.38),
        ("nepal_banepa", 0.20),
        ("kenya_nairobi", 0.14),
        ("synthetic", 0.28),
    )
    synthetic: int = 48
    threshold: float = 0.6
    min_area_m2: float = 8.0
    seed: int = 2024


VALIDATION = "nepal_banepa/scene_01"


def training_scenes(data: Path, recipe: Recipe) -> tuple[list[LabelledScene], list[float]]:
    """All scenes but the validation scene, and how often to draw from each."""
    scenes: list[LabelledScene] = []
    weights: list[float] = []
    for place, share in recipe.share:
        if place == "synthetic":
            found = [synthetic_scene(recipe.seed + i, recipe.gsd_m) for i in range(recipe.synthetic)]
        else:
            images = sorted((data / "buildings" / place).glob("scene_??.tif"))
            images = [image for image in images if f"{place}/{image.stem}" != VALIDATION]
            found = [load_scene(image, image.with_suffix(".geojson"), recipe.gsd_m, recipe.scale) for image in images]
        area = sum(scene.labels.size for scene in found)
        scenes += found
        weights += [share * scene.labels.size / area for scene in found]
    return scenes, weights


def synthetic_scene(seed: int, gsd_m: float) -> LabelledScene:
    """A drawn scene; its ships are background here."""
    scene = draw_scene(640, 640, seed=seed, gsd_m=gsd_m)
    buildings = [p for p, kind in zip(scene.polygons, scene.classes, strict=True) if kind == "building"]
    labels = rasterize(buildings, out_shape=(640, 640), dtype=np.uint8) if buildings else np.zeros((640, 640), np.uint8)
    low, high = scene_range(scene.image)
    scaled = ((scene.image - low) * (255 / (high - low))).clip(0, 255).round().astype(np.uint8)
    return LabelledScene(f"synthetic_{seed}", scaled, labels, gsd_m)


def contract(scenes: list[LabelledScene], recipe: Recipe) -> ModelContract:
    """What the model expects, with the mean and deviation of the real scenes it is trained on."""
    pixels = np.concatenate([s.image.reshape(3, -1) for s in scenes if not s.name.startswith("synthetic")], axis=1)
    return ModelContract(
        bands=3,
        classes=("building",),
        window=512,
        overlap=128,
        multiple_of=32,
        gsd_m=recipe.gsd_m,
        scale=recipe.scale,
        mean=tuple(pixels.mean(axis=1).round(2).tolist()),
        std=tuple(pixels.std(axis=1).round(2).tolist()),
        name="weft-tiny",
        threshold=recipe.threshold,
        min_area_m2=recipe.min_area_m2,
    )


def validation_loader(data: Path, recipe: Recipe) -> DataLoader[dict[str, Tensor]]:
    """The whole validation scene as one item."""
    image = data / "buildings" / f"{VALIDATION}.tif"
    scene = load_scene(image, image.with_suffix(".geojson"), recipe.gsd_m, recipe.scale)
    return DataLoader(WholeScenes([scene]))


def train(data: Path, out: Path, recipe: Recipe, start: Path | None = None) -> Weft:
    """Run the recipe, going on from the last checkpoint in `out`; `start` holds the first values, None for random ones.

    Returns:
        The model of the run's end, its values averaged over the last steps; also saved, in half precision.
    """
    L.seed_everything(recipe.seed)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "0")) or torch.get_num_threads())
    scenes, weights = training_scenes(data, recipe)
    base = build_model("weft-tiny", classes=("building",))
    model = Weft(replace(base.config), contract(scenes, recipe))
    if start is not None:
        load_weights(model, start)
    first = {key: value.clone() for key, value in model.state_dict().items()}
    task = SegmentationTask(
        model,
        LossConfig(num_points=2_048, semantic_weight=5.0),
        OptimizerConfig(lr=recipe.lr, warmup_steps=recipe.warmup, max_steps=recipe.steps),
        0 if start is not None else recipe.freeze_norms_from,
    )
    chips = RandomChips(scenes, recipe.chip, recipe.steps * recipe.batch, seed=recipe.seed, weights=weights)
    last = out / "last.ckpt"
    trainer = L.Trainer(
        accelerator="auto",
        max_steps=recipe.steps,
        max_epochs=1,
        val_check_interval=min(200, recipe.steps),
        check_val_every_n_epoch=None,
        gradient_clip_val=1.0,
        logger=CSVLogger(out, name="log", version=""),
        callbacks=[
            EMAWeightAveraging(decay=0.995),
            ModelCheckpoint(out, save_last=True, save_top_k=0, every_n_train_steps=100),
        ],
        enable_progress_bar=False,
        log_every_n_steps=20,
        num_sanity_val_steps=0,
    )
    loader = DataLoader(chips, batch_size=recipe.batch, num_workers=1, persistent_workers=True)
    trainer.fit(task, loader, validation_loader(data, recipe), ckpt_path=str(last) if last.exists() else None)
    ended = model.state_dict()
    if start is not None:
        ended = {key: ((first[key] + value) / 2).to(value.dtype) for key, value in ended.items()}
    model.load_state_dict({key: value.half() if value.is_floating_point() else value for key, value in ended.items()})
    save_checkpoint(copy.deepcopy(model).half(), out / "weft-tiny.safetensors")
    return model.eval()


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=Recipe.steps)
    parser.add_argument("--lr", type=float, default=Recipe.lr)
    parser.add_argument("--start", type=Path)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    model = train(arguments.data, arguments.out, Recipe(steps=arguments.steps, lr=arguments.lr), arguments.start)
    model.to("cpu")
    export_onnx(model, arguments.out / "weft-tiny.onnx", check=True)


if __name__ == "__main__":
    main()
