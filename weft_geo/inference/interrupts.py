"""Lets a request to terminate end a run the way an error does, so that nothing half-written stays behind."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from weft_geo.errors import InterruptedRunError


@contextmanager
def terminate_as_error() -> Iterator[None]:
    """Turns SIGTERM into ``InterruptedRunError`` while the block runs.

    Python does the same with SIGINT and KeyboardInterrupt by itself. A handler that the program has set already is left
    alone, and so is a thread other than the main one, where Python allows no handlers.
    """
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise InterruptedRunError("terminated on request; no output was written")

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
