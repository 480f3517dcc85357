"""Lets a request to stop end a run within seconds, the way an error does: nothing half-written stays behind."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from weft_geo.errors import InterruptedRunError

WAKE_S = 0.5
"""How often a wait of minutes looks up."""


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


def stoppably(work: Callable[[], None], files: Callable[[], Iterable[Path]]) -> None:
    """Does work that no signal can interrupt by itself, such as a call of GDAL that goes on for minutes.

    It is done in another thread while this one waits. If an exception comes up here meanwhile, all files that the work
    reads and writes are emptied: it fails at the first block that it does not find, and the exception goes on.

    Args:
        work: Leaves nothing in its final place yet.
        files: Says which files those are now; nobody else needs them any more once the work is stopped.
    """
    done: Future[None] = Future()

    def run() -> None:
        if not done.set_running_or_notify_cancel():
            return
        try:
            work()
        except BaseException as error:
            done.set_exception(error)
        else:
            done.set_result(None)

    try:
        threading.Thread(target=run, name="weft-write").start()
        while not wait([done], timeout=WAKE_S).done:  # on Windows a wait hears nothing until it ends
            pass
        done.result()
    except BaseException:
        done.cancel()  # if it has not begun; a signal may come while the thread is being started
        while not done.done():
            with suppress(OSError):  # one may have been removed meanwhile
                for path in files():
                    os.truncate(path, 0)
            wait([done], timeout=0.1)
        raise
