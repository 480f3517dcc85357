"""What happens beside the optimisation: seeds, checkpoints to go on from, curves, pictures, progress."""

from __future__ import annotations

import csv
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import lightning.pytorch as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Checkpoint, EarlyStopping, EMAWeightAveraging
from torch import Tensor
from torchvision.utils import make_grid, save_image

from weft_geo.errors import InterruptedRunError
from weft_geo.geo.whole_files import written_whole
from weft_geo.progress import Progress
from weft_geo.trainers.run_folder import LAST


class StepSeed(L.Callback):  # type: ignore[misc]  # lightning is not type-checked here
    """Seeds every batch from the run's seed and the step, so that a run that goes on draws what it would have drawn.

    Args:
        seed: of the run.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: Any, task: Any, batch: Any, batch_idx: int) -> None:
        """Before anything is drawn."""
        place = (self.seed, trainer.global_step, batch_idx % trainer.accumulate_grad_batches, trainer.global_rank)
        torch.manual_seed(int(np.random.SeedSequence(place).generate_state(1)[0]))


class RunningAverage(EMAWeightAveraging):  # type: ignore[misc]
    """A running average of what is trained; what is not stays as it is to the bit.

    Averaged, a frozen trunk would differ by its rounding, and be no more the one that an adapter names by its hash.
    Lightning would leave the average on the CPU, a copy there every step.
    """

    def on_fit_start(self, trainer: Any, task: Any) -> None:
        """When the model is on its device."""
        self._average_model.to(task.device)

    def on_train_batch_end(self, trainer: Any, task: Any, *arguments: Any) -> None:
        """Average, and put back what is frozen."""
        super().on_train_batch_end(trainer, task, *arguments)
        with torch.no_grad():
            averaged = dict(self._average_model.module.named_parameters())
            for name, own in task.named_parameters():
                if not own.requires_grad:
                    averaged[name].copy_(own)
            trunk = task.model.trunk
            if not any(parameter.requires_grad for parameter in trunk.parameters()):
                kept = dict(self._average_model.module.model.trunk.named_buffers())
                for name, buffer in trunk.named_buffers():
                    kept[name].copy_(buffer)


class Interruption:
    """Whether somebody asked the run to stop. At the second signal it stops at once.

    Attributes:
        asked: somebody did.
        is_listening: the run is at the steps, where it stops as it should.
    """

    def __init__(self) -> None:
        self.asked = False
        self.is_listening = False
        self._heard = False
        self._numbers: tuple[signal.Signals, ...] = ()

    def ask(self) -> None:
        """Ask, from another thread; as often as you like."""
        self.asked = True

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take SIGINT and SIGTERM as requests while the block runs; signals reach the main thread only."""
        if threading.current_thread() is threading.main_thread():
            self._numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.getsignal(number) for number in self._numbers}
        self.take_over()
        self.is_listening = True
        try:
            yield
        finally:
            self.is_listening = False
            self._numbers = ()
            for number, handler in before.items():
                signal.signal(number, handler)

    def take_over(self) -> None:
        """Be the only one who hears them: Lightning ends a fit at SIGTERM without saving, and with exit code 0."""
        for number in self._numbers:
            signal.signal(number, self._hear)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self._heard:
            raise KeyboardInterrupt
        self._heard = self.asked = True


