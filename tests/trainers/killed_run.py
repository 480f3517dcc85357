"""Runs a command of weft-geo that kills itself, as kill -9 does, at a named moment: `killed_run.py MOMENT WORD…`.

Moments: `start`, before anything is written; `settings`, with half the configuration; `step:N`, in the step after N;
`row:N`, with half the row of step N in train.csv; `checkpoint:N`, with half the checkpoint of step N; `best:N`, the
same of the best one; `validation:N`; `model`, with half the trained model; `report`, with half the report; `none`.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch

torch.set_num_threads(1)

from weft_geo.trainers import callbacks, train  # noqa: E402
from weft_geo_cli.main import main  # noqa: E402


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def half(data: bytes, path: Any) -> None:
    with Path(path).open("wb") as file:
        file.write(data[: len(data) // 2])
        file.flush()
        os.fsync(file.fileno())
    die()


def plan(moment: str, number: int) -> None:
    save, write_text, row = torch.save, Path.write_text, callbacks.Curves._write

    def save_half(checkpoint: dict[str, Any], path: Any) -> None:
        wanted = {"checkpoint": "last", "best": "best"}[moment]
        if wanted in Path(path).name and checkpoint["global_step"] == number:
            buffer = io.BytesIO()
            save(checkpoint, buffer)
            half(buffer.getvalue(), path)
        save(checkpoint, path)

    def text_half(path: Path, text: str, *rest: Any, **more: Any) -> int:
        if {"settings": "config", "report": "report"}[moment] in path.name:
            half(text.encode(), path)
        return write_text(path, text, *rest, **more)

    def row_half(self: Any, name: str, step: int, prefix: str, values: Any, more: Any) -> None:
        row(self, name, step, prefix, values, more)
        if (name, step) == ("train.csv", number):
            path = self.folder / name
            *before, last = path.read_bytes().splitlines(keepends=True)
            with path.open("wb") as file:
                file.write(b"".join(before) + last[: len(last) // 2])
            die()

    def model_half(model: Any, path: Path, *rest: Any, **more: Any) -> None:
        half(b"not a whole model", path.with_name(f".{path.name}.{os.getpid()}.part"))

    def at(self: Any, trainer: Any, *rest: Any) -> None:
        if trainer.global_step == number:
            die()

    match moment:
        case "start":
            train.start_model = lambda *_: die()  # type: ignore[assignment]
        case "settings" | "report":
            Path.write_text = text_half  # type: ignore[assignment,method-assign]
        case "step":
            callbacks.Follow.on_before_optimizer_step = at
        case "row":
            callbacks.Curves._write = row_half  # type: ignore[method-assign]
        case "checkpoint" | "best":
            torch.save = save_half
        case "validation":
            callbacks.Follow.on_validation_batch_start = at
        case "model":
            train.save_checkpoint = model_half  # type: ignore[assignment]
        case _:
            raise SystemExit(f"unknown moment {moment}")


if __name__ == "__main__":
    moment, _, number = sys.argv[1].partition(":")
    if moment != "none":
        plan(moment, int(number or 0))
    sys.argv[1:] = sys.argv[2:]
    main()
