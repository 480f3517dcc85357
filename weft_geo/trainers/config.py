"""Everything that a training run depends on: one frozen tree of values, read from and written to YAML."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

import yaml
from jsonargparse import ArgumentError, ArgumentParser

from weft_geo.errors import InputError, UnknownNameError
from weft_geo.models.config import Strategy
from weft_geo.trainers.ranges import check_ranges
from weft_geo.trainers.settings import LossConfig, OptimizerConfig

ABLATIONS = ("twe", "esto", "see")


@dataclass(frozen=True)
class DataConfig:
    """What is learnt from: a benchmark by name, or your own rasters and polygons.

    Attributes:
        dataset: a benchmark's name.
        data_root: the folder it is in.
        images: rasters of your own.
        labels: the layers of polygons that belong to them.
        val_images: further rasters to validate on, in place of a share of the area.
        class_field: the attribute that says what a polygon is; None makes one class of all.
        gsd_m: metres per pixel at which your own rasters are seen; None for their own.
        val_share: share of the area of your own rasters that is kept for validation.
        crop: side of a training crop, in pixels.
        limit: use the first so many images of a benchmark only; None for all.
        overfit: learn the first so many images of a benchmark by heart, unvaried, without stochastic depth and
            validated on themselves: a check that everything is connected. None for real training.
        workers: processes that read beside the training.
        check: read every file before the training starts, so that a damaged one stops it there.
    """

    dataset: str | None = None
    data_root: str | None = None
    images: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    val_images: tuple[str, ...] = ()
    class_field: str | None = None
    gsd_m: float | None = None
    val_share: float = 0.2
    crop: int = 512
    limit: int | None = None
    overfit: int | None = None
    workers: int = 2
    check: bool = True


@dataclass(frozen=True)
class ModelConfig:
    """What learns.

    Attributes:
        name: one of `weft_geo.models.model_names()`.
        weights: what to start from (see `weft_geo.models.checkpoint.load_weights`); None for random values.
        backbone: "uni-perceiver" or "timm/NAME"; None for the model's own.
        strategy: how the trunk is tuned.
        ablate: parts of WEFT to leave out, of "twe", "esto" and "see".
        experts: how many experts are active for an image; None for the model's own number.
        freeze_trunk: keep the trunk as it is also where the model would train it; for a weft-tiny with weights.
    """

    name: str = "weft-large"
    weights: str | None = None
    backbone: str | None = None
    strategy: Strategy = "weft"
    ablate: tuple[str, ...] = ()
    experts: int | None = None
    freeze_trunk: bool = False

    @property
    def has_experts(self) -> bool:
        """Whether it is a WEFT with its wavelet experts."""
        return self.strategy == "weft" and "twe" not in self.ablate


@dataclass(frozen=True)
class RunConfig:
    """How it is run.

    Attributes:
        seed: of everything that is drawn at random.
        batch_size: images in a step on one device.
        accumulate: batches whose gradients are added up before a step.
        device: as Lightning's accelerator: "auto", "cpu", "gpu" …
        devices: as Lightning's devices: a number, a list such as "0,1", or "auto".
        parallel: as Lightning's strategy: "auto", "ddp" …
        precision: as Lightning's precision: "32-true", "bf16-mixed", "16-mixed" …
        gradient_checkpointing: parts that run again in the backward pass instead of keeping their values: "adapter" for
            the experts, the adapter and the pixel decoder, True for these and the trunk's layers, False for none.
        ema: decay of the running average of the weights that is validated and kept; 0 for none (the paper's).
        clip: largest norm of the gradient; 0 for no limit (the paper's).
        freeze_norms_at: share of the run after which batch norms keep their statistics; None for never (the paper's).
        val_every: steps between validations.
        save_every: steps between checkpoints to go on from.
        log_every: steps between rows of the logs.
        patience: validations without a better score after which to stop; 0 for never.
        pictures: validation images of which to log pictures.
    """

    seed: int = 2024
    batch_size: int = 6
    accumulate: int = 1
    device: str = "auto"
    devices: str = "1"
    parallel: str = "auto"
    precision: str = "32-true"
    gradient_checkpointing: bool | Literal["adapter"] = False
    ema: float = 0.0
    clip: float = 0.0
    freeze_norms_at: float | None = None
    val_every: int = 1_000
    save_every: int = 250
    log_every: int = 10
    patience: int = 0
    pictures: int = 4


@dataclass(frozen=True)
class TrainConfig:
    """A whole run. The defaults are the paper's regime (weft.md and the research configuration).

    Attributes:
        data: what is learnt from.
        model: what learns.
        loss: weights and points of the loss.
        optimizer: rates and the number of steps.
        run: how it is run.
    """

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self) -> None:
        data, run = self.data, self.run
        for section in fields(self):
            check_ranges(section.name, getattr(self, section.name))
        if data.gsd_m is not None and not 0 < data.gsd_m < math.inf:
            raise InputError(f"data.gsd_m must be a positive number of metres or null, not {data.gsd_m}")
        if not 0 < self.optimizer.lr < math.inf:
            raise InputError(f"optimizer.lr must be a positive number, not {self.optimizer.lr}")
        if not all(0 <= beta < 1 for beta in self.optimizer.betas):
            raise InputError(f"optimizer.betas must lie in 0…1, 1 left out, not {list(self.optimizer.betas)}")
        if not re.fullmatch(r"auto|-1|\d+(\s*,\s*\d*)*", run.devices):
            raise InputError(f'run.devices must be "auto", a number, or a list such as "0,1", not {run.devices!r}')
        if bool(data.dataset) == bool(data.images):
            raise InputError(
                "there must be either a benchmark or images to train on; give --dataset NAME --data-root DIR, "
                "or --images A.tif … --labels OBJECTS.gpkg"
            )
        if data.dataset and not data.data_root:
            raise InputError(f"the benchmark {data.dataset} needs the folder it is in; give --data-root DIR")
        for name in ("labels", "val_images", "class_field", "gsd_m"):
            if data.dataset and getattr(data, name) not in ((), None):
                raise InputError(f"data.{name} is for images of your own; the benchmark {data.dataset} brings its own")
        if data.images and not data.labels:
            raise InputError("images need the polygons that belong to them; give --labels OBJECTS.gpkg")
        if unknown := sorted(set(self.model.ablate) - set(ABLATIONS)):
            raise InputError(f"{', '.join(unknown)} is no part of WEFT; those that can be left out: twe, esto, see")
        if self.model.ablate and self.model.strategy != "weft":
            raise InputError(f"only the strategy weft has parts to leave out, not {self.model.strategy}")
        if self.model.experts is not None and not self.model.has_experts:
            raise InputError("this model has no experts, so their number says nothing; leave out --experts")
        for name in ("limit", "overfit"):
            if data.images and getattr(data, name) is not None:
                raise InputError(f"data.{name} counts pictures of a benchmark; of your own images give fewer")
        if run.ema == 1:
            raise InputError("run.ema 1 would keep the values that the run starts from; give less, or 0 for no average")
        if run.precision in ("bf16-true", "16-true", "bf16", "16"):
            raise InputError(
                f"precision {run.precision} would keep the weights themselves in half; give bf16-mixed or 16-mixed"
            )
        if data.crop < 64 or data.crop % 32:
            raise InputError(f"data.crop must be a multiple of 32 and at least 64, not {data.crop}")
        if not 0 < data.val_share < 1:
            raise InputError(f"data.val_share must lie between 0 and 1, not {data.val_share}")

    def model_fields(self) -> dict[str, Any]:
        """The fields of `WeftConfig` that differ from the named model's."""
        model = self.model
        changed: dict[str, Any] = dict.fromkeys(model.ablate, False)
        if model.strategy != "weft":
            changed["strategy"] = model.strategy
        if model.backbone:
            changed["backbone"] = model.backbone
        if model.experts is not None:
            changed["top_k"] = model.experts
        if model.freeze_trunk:
            changed["train_trunk"] = False
        if self.data.overfit:
            changed["drop_path"] = 0.0
        return changed

    def to_yaml(self) -> str:
        """Every field, in the form that `read_config` reads."""
        text: str = yaml.safe_dump(_plain(asdict(self)), sort_keys=False, allow_unicode=True)
        return text


Regime = Literal["paper", "research", "small"]

# A small model that starts from random values, or a fine-tuning on a scene or two: the recipe of the embedded model.
_SMALL = {
    "data": {"crop": 256},
    "loss": {"num_points": 2_048, "semantic_weight": 5.0},
    "optimizer": {"lr": 5e-4, "warmup_steps": 100, "max_steps": 2_000},
    "run": {"batch_size": 4, "ema": 0.99, "clip": 1.0, "freeze_norms_at": 0.45, "val_every": 100, "save_every": 50},
}
REGIMES: dict[str, dict[str, Any]] = {
    "paper": {},
    # What the published numbers come from, where it differs from the paper's text.
    "research": {"loss": {"dice_weight": 5.0}, "optimizer": {"decoder_heads": "research"}},
    "small": _SMALL,
}
# Learning by heart: nothing that is there to keep a model from it, and for a small one a rate that gets there soon.
_BY_HEART: dict[str, dict[str, Any]] = {
    "optimizer": {"weight_decay": 0.0},
    "run": {"ema": 0.0, "freeze_norms_at": 0.6, "val_every": 50},
}
_SMALL_BY_HEART = {
    "loss": {"num_points": 4_096, "semantic_weight": 10.0},
    "optimizer": {"lr": 1.5e-3, "warmup_steps": 20, "max_steps": 250},
}
PAPER_DATASETS = ("orsis4199", "eorssd", "orssd")


def usual_regime(dataset: str | None, model: str) -> Regime:
    """The paper's for its own data sets and its own model, the small one for everything else."""
    return "paper" if dataset in PAPER_DATASETS or (dataset and model == "weft-large") else "small"


def build_config(values: Mapping[str, Any], regime: str | None = None) -> TrainConfig:
    """A configuration from nested values over the defaults of a regime.

    A run that is made shorter than its regime's warms up in proportion, unless `warmup_steps` is given too.

    Args:
        values: as in YAML: sections, each with some of its fields.
        regime: a key of `REGIMES`; None for the usual one.

    Raises:
        InputError: a section or field is not known, or a value is of the wrong kind.
    """
    known = [section.name for section in fields(TrainConfig)]
    for section, given in values.items():
        if section not in known:
            raise UnknownNameError("section of the configuration", section, known)
        if not isinstance(given, Mapping):
            raise InputError(f"the section {section} of the configuration must hold named values, not {given!r}")
    data, model = values.get("data", {}), values.get("model", {})
    chosen = regime or usual_regime(data.get("dataset"), model.get("name", ModelConfig.name))
    usual = {name: dict(given) for name, given in REGIMES[chosen].items()}
    if data.get("images") and "name" not in model:
        usual["model"] = {"name": "weft-tiny"}
    if data.get("overfit"):
        for layer in (_BY_HEART, _SMALL_BY_HEART if chosen == "small" else {}):
            for section, fixed in layer.items():
                usual[section] = usual.get(section, {}) | fixed
    asked = values.get("optimizer", {})
    if "max_steps" in asked and "warmup_steps" not in asked and isinstance(asked["max_steps"], int):
        expected = replace(OptimizerConfig(), **usual.get("optimizer", {}))
        warmup = round(expected.warmup_steps * min(asked["max_steps"] / expected.max_steps, 1.0))
        usual.setdefault("optimizer", {})["warmup_steps"] = warmup
    merged = {name: dict(usual.get(name, {})) | dict(values.get(name, {})) for name in known}
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(TrainConfig, "config")
    try:
        parsed = parser.parse_object({"config": _plain(merged)})
        config = parser.instantiate(parsed).config
    except (ArgumentError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        what = " ".join(str(error).split()).replace("config.", "").removeprefix("Parser key ")
        raise InputError(f"the configuration cannot be used: {what}") from error
    assert isinstance(config, TrainConfig)
    return config


def read_values(path: str | Path) -> dict[str, Any]:
    """The sections of a YAML file.

    Raises:
        InputError: the file is missing or holds something else.
    """
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise InputError(
            f"{path} must hold sections such as data and model; weft-geo train … --print-config shows them"
        )
    return values


def _plain(value: Any) -> Any:
    """Tuples as lists, which is what YAML has."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value
