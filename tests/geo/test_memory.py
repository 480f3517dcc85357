import sys
from pathlib import Path

import numpy as np
import pytest

from weft_geo.geo import memory
from weft_geo.geo.memory import available_memory_bytes, peak_memory_bytes, resident_memory_bytes


def test_a_large_array_shows_and_goes_again() -> None:
    before = resident_memory_bytes()
    array = np.ones(1 << 25)  # 256 MiB
    held = resident_memory_bytes()
    del array
    assert held - before > 250 << 20
    assert peak_memory_bytes() >= held - (1 << 20)  # the kernel counts in lots


def test_the_system_tells_what_is_left() -> None:
    left = available_memory_bytes()
    assert left is not None
    assert 1 << 20 < left < 1 << 50


@pytest.mark.skipif(sys.platform != "linux", reason="is read there alone")
@pytest.mark.parametrize("told", [None, "VmSize:\t  100 kB\n"])
def test_a_sandbox_that_does_not_tell_is_asked_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str | None
) -> None:
    monkeypatch.setattr(memory, "STATUS", tmp_path / "status")
    if told:
        (tmp_path / "status").write_text(told)
    assert 10 << 20 < resident_memory_bytes() == peak_memory_bytes() < 1 << 40
