"""The tables of the paper: one run a row, everything but the row's own change alike."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from weft_geo.errors import UnknownNameError
from weft_geo.geo.lock import FolderLock
from weft_geo.geo.whole_files import written_whole
from weft_geo.progress import Progress, silent
from weft_geo.trainers.config import ABLATIONS, ModelConfig, TrainConfig
from weft_geo.trainers.row import train_apart
from weft_geo.trainers.run_folder import REPORT, remove, require_open, require_removable
from weft_geo.trainers.start import open_data, start_model
from weft_geo.trainers.train import TrainReport, check_values

LABELS = {"twe": "TWE", "esto": "ESTO", "see": "SEE"}


@dataclass(frozen=True)
class Row:
    """One run of a table.

    Attributes:
        name: what the paper calls it.
        report: how it went.
    """

    name: str
    report: TrainReport


@dataclass(frozen=True)
class Table:
    """A finished table.

    Attributes:
        title: what is compared.
        rows: one for each run.
    """

    title: str
    rows: list[Row]

    def to_markdown(self) -> str:
        """The table as text."""
        lines = [
            f"| {self.title} | mIoU | object IoU | trained | share | images/s | peak memory |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        ]
        for row in self.rows:
            report = row.report
            objects = sum(report.val_iou.values()) / max(len(report.val_iou), 1)
            speed = "" if report.images_per_second is None else f"{report.images_per_second:.2f}"
            lines.append(
                f"| {row.name} | {report.val_miou:.4f} | {objects:.4f} | {report.trainable:,} | "
                f"{report.trainable_share:.2%} | {speed} | {report.peak_memory_bytes / 2**20:,.0f} MiB |"
            )
        return "\n".join(lines)


def _row(model: ModelConfig, **changes: Any) -> ModelConfig:
    """The model of a row; a number of experts is for rows that have any."""
    changed = replace(model, **changes)
    return changed if changed.has_experts else replace(changed, experts=None)


def variants(table: str, model: ModelConfig) -> dict[str, ModelConfig]:
    """The rows of a table, by name, in the paper's order.

    Raises:
        UnknownNameError: there is no such table.
    """
    if table == "ablation":
        kept = [parts for size in range(4) for parts in combinations(ABLATIONS, size)]
        return {
            " + ".join(LABELS[part] for part in parts) or "base": _row(
                model, ablate=tuple(part for part in ABLATIONS if part not in parts)
            )
            for parts in kept
        }
    if table == "experts":
        return {f"{count} of 7": replace(model, experts=count) for count in (1, 2, 4, 6, 7)}
    if table == "strategies":
        order = ("full", "frozen", "vpt", "adapter", "lora", "weft")
        # The trunk must be the same for all, so a small model's is frozen here too, but for the strategy "full".
        return {name: _row(model, strategy=name, freeze_trunk=name != "full") for name in order}
    raise UnknownNameError("table", table, ["ablation", "experts", "strategies"])


def compare(
    config: TrainConfig, table: str, output: str | Path, progress: Progress | None = None, *, overwrite: bool = False
) -> Table:
    """Train every row of a table and write table.md and table.json.

    Each row runs in a process of its own, so that its peak memory is its own, and is written when it is done. A table
    that was stopped goes on with the row that it stopped in.

    Args:
        config: of all rows, but for what the table changes.
        table: "ablation", "experts" or "strategies".
        output: a folder; each row has one in it.
        progress: hears `(event, stage, done, total, message)`: a step a row, and in between how the row gets on.
        overwrite: begin anew, and remove the table that is in the folder once data and model are there.

    Raises:
        InputError: as for `train`.
        OutputBusyError: another table, or another run, is at work in the folder.
        InterruptedRunError: stopped on request.
    """
    with FolderLock(Path(output)) as lock:
        return _compare(config, table, lock, progress or silent, overwrite)


def _compare(config: TrainConfig, table: str, lock: FolderLock, hear: Progress, overwrite: bool) -> Table:
    folder, wanted = lock.folder, variants(table, config.model)
    lock.take()
    require_open(folder)
    if overwrite:
        require_removable(folder)
        start_model(config, open_data(config, progress=hear))  # what would stop the first row stops here
        remove(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lock.take()
    hear("start", table, 0, len(wanted), "")
    runs = {name: (replace(config, model=model), folder / _folder_name(name)) for name, model in wanted.items()}
    done = {name: _finished(*run) for name, run in runs.items()}  # a table of other values is refused as it is
    rows: list[Row] = []
    _write(Table(table, rows), folder)  # tells that this folder is a table's
    for name, run in runs.items():
        report = done[name] or train_apart(*run, _of_row(hear, f"{table}: {name}"))
        rows.append(Row(name, report))
        _write(Table(table, rows), folder)
        hear("progress", table, len(rows), len(wanted), f"{name}: mIoU {report.val_miou:.4f}")
    hear("done", table, len(rows), len(wanted), str(folder / "table.md"))
    return Table(table, rows)


def _write(table: Table, folder: Path) -> None:
    """The rows that there are so far."""
    rows = json.dumps([asdict(row) for row in table.rows], indent=2, ensure_ascii=False)
    for name, text in (("table.md", table.to_markdown()), ("table.json", rows)):
        with written_whole(folder / name) as beside:
            beside.write_text(text + "\n", encoding="utf-8")


def _finished(config: TrainConfig, folder: Path) -> TrainReport | None:
    """The report of a row that is done."""
    if not (folder / REPORT).exists():
        return None
    check_values(folder, config)
    done: dict[str, Any] = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    return TrainReport(**done)


def _of_row(hear: Progress, row: str) -> Progress:
    """What a row tells, under its name."""
    return lambda event, stage, done, total, message: hear(event, f"{row}, {stage}", done, total, message)


def _folder_name(name: str) -> str:
    return name.lower().replace(" + ", "_").replace(" ", "_")
