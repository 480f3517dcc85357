"""The paper's tables, and the learning-rate finder."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("lightning.pytorch", reason="needs the train extra")

from weft_geo.errors import InputError, InterruptedRunError, OutputBusyError, UnknownNameError  # noqa: E402
from weft_geo.trainers.comparison import compare, variants  # noqa: E402
from weft_geo.trainers.config import ModelConfig, TrainConfig, build_config  # noqa: E402
from weft_geo.trainers.learning_rate import suggest_rate  # noqa: E402
from weft_geo.trainers.train import TrainReport  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")

DONE = TrainReport(10, 10, 0.5, {"object": 0.25}, 0.5, 0.0, "…", 1_000, 4_000, 2.5, 2**30, "cpu", 3.0, {})


def finish_rows(config: TrainConfig, table: Path, but: str | None = None) -> None:
    """What the rows of the table of experts leave when they have ended, one of them perhaps not."""
    for name, model in variants("experts", config.model).items():
        if name != but:
            folder = table / name.replace(" ", "_")
            folder.mkdir()
            (folder / "config.yaml").write_text(replace(config, model=model).to_yaml())
            (folder / "report.json").write_text(json.dumps(asdict(DONE)))


def test_the_rows_of_the_tables() -> None:
    rows = variants("ablation", ModelConfig())
    assert list(rows) == [
        "base", "TWE", "ESTO", "SEE", "TWE + ESTO", "TWE + SEE", "ESTO + SEE", "TWE + ESTO + SEE",
    ]  # fmt: skip
    assert rows["base"].ablate == ("twe", "esto", "see")
    assert rows["TWE + SEE"].ablate == ("esto",)
    assert [row.experts for row in variants("experts", ModelConfig()).values()] == [1, 2, 4, 6, 7]
    with_three = variants("strategies", ModelConfig(experts=3)) | variants("ablation", ModelConfig(experts=3))
    assert {name for name, row in with_three.items() if row.experts} == {
        "weft", "TWE", "TWE + ESTO", "TWE + SEE", "TWE + ESTO + SEE"
    }  # fmt: skip
    strategies = variants("strategies", ModelConfig())
    assert {name: row.strategy for name, row in strategies.items()} == {name: name for name in strategies}
    assert list(strategies)[-1] == "weft"
    with pytest.raises(UnknownNameError, match="known: ablation, experts, strategies"):
        variants("losses", ModelConfig())


def test_a_table_that_is_refused_is_left_as_it_is(values: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    config = build_config(values(optimizer={"max_steps": 1}, run={"val_every": 1}))
    finish_rows(config, tmp_path)
    compare(config, "experts", tmp_path)
    before = [(tmp_path / name).read_text() for name in ("table.md", "table.json")]
    with pytest.raises(InputError, match=r"begun with other values of optimizer\.max_steps"):
        compare(build_config(values(optimizer={"max_steps": 2}, run={"val_every": 1})), "experts", tmp_path)
    assert [(tmp_path / name).read_text() for name in ("table.md", "table.json")] == before


def test_two_tables_in_one_folder_refuse_each_other(values: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    config = build_config(values(optimizer={"max_steps": 1}, run={"val_every": 1}))
    finish_rows(config, tmp_path)
    refused = []

    def begin_another(event: str, *_: Any) -> None:
        if event == "start":
            for overwrite in (False, True):
                with pytest.raises(OutputBusyError, match="another run is at work in"):
                    compare(config, "experts", tmp_path, overwrite=overwrite)
                refused.append(overwrite)

    assert len(compare(config, "experts", tmp_path, progress=begin_another).rows) == 5
    assert refused == [False, True]


def test_a_table_goes_on_where_it_stopped(values: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    config = build_config(values(optimizer={"max_steps": 1}, run={"val_every": 1}))
    finish_rows(config, tmp_path, but="4 of 7")
    heard: list[tuple[Any, ...]] = []
    table = compare(config, "experts", tmp_path, progress=lambda *event: heard.append(event))
    assert [row.name for row in table.rows] == ["1 of 7", "2 of 7", "4 of 7", "6 of 7", "7 of 7"]
    assert table.rows[2].report.steps == 1  # trained in a process of its own
    assert "top_k" not in (tmp_path / "table.md").read_text()
    lines = (tmp_path / "table.md").read_text().splitlines()
    assert lines[2] == "| 1 of 7 | 0.5000 | 0.2500 | 1,000 | 25.00% | 2.50 | 1,024 MiB |"
    assert len(lines) == 7
    assert len(json.loads((tmp_path / "table.json").read_text())) == 5
    assert [event[2] for event in heard if event[:2] == ("progress", "experts")] == [1, 2, 3, 4, 5]
    assert ("progress", "experts: 4 of 7, train", 1, 1) in [event[:4] for event in heard]  # how the row gets on

    longer = build_config(values(optimizer={"max_steps": 2}, run={"val_every": 1}))
    with pytest.raises(InputError, match=r"1_of_7 was begun with other values of optimizer\.max_steps"):
        compare(longer, "experts", tmp_path)


def test_a_table_is_removed_only_when_data_and_model_are_there(
    values: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    for changed in ({"model": {"backbone": "swin"}}, {"data": {"data_root": str(tmp_path / "none")}}):
        config = build_config(values(**changed))
        with pytest.raises(InputError):  # in its first row, of which a folder is left
            compare(config, "experts", tmp_path / "table")
        (tmp_path / "table" / "1_of_7").mkdir(exist_ok=True)
        with pytest.raises(InputError):
            compare(config, "experts", tmp_path / "table", overwrite=True)
        assert (tmp_path / "table" / "1_of_7").exists()

    def stop(*event: Any) -> None:
        if event[:3] == ("start", "experts", 0):
            raise InterruptedRunError

    with pytest.raises(InterruptedRunError):
        compare(build_config(values()), "experts", tmp_path / "table", stop, overwrite=True)
    assert not (tmp_path / "table" / "1_of_7").exists()


Long = tuple[TrainConfig, Callable[[type[BaseException]], Callable[..., None]]]


@pytest.fixture
def long(values: Callable[..., dict[str, Any]]) -> Long:
    """A table that takes too long, and who follows its first row and raises something at its second step."""
    config = build_config(values(optimizer={"max_steps": 100_000}, run={"val_every": 100_000}))

    def until(error: type[BaseException]) -> Callable[..., None]:
        def hear(event: str, stage: str, done: int, *rest: Any) -> None:
            if (event, stage, done) == ("progress", "ablation: base, train", 2):
                raise error

        return hear

    return config, until


def test_a_table_that_is_interrupted_lets_its_row_save_and_end(long: Long, tmp_path: Path) -> None:
    """As SIGINT and SIGTERM do in the command; neither reaches the row's own process."""
    config, until = long
    with pytest.raises(InterruptedRunError, match=r"interrupted at step \d+; .*base/last.ckpt holds step \d+"):
        compare(config, "ablation", tmp_path, progress=until(KeyboardInterrupt))
    assert torch.load(tmp_path / "base" / "last.ckpt", weights_only=False)["global_step"] >= 2


def test_a_row_does_not_outlive_its_table(long: Long, tmp_path: Path) -> None:
    """Whatever ends the table: the row hears that nobody is there any more."""
    config, until = long
    with pytest.raises(ZeroDivisionError):
        compare(config, "ablation", tmp_path, progress=until(ZeroDivisionError))  # comes back when the row has ended
    assert not (tmp_path / "base" / "last.ckpt").exists()


def test_what_is_wrong_with_a_row_is_told_as_it_is(values: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    config = build_config(values(model={"backbone": "swin"}))
    with pytest.raises(InputError, match="unknown backbone 'swin'; known: timm/NAME"):
        compare(config, "experts", tmp_path)


def test_a_learning_rate_is_suggested_and_nothing_else_is_written(
    values: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    found = suggest_rate(build_config(values()), tmp_path, steps=16)
    assert 1e-6 < found.lr < 1e-1
    assert [path.name for path in tmp_path.iterdir()] == ["learning_rate.png"]
