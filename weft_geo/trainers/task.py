"""The Lightning task that trains a Weft."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import lightning.pytorch as L
import torch
from torch import Tensor, nn

from weft_geo.errors import CheckpointError
from weft_geo.geo.stamps import Stamp
from weft_geo.models.checkpoint import is_of_trunk, trunk_sha256
from weft_geo.models.segmenter import Segmenter
from weft_geo.trainers.losses import MaskLoss
from weft_geo.trainers.metrics import PixelScores
from weft_geo.trainers.optimizer import build_optimizer
from weft_geo.trainers.settings import LossConfig, OptimizerConfig


class SegmentationTask(L.LightningModule):  # type: ignore[misc]  # lightning is not type-checked here
    """Trains the mask decoder's queries and whatever else of a Weft is trainable.

    Batches are dicts in torchgeo's manner: "image" float32 [B, C, H, W] on 0…255, "mask" int64 [B, H, W] of class
    numbers with 255 where there is no label. The task normalises images as the model's contract says.

    Args:
        model: what to train.
        loss: weights and points of the loss.
        optimizer: the regime.
        val_statistics: mean and standard deviation, per band on 0…255, that validation images are normalised with; None
            for the contract's. The research configuration normalises its test split with that split's own.
        freeze_norms_from: the step from which batch norms keep their statistics, or None for never. The experts'
            norms are shared by four scales, so what they collect fits none of them exactly; training on with the
            statistics fixed lets the weights make up for it.

    Attributes:
        samples_a_step: of all processes and batches together; kept in checkpoints, for who goes on from one.
        stamps: of the files that are learnt from, likewise.
    """

    mean: Tensor
    std: Tensor
    val_mean: Tensor
    val_std: Tensor

    def __init__(
        self,
        model: Segmenter,
        loss: LossConfig | None = None,
        optimizer: OptimizerConfig | None = None,
        freeze_norms_from: int | None = None,
        val_statistics: tuple[Sequence[float], Sequence[float]] | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.loss = MaskLoss(model.config.num_classes, loss)
        self.freeze_norms_from = freeze_norms_from
        self.optimizer_config = optimizer or OptimizerConfig()
        self.samples_a_step = 0
        self.stamps: list[Stamp] = []
        self.scores = PixelScores(model.config.num_classes)
        self.register_buffer("mean", torch.tensor(model.contract.means)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(model.contract.stds)[:, None, None], persistent=False)
        val_mean, val_std = val_statistics or (model.contract.means, model.contract.stds)
        self.register_buffer("val_mean", torch.tensor(val_mean)[:, None, None], persistent=False)
        self.register_buffer("val_std", torch.tensor(val_std)[:, None, None], persistent=False)

    @cached_property
    def frozen_trunk_sha256(self) -> str:
        """Which frozen trunk this is; hashing a large one takes seconds, and it never changes."""
        return trunk_sha256(self.model)

    def forward(self, images: Tensor) -> Tensor:
        """Images on 0…255 [B, C, H, W] → probabilities [B, K, H, W]."""
        return self.model.probabilities(self.normalize(images))

    def normalize(self, images: Tensor) -> Tensor:
        """(images − mean) / std."""
        return (images - self.mean) / self.std

    def on_train_batch_start(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Put the batch norms in evaluation mode, once it is time."""
        if self.freeze_norms_from is not None and self.global_step >= self.freeze_norms_from:
            for module in self.model.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """The loss of one batch."""
        losses = self.loss(self.model(self.normalize(batch["image"])), batch["mask"])
        self.log_dict({f"train/{name}": value for name, value in losses.items()}, batch_size=len(batch["image"]))
        self.log("lr", self.optimizers().param_groups[0]["lr"])
        total: Tensor = losses["loss"]
        return total

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Count the pixels of one batch, and give its probabilities [B, K, H, W]."""
        probabilities = self.model.probabilities((batch["image"] - self.val_mean) / self.val_std)
        self.scores.update(probabilities.argmax(dim=1), batch["mask"])
        return probabilities

    def on_validation_epoch_end(self) -> None:
        """Log mIoU and the IoU of every class of objects."""
        iou = self.scores.compute()
        self.log("val/miou", iou.nanmean(), prog_bar=True)
        for name, value in zip(self.model.config.classes, iou[1:], strict=True):
            self.log(f"val/iou/{name}", value, prog_bar=True)
        self.scores.reset()

    def configure_optimizers(self) -> Any:
        """AdamW with its schedule, stepped once an iteration."""
        optimizer, schedule = build_optimizer(self.model, self.optimizer_config)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what a run goes on with, and the last scores; name a frozen trunk by its hash, for it never changes."""
        scores = self.trainer.callback_metrics
        checkpoint["scores"] = {name: float(value) for name, value in scores.items() if name.startswith("val/")}
        checkpoint["samples_a_step"] = self.samples_a_step
        checkpoint["classes"] = self.model.config.classes
        checkpoint["stamps"] = self.stamps
        if self.model.config.trunk_is_frozen:
            state = checkpoint["state_dict"]
            checkpoint["state_dict"] = {k: v for k, v in state.items() if not is_of_trunk(k.removeprefix("model."))}
            checkpoint["trunk_sha256"] = self.frozen_trunk_sha256

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take a frozen trunk from the model, if it is the one that the checkpoint names.

        Raises:
            CheckpointError: it is another one.
        """
        if "trunk_sha256" not in checkpoint:
            return
        if checkpoint["trunk_sha256"] != self.frozen_trunk_sha256:
            raise CheckpointError(
                "the frozen trunk is not the one that this run began with; give the same --weights, "
                "or begin in another folder"
            )
        own = self.state_dict()
        checkpoint["state_dict"] |= {k: v for k, v in own.items() if is_of_trunk(k.removeprefix("model."))}
