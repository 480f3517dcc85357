"""How much memory this process has taken."""

from __future__ import annotations

import sys
from pathlib import Path

STATUS = Path("/proc/self/status")
"""Linux tells here; its getrusage would count the peak of the parent that started this process as our own."""


def peak_memory_bytes() -> int:
    """The largest resident memory of this process since it began; 0 where the system does not tell."""
    if STATUS.exists():
        return _read_status("VmHWM")
    try:
        import resource
    except ModuleNotFoundError:  # Windows has no such module
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def resident_memory_bytes() -> int:
    """The resident memory of this process now; its peak where the system tells only that."""
    return _read_status("VmRSS") if STATUS.exists() else peak_memory_bytes()


def _read_status(key: str) -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(f"{key}:"))
    return int(line.split()[1]) * 1024
