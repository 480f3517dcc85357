"""How much memory this process has taken, and how much there is."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from weft_geo.errors import InputError

if sys.platform != "linux":
    import psutil

STATUS = Path("/proc/self/status")
"""Linux tells here; its getrusage would count the peak of the parent that started this process as our own."""


def peak_memory_bytes() -> int:
    """The largest resident memory of this process since it began."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if sys.platform == "darwin":
        return peak  # in bytes there
    return _read_status("VmHWM") or peak * 1024


def resident_memory_bytes() -> int:
    """The resident memory of this process now."""
    if sys.platform != "linux":
        return int(psutil.Process().memory_info().rss)
    return _read_status("VmRSS") or peak_memory_bytes()


def available_memory_bytes() -> int | None:
    """Memory that can be had without swapping, limits of a container included; None where the system does not tell."""
    if sys.platform != "linux":
        return int(psutil.virtual_memory().available)
    found = []
    meminfo, limit, used = (
        Path(name) for name in ("/proc/meminfo", "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current")
    )
    if meminfo.exists() and (told := re.search(r"MemAvailable:\s+(\d+) kB", meminfo.read_text("utf-8"))):
        found.append(int(told[1]) * 1024)
    if limit.exists() and used.exists() and limit.read_text("utf-8").strip().isdigit():
        found.append(int(limit.read_text("utf-8")) - int(used.read_text("utf-8")))
    return max(min(found), 0) if found else None


UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def parse_memory(size: str | int) -> int:
    """Reads an amount of memory: bytes, or ``4GB``, ``500 MiB``, ``1.5g``; units are powers of 1024.

    Raises:
        InputError: If it is none.
    """
    parts = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)I?B?", str(size).strip().upper())
    if not parts or float(parts[1]) == 0:
        raise InputError(f"memory must be an amount such as 4GB or 500MB, got {size!r}")
    return int(float(parts[1]) * UNITS[parts[2]])


def _read_status(key: str) -> int:
    """Bytes; 0 where it is not told, as in some sandboxes."""
    told = re.search(rf"^{key}:\s+(\d+) kB", STATUS.read_text("utf-8"), re.M) if STATUS.exists() else None
    return int(told[1]) * 1024 if told else 0
