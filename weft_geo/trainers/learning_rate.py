"""The learning-rate range test (Smith, WACV 2017), Lightning's, on the data and model of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lightning.pytorch.tuner import Tuner

from weft_geo.errors import RunError
from weft_geo.geo.access import require_writable
from weft_geo.trainers.callbacks import StepSeed
from weft_geo.trainers.config import TrainConfig
from weft_geo.trainers.run_folder import RATES
from weft_geo.trainers.start import open_data, start_model
from weft_geo.trainers.train import build_task, build_trainer, quiet_lightning

LOWEST, HIGHEST = 1e-6, 1e-1


@dataclass(frozen=True)
class RateSuggestion:
    """What the range test found.

    Attributes:
        lr: the rate at which the loss falls fastest.
        picture: loss over rate.
    """

    lr: float
    picture: Path


def suggest_rate(config: TrainConfig, output: str | Path, steps: int = 60) -> RateSuggestion:
    """Raise the rate from step to step until the loss explodes, and suggest one. Nothing of a run is changed.

    Args:
        config: of the run.
        output: folder for learning_rate.png.
        steps: rates to try.

    Raises:
        InputError: the folder cannot be written to.
        RunError: the loss never fell.
    """
    folder = Path(output)
    require_writable(folder)
    folder.mkdir(parents=True, exist_ok=True)
    data = open_data(config, steps * config.run.batch_size * config.run.accumulate)
    model, _ = start_model(config, data)
    with quiet_lightning():
        trainer = build_trainer(config, folder, [StepSeed(config.run.seed)], log=False)
        finder = Tuner(trainer).lr_find(
            build_task(model, config, data),
            datamodule=data,
            min_lr=LOWEST,
            max_lr=HIGHEST,
            num_training=steps,
            update_attr=False,
        )
        rate = None if finder is None else finder.suggestion(skip_begin=3, skip_end=1)
        if finder is None or rate is None:
            raise RunError(f"the loss fell at no rate from {LOWEST:g} to {HIGHEST:g}; check the data and the weights")
        figure = finder.plot(suggest=True)
        figure.savefig(folder / RATES, dpi=120)
    return RateSuggestion(float(rate), folder / RATES)
