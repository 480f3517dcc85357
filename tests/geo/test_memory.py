import numpy as np

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
