"""The Lightning task: it learns, it resumes, and it leaves a frozen trunk as it was."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")
L = pytest.importorskip("lightning.pytorch", reason="needs the train extra")

from torch.utils.data import DataLoader, Dataset  # noqa: E402

from weft_geo.models import Weft, build_model  # noqa: E402
from weft_geo.trainers.callbacks import RunningAverage  # noqa: E402
from weft_geo.trainers.metrics import PixelScores  # noqa: E402
from weft_geo.trainers.settings import LossConfig, OptimizerConfig  # noqa: E402
from weft_geo.trainers.task import SegmentationTask  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")


class Squares(Dataset[dict[str, Any]]):
    """Bright squares on noise."""

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> dict[str, Any]:
        generator = torch.Generator().manual_seed(index)
        image = torch.rand(3, 64, 64, generator=generator) * 60
        mask = torch.zeros(64, 64, dtype=torch.long)
        row, column = torch.randint(4, 36, (2,), generator=generator).tolist()
        image[:, row : row + 24, column : column + 24] += 180
        mask[row : row + 24, column : column + 24] = 1
        return {"image": image, "mask": mask}


def small(**overrides: Any) -> Weft:
    torch.manual_seed(7)
    shape: dict[str, Any] = {
        "embed_dim": 32, "depth": 4, "num_heads": 2, "stage_ends": (1, 2, 3, 4), "inner_channels": 8,
        "decoder_dim": 32, "num_queries": 6, "decoder_layers": 2, "pixel_layers": 1, "pixel_heads": 4,
        "decoder_heads": 4, "drop_path": 0.0, "expert_kernel_sizes": (1, 3, 5), "top_k": 2,
    }  # fmt: skip
    return build_model("weft-tiny", **shape | overrides)


def task(model: Weft, steps: int, **options: Any) -> SegmentationTask:
    loss = LossConfig(num_points=256, semantic_weight=5.0)
    return SegmentationTask(model, loss, OptimizerConfig(lr=2e-3, warmup_steps=5, max_steps=steps), **options)


def trainer(folder: Path, steps: int, **options: Any) -> Any:
    return L.Trainer(
        accelerator="cpu",
        max_steps=steps,
        default_root_dir=folder,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **options,
    )


def loader() -> Any:
    return DataLoader(Squares(), batch_size=4)


def test_it_learns_to_find_bright_squares(tmp_path: Path) -> None:
    learner = task(small(), 60)
    run = trainer(tmp_path, 60, enable_checkpointing=False)
    run.fit(learner, loader(), DataLoader(Squares(), batch_size=4))
    assert run.callback_metrics["val/iou/object"] > 0.8


def test_a_frozen_trunk_is_bit_identical_after_training(tmp_path: Path) -> None:
    learner = task(small(train_trunk=False), 3)
    before = {name: value.clone() for name, value in learner.model.trunk.state_dict().items()}
    adapter = learner.model.stages[0].injection.gamma.clone()
    trainer(tmp_path, 3, enable_checkpointing=False).fit(learner, loader())
    after = learner.model.trunk.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not torch.equal(adapter, learner.model.stages[0].injection.gamma)


def test_it_goes_on_where_it_stopped(tmp_path: Path) -> None:
    def fit(folder: str, steps: int, resume: Path | None = None) -> SegmentationTask:
        L.seed_everything(11, verbose=False)
        learner = task(small(), 6)
        run = trainer(tmp_path / folder, steps)
        run.fit(learner, loader(), ckpt_path=resume)
        run.save_checkpoint(tmp_path / folder / "end.ckpt")
        return learner

    fit("first", 3)
    checkpoint = tmp_path / "first" / "end.ckpt"
    saved = torch.load(checkpoint, weights_only=False)
    assert saved["global_step"] == 3
    resumed = fit("second", 6, checkpoint)
    again = torch.load(tmp_path / "second" / "end.ckpt", weights_only=False)
    assert again["global_step"] == 6
    assert again["lr_schedulers"][0]["last_epoch"] == 6
    moments = again["optimizer_states"][0]["state"]
    assert all(int(state["step"]) == 6 for state in moments.values())
    assert resumed.optimizers().param_groups[0]["lr"] == 0.0


def test_batch_norms_stop_moving_when_told(tmp_path: Path) -> None:
    learner = task(small(), 4, freeze_norms_from=2)
    seen: list[Any] = []

    class Watch(L.Callback):  # type: ignore[misc,name-defined]
        def on_train_batch_end(self, *_: Any) -> None:
            seen.append(learner.model.norms[0].running_mean.clone())

    trainer(tmp_path, 4, enable_checkpointing=False, callbacks=[Watch()]).fit(learner, loader())
    assert not torch.equal(seen[0], seen[1])
    assert torch.equal(seen[1], seen[2])
    assert torch.equal(seen[2], seen[3])


def test_scores_leave_unlabelled_pixels_out() -> None:
    scores = PixelScores(2)
    scores.update(torch.tensor([[1, 1, 0, 0]]), torch.tensor([[1, 0, 0, 255]]))
    assert scores.compute().tolist() == [0.5, 0.5]


def test_the_running_average_is_where_the_model_is() -> None:
    """Lightning makes it before the model is on its device; on the CPU, every step would bring a copy there."""
    average = RunningAverage(decay=0.9)
    average._average_model = torch.nn.Linear(1, 1)
    average.on_fit_start(None, SimpleNamespace(device=torch.device("meta")))
    assert average._average_model.weight.device.type == "meta"
