"""Reads what `weft-geo --progress json` writes, in whatever pieces it arrives."""

from __future__ import annotations

import json
import time
from typing import Any, Union

from .translation import tr

Line = Union[dict[str, Any], str]
"""An event as the command line sends it, or a line that is none."""


class JsonLines:
    """Takes bytes, gives lines. Pieces may end anywhere, in the middle of a letter too."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> list[Line]:
        """Take a piece; give the lines that it completes."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        return [_read(line) for line in lines if line.strip()]

    def finish(self) -> list[Line]:
        """Give what is left when no more pieces come."""
        return self.feed(b"\n")


def _read(line: bytes) -> Line:
    text = line.decode("utf-8", "replace").rstrip("\r")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, dict) and isinstance(value.get("event"), str) else text


class Pace:
    """How long a run will still take, from how far it came since its first step."""

    def __init__(self) -> None:
        self._stage = ""
        self._began = 0.0
        self._first = 0

    def time_left(self, stage: str, done: int, total: int, now: float | None = None) -> str:
        """The time left in words; empty while it cannot be told."""
        now = time.monotonic() if now is None else now
        if stage != self._stage:
            self._stage, self._began, self._first = stage, now, done
        steps = done - self._first
        if steps <= 0 or done >= total:
            return ""
        seconds = (now - self._began) * (total - done) / steps
        if seconds < 90:
            return tr("{seconds} s left", seconds=max(1, round(seconds)))
        return (
            tr("{minutes} min left", minutes=round(seconds / 60))
            if seconds < 5400
            else tr("{hours:.1f} h left", hours=seconds / 3600)
        )
