"""How many processors this process may use: neither those it is kept from, nor more than its container is given."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from weft_geo.errors import InputError

if sys.platform != "linux":
    import psutil

THREADS_VARIABLE = "WEFT_GEO_THREADS"
"""The environment variable that says how many threads a model may use."""

QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""``quota period`` in microseconds, or ``max period``: https://docs.kernel.org/admin-guide/cgroup-v2.html."""

SIBLINGS = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
"""Names the processors that are one core; Linux alone has it."""


def threads_asked_for(threads: int | None) -> int:
    """Threads that a model is to use: those given, or those of the environment; 0 if nobody said.

    Raises:
        InputError: It is no number.
    """
    text = os.environ.get(THREADS_VARIABLE, "0") if threads is None else str(threads)
    if not text.isdigit():
        raise InputError(f"the number of threads must be a whole number, got {text!r}; look at {THREADS_VARIABLE}")
    return int(text)


def count_cores() -> int:
    """Cores this process may use, at least 1: processors that are one core are no help to each other's arithmetic."""
    count = count_processors()
    if sys.platform == "linux":
        files = [Path(SIBLINGS.format(number)) for number in os.sched_getaffinity(0)]
        return min(count, len({file.read_text("utf-8") if file.exists() else str(file) for file in files}))
    else:
        return min(count, psutil.cpu_count(logical=False) or count)


def count_processors() -> int:
    """Processors this process may use, at least 1."""
    if sys.platform == "linux":
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    if QUOTA.exists():
        quota, _, period = QUOTA.read_text("utf-8").partition(" ")
        if quota.isdigit():
            count = min(count, -(-int(quota) // int(period)))
    return max(count, 1)
