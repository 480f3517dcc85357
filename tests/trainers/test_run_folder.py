"""What `--overwrite` removes, and what it never does."""

from __future__ import annotations

from pathlib import Path

import pytest

from weft_geo.errors import OutputExistsError

pytest.importorskip("torch", reason="needs the train extra")
from weft_geo.trainers.config import build_config
from weft_geo.trainers.run_folder import remove
from weft_geo.trainers.train import check_folder


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


def test_a_link_leads_to_a_folder_afterwards_too(tmp_path: Path) -> None:
    make(tmp_path / "disk", "config.yaml", "last.ckpt")
    (tmp_path / "run").symlink_to(tmp_path / "disk")
    remove(tmp_path / "run")
    assert (tmp_path / "run").is_dir()
    assert not list((tmp_path / "disk").iterdir())


def test_a_run_begins_where_a_search_for_a_rate_was_killed(tmp_path: Path) -> None:
    values = {"data": {"dataset": "orssd", "data_root": "."}}
    check_folder(make(tmp_path / "run", ".lr_find_1.ckpt", "learning_rate.png"), build_config(values), resume=True)


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
        ("train.csv", "val.csv", "pictures/one.jpg"),  # a data set
    ],
)
def test_nothing_else_is(tmp_path: Path, names: tuple[str, ...]) -> None:
    make(tmp_path, *names)
    with pytest.raises(OutputExistsError, match=r"holds no run, so it is not removed|which is no part of a run"):
        remove(tmp_path)
    assert all((tmp_path / name).exists() for name in names)
