"""A training run from a configuration to a model that predicts."""

from __future__ import annotations

import json
import logging
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger

from weft_geo.datasets.datamodules import is_first_process
from weft_geo.errors import InputError, OutputExistsError
from weft_geo.geo.lock import FolderLock
from weft_geo.geo.run_files import ADAPTER, ONNX, WHOLE
from weft_geo.geo.stamps import stamps_of
from weft_geo.geo.whole_files import written_whole
from weft_geo.models import Segmenter, save_checkpoint
from weft_geo.models.export import export_onnx
from weft_geo.progress import Progress, silent
from weft_geo.trainers.callbacks import (
    Curves,
    Follow,
    Interruption,
    KeepLast,
    Patience,
    Pictures,
    RunningAverage,
    StepSeed,
)
from weft_geo.trainers.config import TrainConfig, build_config, read_values
from weft_geo.trainers.meter import Meter
from weft_geo.trainers.run_folder import (
    BEST,
    CONFIG,
    LAST,
    REPORT,
    find_others,
    remove,
    require_open,
    require_removable,
)
from weft_geo.trainers.start import open_data, start_model
from weft_geo.trainers.task import SegmentationTask
from weft_geo.trainers.whole_checkpoints import WholeCheckpoints

# What may change when a run goes on: nothing that it learns depends on it, as long as a step sees as many samples.
_FREE = {
    "data": ("data_root", "workers", "check"),
    "run": (
        "batch_size", "accumulate", "device", "devices", "parallel", "gradient_checkpointing", "save_every",
        "log_every", "pictures",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class TrainReport:
    """What a run came to.

    Attributes:
        steps: optimisation steps in all.
        best_step: the step that was kept, by mean IoU on the validation data.
        val_miou: its mean IoU, background included.
        val_iou: IoU of each class of objects at that step.
        threshold: probability from which a pixel counts as an object, unless the user says otherwise.
        min_area_m2: objects that are smaller are left out, likewise.
        start: what the model started from.
        trainable: values that were trained.
        total: values in all.
        images_per_second: of this process, the first steps left out; None for a run too short to tell.
        peak_memory_bytes: of the GPU, or of the process where there is none.
        device: what it ran on.
        seconds: of this part of the run, validation included.
        files: what was written, by kind.
    """

    steps: int
    best_step: int
    val_miou: float
    val_iou: dict[str, float]
    threshold: float
    min_area_m2: float
    start: str
    trainable: int
    total: int
    images_per_second: float | None
    peak_memory_bytes: int
    device: str
    seconds: float
    files: dict[str, str]

    @property
    def trainable_share(self) -> float:
        """Trained values over all."""
        return self.trainable / self.total


def train(
    config: TrainConfig,
    output: str | Path,
    *,
    resume: bool = True,
    overwrite: bool = False,
    progress: Progress | None = None,
    interruption: Interruption | None = None,
) -> TrainReport:
    """Train, or go on with a run that was stopped, at any step, on the same curve.

    Writes into `output`: config.yaml (every field), train.csv and val.csv, TensorBoard logs, pictures of validation
    images, last.ckpt (to go on from), best.ckpt, and of the best step model.safetensors or, where the trunk is a
    frozen one that was loaded, adapter.safetensors without it; for your own images always model.safetensors and
    model.onnx, which `predict` runs.

    Args:
        config: of the run.
        output: its folder.
        resume: go on with the run that is in the folder; without it, a folder that holds one is refused.
        overwrite: begin anew, and remove the run that is in the folder once data and model are there.
        progress: hears `(event, stage, done, total, message)`.
        interruption: for who asks the run to stop otherwise than by a signal.

    Raises:
        InputError: the configuration, the data or the weights cannot be used, or the folder holds another run.
        OutputBusyError: another run is at work in the folder.
        InterruptedRunError: stopped on request, and saved.
        RunError: the loss is no longer a number.
    """
    with FolderLock(Path(output)) as lock:
        return _train(config, lock, resume, overwrite, progress or silent, interruption or Interruption())


def _train(
    config: TrainConfig, lock: FolderLock, resume: bool, overwrite: bool, hear: Progress, interruption: Interruption
) -> TrainReport:
    folder, began = lock.folder, time.perf_counter()
    last = folder / LAST
    if is_first_process():  # it has begun the run by the time that others of a parallel run start
        lock.take()
        require_open(folder)
        if overwrite:
            require_removable(folder)
        else:
            check_folder(folder, config, resume)
    data = open_data(config, progress=hear)
    model, start = start_model(config, data)
    # What it is called where it is used: its kind alone would be the name of the model that comes with the package.
    model.contract = replace(model.contract, name=f"{folder.resolve().name} ({config.model.name})")
    if overwrite and is_first_process():
        remove(folder)
    hear("start", "prepare", 0, 0, f"{model.config.strategy}: {start}")

    meter = Meter(config.run.batch_size)
    task = build_task(model, config, data)
    best = ModelCheckpoint(
        folder, filename=Path(BEST).stem, monitor="val/miou", mode="max", enable_version_counter=False
    )
    with quiet_lightning(), interruption.listening():
        trainer = build_trainer(
            config,
            folder,
            [
                StepSeed(config.run.seed),
                *([RunningAverage(decay=config.run.ema)] if config.run.ema else []),
                meter,
                Curves(folder, config.run.log_every),
                best,
                *([Patience(config.run.patience)] if config.run.patience else []),
                *([Pictures(folder / "pictures", config.run.pictures)] if config.run.pictures else []),
                Follow(hear),
                # The last one, for what it saves has been logged and the best step is known.
                KeepLast(folder, config.run.save_every, val_steps(config), interruption),
            ],
        )
        samples_a_step = config.run.batch_size * config.run.accumulate * trainer.world_size
        data.samples = config.optimizer.max_steps * samples_a_step
        task.samples_a_step = samples_a_step
        task.stamps = stamps_of((*config.data.images, *config.data.labels, *config.data.val_images))
        resumed = last if last.exists() else None
        if resumed:
            kept = torch.load(last, map_location="cpu", weights_only=False, mmap=True)
            data.start_samples = samples_seen(kept, folder, samples_a_step, model.config.classes)
            if kept.get("stamps", task.stamps) != task.stamps:
                changed = "images or labels have changed since the run began; it goes on with them as they are now"
                hear("warning", "prepare", 0, 0, changed)
        if is_first_process():
            folder.mkdir(parents=True, exist_ok=True)
            lock.take()
            with written_whole(folder / CONFIG) as beside:
                beside.write_text(config.to_yaml(), encoding="utf-8")
        trainer.fit(task, datamodule=data, ckpt_path=resumed, weights_only=False)
        steps = trainer.global_step

    kept = torch.load(folder / BEST, map_location="cpu", weights_only=False)
    task.on_load_checkpoint(kept)
    task.load_state_dict(kept["state_dict"])
    scores = {key: float(value) for key, value in kept["scores"].items()}
    report = TrainReport(
        steps=steps,
        best_step=int(kept["global_step"]),
        val_miou=scores.pop("val/miou"),
        val_iou={key.removeprefix("val/iou/"): value for key, value in scores.items() if key.startswith("val/iou/")},
        threshold=model.contract.threshold,
        min_area_m2=model.contract.min_area_m2,
        start=start,
        trainable=model.num_trainable(),
        total=model.num_total(),
        images_per_second=meter.images_per_second,
        peak_memory_bytes=meter.peak_memory_bytes,
        device=meter.device,
        seconds=time.perf_counter() - began,
        files=write_model(model.cpu().eval(), config, folder, hear) if trainer.is_global_zero else {},
    )
    if trainer.is_global_zero:
        text = json.dumps(asdict(report), indent=2, ensure_ascii=False)
        with written_whole(folder / REPORT) as beside:
            beside.write_text(text + "\n", encoding="utf-8")
    return report


def build_task(model: Segmenter, config: TrainConfig, data: Any) -> SegmentationTask:
    """The Lightning task of a run."""
    share = config.run.freeze_norms_at
    statistics = (data.test_mean, data.test_std) if hasattr(data, "test_mean") else None
    freeze_from = None if share is None else round(share * config.optimizer.max_steps)
    return SegmentationTask(model, config.loss, config.optimizer, freeze_from, statistics)


def val_steps(config: TrainConfig) -> int:
    """Steps between validations: a short run is validated at its end."""
    return min(config.run.val_every, config.optimizer.max_steps)


def build_trainer(config: TrainConfig, folder: Path, callbacks: list[Any], *, log: bool = True) -> Any:
    """Lightning's trainer for one pass over the samples of a run.

    Raises:
        InputError: the device, precision or parallel strategy cannot be had.
    """
    run = config.run
    devices: Any = run.devices if run.devices == "auto" or "," in run.devices else int(run.devices)
    options: dict[str, Any] = {"accelerator": run.device, "devices": devices, "strategy": run.parallel}
    try:
        trainer = L.Trainer(
            **options,
            precision=run.precision,
            sync_batchnorm=run.devices != "1" and run.device != "cpu" and torch.cuda.is_available(),
            use_distributed_sampler=False,  # the data module gives each process its share
            accumulate_grad_batches=run.accumulate,
            gradient_clip_val=run.clip or None,
            max_steps=config.optimizer.max_steps,
            val_check_interval=val_steps(config) * run.accumulate,
            check_val_every_n_epoch=None,
            num_sanity_val_steps=0,
            logger=TensorBoardLogger(folder, name="tensorboard", version="") if log else False,
            enable_checkpointing=log,
            callbacks=callbacks,
            plugins=[WholeCheckpoints()],
            log_every_n_steps=run.log_every,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=folder,
        )
    except (ValueError, RuntimeError, ImportError) as error:  # Lightning's MisconfigurationException is one of them
        asked = f"device {run.device}, devices {run.devices}, precision {run.precision}, parallel {run.parallel}"
        raise InputError(f"Lightning refuses {asked}: {' '.join(str(error).split())}") from error
    return trainer


def check_folder(folder: Path, config: TrainConfig, resume: bool) -> None:
    """Refuse a folder with another run, or one that is finished.

    Raises:
        OutputExistsError: there is one.
        InputError: it was made with other values.
    """
    if not (folder / CONFIG).exists():
        if folder.is_dir() and find_others(folder):
            raise OutputExistsError(f"{folder} is not empty and holds no run; give another folder")
        return
    if not resume:
        raise OutputExistsError(f"{folder} already holds a run; begin anew (--overwrite) or give another folder")
    if (folder / REPORT).exists():
        raise OutputExistsError(f"the run in {folder} is finished; begin anew (--overwrite) or give another folder")
    check_values(folder, config)


def check_values(folder: Path, config: TrainConfig) -> None:
    """Refuse to take the run in a folder for one with other values.

    Raises:
        InputError: it is another one.
    """
    before = build_config(read_values(folder / CONFIG))
    if different := differences(before, config):
        raise InputError(
            f"the run in {folder} was begun with other values of {', '.join(different)}; "
            "give the same to go on, begin anew (--overwrite), or give another folder"
        )


def differences(one: TrainConfig, other: TrainConfig) -> list[str]:
    """The fields in which two runs differ and could learn something else."""
    found = []
    for section, values in asdict(one).items():
        theirs = asdict(other)[section]
        free = _FREE.get(section, ())
        found += [f"{section}.{name}" for name in values if name not in free and values[name] != theirs[name]]
    return found


def samples_seen(kept: dict[str, Any], folder: Path, samples_a_step: int, classes: tuple[str, ...]) -> int:
    """Samples that the run in a folder has seen up to a checkpoint.

    Raises:
        InputError: its steps saw another number of samples, or other classes: labels were edited since.
    """
    if kept.get("classes", classes) != classes:
        raise InputError(
            f"the run in {folder} was begun with the classes {', '.join(kept['classes'])}, and its labels now "
            f"have {', '.join(classes)}; bring these back, begin anew (--overwrite), or give another folder"
        )
    before = kept["samples_a_step"]
    if before != samples_a_step:
        raise InputError(
            f"the run in {folder} was begun with {before} samples a step, and would go on with {samples_a_step}; "
            f"give --batch-size, --accumulate and --devices whose product is {before}"
        )
    return int(kept["global_step"]) * samples_a_step


def write_model(model: Segmenter, config: TrainConfig, folder: Path, hear: Progress) -> dict[str, str]:
    """Write the trained model in the forms that are of use, and say where they are."""
    files: dict[str, str] = {}
    own_images = bool(config.data.images)
    if model.config.trunk_is_frozen and config.model.weights:
        files["adapter"] = str(save_checkpoint(model, folder / ADAPTER))
    if own_images or "adapter" not in files:
        files["model"] = str(save_checkpoint(model, folder / WHOLE, adapter_only=False))
    if own_images:
        hear("start", "export", 0, 0, "")
        files["onnx"] = str(export_onnx(model, folder / ONNX, check=True).path)
    return files


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Let Lightning's advice to its programmers be silent; its errors are not."""
    names = ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero")
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            for module in (r"lightning\..*", r"torch\..*", r"torchmetrics\..*", r"tensorboard.*"):
                warnings.filterwarnings("ignore", module=module)
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
