"""What `--overwrite` removes, and what it never does."""

from __future__ import annotations

from pathlib import Path

import pytest

from weft_geo.errors import OutputExistsError
from weft_geo.trainers.run_folder import remove


def make(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    return folder


def test_a_run_is_removed(tmp_path: Path) -> None:
    run = make(tmp_path / "run", "config.yaml", "last.ckpt", "tensorboard/events", ".best.ckpt.part", ".lr_find_1.ckpt")
    remove(run)
    assert not run.exists()
    remove(run)


def test_a_table_is_removed_with_its_runs(tmp_path: Path) -> None:
    table = make(tmp_path / "table", "table.json", "table.md", "full/config.yaml", "lora/config.yaml", "lora/best.ckpt")
    remove(table)
    assert not table.exists()


@pytest.mark.parametrize(
    "names",
    [
        ("scene.tif", "run/config.yaml"),  # a project with a run somewhere in it
        ("config.yaml", "last.ckpt", "notes.txt"),  # a run beside which something else lies
        ("one/config.yaml", "two/config.yaml"),  # several runs, which no table has made
        ("table.json", "lora/config.yaml", "data/scene.tif"),
        ("pictures.zip",),
    ],
)
def test_nothing_else_is(tmp_path: Path, names: tuple[str, ...]) -> None:
    make(tmp_path, *names)
    with pytest.raises(OutputExistsError, match=r"holds no run, so it is not removed|which is no part of a run"):
        remove(tmp_path)
    assert all((tmp_path / name).exists() for name in names)
