"""What `--overwrite` removes, and what it never does."""

from __future__ import annotations

import re
import signal
import sys
from pathlib import Path

import pytest

from weft_geo.errors import InputError, OutputExistsError, RunError

torch = pytest.importorskip("torch", reason="needs the train extra")
from weft_geo.models import build_model, save_checkpoint  # noqa: E402
from weft_geo.trainers.config import build_config  # noqa: E402
from weft_geo.trainers.run_folder import remove, require_open  # noqa: E402
from weft_geo.trainers.train import check_folder  # noqa: E402
from weft_geo.trainers.whole_checkpoints import WholeCheckpoints  # noqa: E402


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


@pytest.mark.parametrize("kept", range(1, 7))
def test_a_run_may_still_be_removed_where_that_was_cut_short(
    kept: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("config.yaml", "best.ckpt", "last.ckpt", "model.onnx", "tensorboard/events", "train.csv")
    run, unlink = make(tmp_path / "run", *names), Path.unlink

    def die(path: Path) -> None:
        if sum(item.is_file() for item in run.rglob("*")) == kept:
            raise KeyboardInterrupt
        unlink(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", die)
        with pytest.raises(KeyboardInterrupt):
            remove(run)
    assert (run / "last.ckpt").exists() == (kept == len(names))  # what is not whole is not gone on with
    remove(run)
    assert not run.exists()


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


@pytest.mark.skipif(sys.platform == "win32", reason="has no limit on the size of files")
def test_checkpoints_on_a_full_disk_are_a_failure_in_one_line(tmp_path: Path) -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))
    try:
        with pytest.raises(RunError, match=r"last\.ckpt could not be written"):
            WholeCheckpoints().save_checkpoint({"values": torch.zeros(1 << 16)}, tmp_path / "last.ckpt")
        with pytest.raises(RunError, match=r"model\.safetensors could not be written"):
            save_checkpoint(build_model("weft-tiny"), tmp_path / "model.safetensors")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="its files have other rights")
@pytest.mark.parametrize(
    ("name", "rights", "said"),
    [("last.ckpt", 0o000, "cannot be read"), ("train.csv", 0o444, "written to"), ("pictures", 0o555, "written to")],
)
def test_a_run_that_could_not_go_on_is_refused_before_it_starts(
    ordinary_folder: Path, name: str, rights: int, said: str
) -> None:
    path = ordinary_folder / name
    path.mkdir() if name == "pictures" else path.touch()
    require_open(ordinary_folder)
    path.chmod(rights)
    with pytest.raises(InputError, match=rf"{re.escape(name)} .*{said}.*Permission denied; see to it that you may"):
        require_open(ordinary_folder)
