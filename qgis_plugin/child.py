"""One child process: its own process group, both streams read as they come, ended whole. Knows nothing of QGIS."""

from __future__ import annotations

import os
import queue
import signal
import subprocess  # nosec B404: words only, never a shell; QProcess cannot give a child its own process group
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from .environment import clean_environment
from .json_lines import JsonLines, Line

GRACE_S = 5.0
"""Time from the request to end until the process group is killed."""

_POLL_S = 0.1
_STOP_WITH_STDIN = {"WEFT_GEO_STOP_WITH_STDIN": "1"}  # weft-geo ends when its stdin is closed, or this process is gone
_WINDOWS = sys.platform == "win32"


@dataclass(frozen=True)
class Outcome:
    """How a child ended.

    Attributes:
        code: Its exit code; negative is the signal that ended it.
        stdout: What it wrote there.
        cancelled: It was asked to stop and did; one that came to its end all the same was not cancelled.
    """

    code: int
    stdout: str
    cancelled: bool


def run_child(
    command: Sequence[str],
    on_line: Callable[[Line], None],
    is_cancelled: Callable[[], bool],
    on_output: Callable[[str], None] | None = None,
    grace_s: float | None = None,
    cwd: Path | None = None,
) -> Outcome:
    """Run a program to its end. Call it from a thread that may wait.

    Args:
        command: Program and arguments.
        on_line: Is given every line of stderr: an event, or text.
        is_cancelled: Is asked ten times a second. Once true, the group is asked to end, and killed after `grace_s`.
        on_output: Is given the text on stdout as it comes.
        grace_s: Seconds that it has to save its work; None for `GRACE_S`.
        cwd: Where it starts; None for this process's folder, so that a relative path means the same to both.

    Raises:
        OSError: The program cannot be started.
    """
    group = {"creationflags": 0x00000200 | 0x08000000} if _WINDOWS else {"start_new_session": True}
    process = subprocess.Popen(  # nosec B603: see the import
        list(command),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**clean_environment(), **_STOP_WITH_STDIN},
        cwd=cwd,
        **group,
    )
    pieces: queue.Queue[tuple[str, bytes]] = queue.Queue()
    for name, stream in (("stdout", process.stdout), ("stderr", process.stderr)):
        threading.Thread(target=_read, args=(name, stream, pieces), daemon=True).start()
    try:
        stdout, asked_to_end = _follow(
            process, pieces, on_line, is_cancelled, on_output or _ignore, GRACE_S if grace_s is None else grace_s
        )
        code = process.wait()
        return Outcome(code, stdout.decode("utf-8", "replace"), asked_to_end and code != 0)
    finally:
        _end(process)  # and whatever it started and left behind
        process.wait()
        _close_stdin(process)


def _ignore(text: str) -> None:
    """Nobody follows it."""


def _read(name: str, stream: IO[bytes], pieces: queue.Queue[tuple[str, bytes]]) -> None:
    with stream:
        while piece := os.read(stream.fileno(), 65536):
            pieces.put((name, piece))
    pieces.put((name, b""))


def _follow(
    process: subprocess.Popen[bytes],
    pieces: queue.Queue[tuple[str, bytes]],
    on_line: Callable[[Line], None],
    is_cancelled: Callable[[], bool],
    on_output: Callable[[str], None],
    grace_s: float,
) -> tuple[bytes, bool]:
    lines, stdout, still_open, kill_at, has_ended = JsonLines(), b"", {"stdout", "stderr"}, None, False
    while still_open:
        if kill_at is None and is_cancelled():
            kill_at = time.monotonic() + grace_s
            _ask_to_end(process)
        elif kill_at is not None and time.monotonic() > kill_at:
            kill_at = float("inf")
            _end(process)
        try:
            name, piece = pieces.get(timeout=_POLL_S)
        except queue.Empty:
            if has_ended and _WINDOWS:  # what the child started there outlives it, and holds the streams open
                break
            has_ended = process.poll() is not None
            if has_ended:
                _end(process)
            continue
        if not piece:
            still_open.discard(name)
        elif name == "stdout":
            stdout += piece
            on_output(piece.decode("utf-8", "replace"))
        else:
            for line in lines.feed(piece):
                on_line(line)
    for line in lines.finish():
        on_line(line)
    return stdout, kill_at is not None


def _ask_to_end(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to end, and all that it started: by one way alone, for who is asked twice may not save its work."""
    if _WINDOWS:  # no signal reaches a process that does not share a console with this one
        _close_stdin(process)
    else:
        _send(process, signal.SIGTERM)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started."""
    if not _WINDOWS:
        _send(process, signal.SIGKILL)
    elif process.poll() is None:
        tree = ["taskkill", "/T", "/F", "/PID", str(process.pid)]
        subprocess.run(tree, capture_output=True, check=False)  # nosec B603 B607: a part of Windows
        process.kill()


def _send(process: subprocess.Popen[bytes], number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):  # it is gone already; macOS says so by the second
        os.killpg(process.pid, number)


def _close_stdin(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()
