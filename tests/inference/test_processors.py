import os
from pathlib import Path

import pytest

from weft_geo.inference import processors


def test_a_containers_share_is_heeded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processors, "QUOTA", tmp_path / "cpu.max")
    free = processors.count_processors()
    assert 1 <= free <= (os.cpu_count() or 1)
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert processors.count_processors() == free
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    assert processors.count_processors() == 1
