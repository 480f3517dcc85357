import os
import sys
from pathlib import Path

import pytest

from weft_geo.geo import processors


@pytest.mark.skipif(sys.platform != "linux", reason="psutil knows it elsewhere")
def test_processors_of_one_core_count_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    monkeypatch.setattr(processors, "QUOTA", tmp_path / "none")
    monkeypatch.setattr(processors, "SIBLINGS", f"{tmp_path}/{{}}")
    assert processors.count_cores() == 4  # nothing is known of them
    for number, siblings in enumerate(["0,2", "1,3", "0,2", "1,3"]):
        (tmp_path / str(number)).write_text(siblings)
    assert processors.count_cores() == 2
    (tmp_path / "none").write_text("100000 100000\n")
    assert processors.count_cores() == 1


def test_there_are_no_more_cores_than_processors() -> None:
    assert 1 <= processors.count_cores() <= processors.count_processors()


def test_a_containers_share_is_heeded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processors, "QUOTA", tmp_path / "cpu.max")
    free = processors.count_processors()
    assert 1 <= free <= (os.cpu_count() or 1)
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert processors.count_processors() == free
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    assert processors.count_processors() == 1
