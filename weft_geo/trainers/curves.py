"""The curves of a run, as a picture."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from weft_geo.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def read_curve(path: str | Path) -> dict[str, list[float]]:
    """The columns of train.csv or val.csv, by name.

    Raises:
        InputError: the file is missing, or holds no rows.
    """
    file = Path(path)
    if not file.is_file():
        raise InputError(f"{file} does not exist; give the folder of a run of weft-geo train")
    with file.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    if not rows:
        raise InputError(f"{file} holds no steps yet")
    return {name: [float(row[name]) for row in rows] for name in rows[0]}


def draw_curves(run: str | Path) -> Figure:
    """Loss and its parts, learning rate, and scores on the validation data, over the steps of a run.

    Raises:
        InputError: the folder holds no run.
    """
    from matplotlib.figure import Figure

    train = read_curve(Path(run) / "train.csv")
    figure = Figure(figsize=(12, 4), layout="constrained")
    losses, rate, scores = figure.subplots(1, 3)
    for name, values in train.items():
        if name not in ("step", "lr"):
            losses.plot(train["step"], values, label=name, linewidth=1.5 if name == "loss" else 0.8)
    losses.set(title="loss and its parts", xlabel="step", ylim=(0, None))
    losses.legend(fontsize=8)
    rate.plot(train["step"], train["lr"])
    rate.set(title="learning rate", xlabel="step", ylim=(0, None))
    if (Path(run) / "val.csv").exists():
        val = read_curve(Path(run) / "val.csv")
        for name, values in val.items():
            if name != "step":
                scores.plot(val["step"], values, marker=".", label=name)
        scores.legend(fontsize=8)
    scores.set(title="validation", xlabel="step", ylim=(0, 1))
    return figure