class KeepLast(Checkpoint):  # type: ignore[misc]
    """Writes the checkpoint that a run goes on from, and ends the run when it is asked to.

    Lightning runs its checkpoint callbacks after all others, in the order given. Being one, and given after the one
    that keeps the best step, it saves what that one knows; else a run that goes on would take a worse step for best.

    A step that is validated is saved after the validation, and the step before it too: what a checkpoint holds has been
    logged, what comes after it will be logged again, and who interrupts a validation loses one step. The last step is
    validated in any case: Lightning does so where a run is asked to stop.

    Args:
        folder: of the run.
        every: steps between checkpoints.
        val_every: steps between validations.
        interruption: says when to stop.
    """

    def __init__(self, folder: Path, every: int, val_every: int, interruption: Interruption) -> None:
        self.path, self.every, self.val_every, self.interruption = folder / LAST, every, val_every, interruption
        self._saved = -1

    def on_train_start(self, trainer: Any, task: Any) -> None:
        """Lightning has set its own handlers by now."""
        self.interruption.take_over()

    def on_train_batch_end(self, trainer: Any, task: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Save when it is time, or when asked to stop."""
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        asked = trainer.strategy.reduce_boolean_decision(self.interruption.asked, all=False)
        step, last = trainer.global_step, trainer.max_steps
        validated, validated_next = (at % self.val_every == 0 or at == last for at in (step, step + 1))
        if not validated and (asked or validated_next or step % self.every == 0):
            self._save(trainer)
        if asked:
            self._stop(trainer)
        trainer.should_stop = trainer.should_stop or step == last

    def on_validation_batch_end(self, trainer: Any, *_: Any) -> None:
        """Stop in the middle of a validation, unless other processes would wait for this one at its end."""
        if not trainer.sanity_checking and trainer.world_size == 1 and self.interruption.asked:
            self._stop(trainer)

    def on_validation_end(self, trainer: Any, task: Any) -> None:
        """Save a step that was validated."""
        if not trainer.sanity_checking and trainer.state.fn == "fit":
            self._save(trainer)

    def on_load_checkpoint(self, trainer: Any, task: Any, checkpoint: dict[str, Any]) -> None:
        """Let Lightning count the batches that are left from nought, since the loader leaves out those that were seen.

        What was saved while the hooks of a batch ran is complete all the same; Lightning would count it once more. A
        step may be of more batches than before, and of smaller ones.
        """
        steps = checkpoint["global_step"]
        progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        progress["current"] = dict.fromkeys(progress["current"], 0)
        progress["total"] = dict.fromkeys(progress["total"], steps * trainer.accumulate_grad_batches)
        self._saved = steps

    def _save(self, trainer: Any) -> None:
        if self._saved != trainer.global_step:
            trainer.save_checkpoint(self.path)
            self._saved = trainer.global_step

    def _stop(self, trainer: Any) -> None:
        kept = f"{self.path} holds step {self._saved}" if self.path.exists() else "no step was saved yet"
        raise InterruptedRunError(f"interrupted at step {trainer.global_step}; {kept}, run the same command to go on")


class Patience(EarlyStopping):  # type: ignore[misc]
    """Ends a run that gets no better.

    A run that had come to this end, and was killed before its model was written, does not take another step.

    Args:
        validations: without a better one, until it ends.
    """

    def __init__(self, validations: int) -> None:
        super().__init__("val/miou", mode="max", patience=validations)

    def on_train_start(self, trainer: Any, task: Any) -> None:
        """A checkpoint says how many validations were no better, and not that the run was over."""
        trainer.should_stop = trainer.should_stop or self.wait_count >= self.patience


class Curves(L.Callback):  # type: ignore[misc]
    """Writes train.csv and val.csv, a row at a time, so that nothing is lost when a run is killed.

    A run that goes on first drops the rows of steps that it takes again.

    Args:
        folder: of the run.
        every: steps between rows of train.csv; the last step has one in any case.
    """

    def __init__(self, folder: Path, every: int) -> None:
        self.folder, self.every = folder, every

    def on_train_start(self, trainer: Any, task: Any) -> None:
        """Make room for the steps to come."""
        if trainer.is_global_zero:
            for name in ("train.csv", "val.csv"):
                drop_rows(self.folder / name, after=trainer.global_step)

    def on_train_batch_end(self, trainer: Any, task: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """A row of the loss, its parts and the rate."""
        values = trainer.callback_metrics
        stepped = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        step = trainer.global_step
        if stepped and trainer.is_global_zero and (step % self.every == 0 or step == trainer.max_steps):
            self._write("train.csv", step, "train/", values, {"lr": values["lr"]})

    def on_validation_end(self, trainer: Any, task: Any) -> None:
        """A row of the scores."""
        if trainer.is_global_zero and not trainer.sanity_checking:
            self._write("val.csv", trainer.global_step, "val/", trainer.callback_metrics, {})

    def _write(self, name: str, step: int, prefix: str, values: dict[str, Tensor], more: dict[str, Tensor]) -> None:
        row = {key.removeprefix(prefix): value for key, value in values.items() if key.startswith(prefix)} | more
        path = self.folder / name
        fresh = not path.exists() or not path.stat().st_size
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            if fresh:
                writer.writerow(["step", *row])
            writer.writerow([step, *(repr(float(value)) for value in row.values())])


def drop_rows(path: Path, after: int) -> None:
    """Drop the rows of a CSV file whose first field is a step behind the given one, and a last row cut short."""
    if not path.exists():
        return
    head, *rows = path.read_text(encoding="utf-8").splitlines(keepends=True) or [""]
    kept = [row for row in rows if row.endswith("\n") and int(row.split(",")[0]) <= after]
    with written_whole(path) as beside:
        beside.write_text("".join([head, *kept] if head.endswith("\n") else []), encoding="utf-8")


class Pictures(L.Callback):  # type: ignore[misc]
    """Draws validation images beside their truth and what the model makes of them.

    Args:
        folder: where step_N.png go.
        count: images of the first validation batches.
        side: longest side of a picture, in pixels.
    """

    def __init__(self, folder: Path, count: int, side: int = 256) -> None:
        self.folder, self.count, self.side = folder, count, side
        self._rows: list[Tensor] = []

    def on_validation_epoch_start(self, trainer: Any, task: Any) -> None:
        """Begin a new picture."""
        self._rows = []

    def on_validation_batch_end(self, trainer: Any, task: Any, outputs: Tensor, batch: Any, *_: Any) -> None:
        """Keep a row for each of the first images; `outputs` are the probabilities [B, K, H, W]."""
        for image, mask, probability in zip(batch["image"], batch["mask"], outputs, strict=True):
            if len(self._rows) < self.count:
                found = 1 - probability[0]
                truth = torch.where(mask == 255, 0.5, (mask > 0).float())
                row = [image[:3].float() / 255, *(x.expand(3, -1, -1).to(image) for x in (truth, found))]
                self._rows.append(torch.cat([fit_square(x, self.side) for x in row], dim=-1).cpu())

    def on_validation_end(self, trainer: Any, task: Any) -> None:
        """Write and log the picture."""
        if not self._rows or not trainer.is_global_zero or trainer.sanity_checking:
            return
        grid = make_grid(self._rows, nrow=1, padding=4, pad_value=1.0)
        self.folder.mkdir(exist_ok=True)
        save_image(grid, self.folder / f"step_{trainer.global_step:06d}.png")
        for logger in trainer.loggers:
            if hasattr(logger.experiment, "add_image"):
                logger.experiment.add_image("image, truth, probability", grid, trainer.global_step)


def fit_square(x: Tensor, side: int) -> Tensor:
    """An image [3, H, W] on 0…1, at most `side` long, in the middle of a white square of that side."""
    H, W = x.shape[-2:]
    scale = side / max(H, W)
    size = (max(round(H * scale), 1), max(round(W * scale), 1))
    small = torch.nn.functional.interpolate(x[None], size=size, mode="bilinear", antialias=True)[0].clamp(0, 1)
    square = torch.ones(3, side, side, dtype=x.dtype, device=x.device)
    top, left = (side - size[0]) // 2, (side - size[1]) // 2
    square[:, top : top + size[0], left : left + size[1]] = small
    return square


class Follow(L.Callback):  # type: ignore[misc]
    """Tells how far the run is: a step with its loss, a validation with its score.

    Args:
        progress: hears `(event, stage, done, total, message)`.
    """

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self._score = ""

    def on_train_start(self, trainer: Any, task: Any) -> None:
        """The run begins, or goes on."""
        self.progress("start", "train", trainer.global_step, trainer.max_steps, "")

    def on_train_batch_end(self, trainer: Any, task: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """A step is done."""
        loss = float(outputs["loss"]) * trainer.accumulate_grad_batches
        message = f"loss {loss:.3f}{self._score}"
        self.progress("progress", "train", trainer.global_step, trainer.max_steps, message)

    def on_validation_end(self, trainer: Any, task: Any) -> None:
        """A validation is done."""
        if not trainer.sanity_checking:
            self._score = f", val mIoU {float(trainer.callback_metrics['val/miou']):.3f}"

    def on_train_end(self, trainer: Any, task: Any) -> None:
        """The run is over."""
        self.progress("done", "train", trainer.global_step, trainer.max_steps, self._score.removeprefix(", "))
