import sys

import numpy as np
import pytest

from weft_geo.geo.memory import peak_memory_bytes, resident_memory_bytes


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell")
def test_a_large_array_shows_and_goes_again() -> None:
    before = resident_memory_bytes()
    array = np.ones(1 << 25)  # 256 MiB
    held = resident_memory_bytes()
    del array
    assert held - before > 250 << 20
    assert peak_memory_bytes() >= held - (1 << 20)  # the kernel counts in lots
