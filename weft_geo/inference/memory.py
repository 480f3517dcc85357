"""How much memory this process has taken."""

from __future__ import annotations

import sys
from pathlib import Path


def peak_memory_bytes() -> int:
    """The largest resident memory of this process since it began; 0 where the system does not tell."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows has no such module
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def resident_memory_bytes() -> int:
    """The resident memory of this process now; its peak where the system tells only that."""
    status = Path("/proc/self/statm")
    if not status.exists():
        return peak_memory_bytes()
    import resource

    return int(status.read_text().split()[1]) * resource.getpagesize()
