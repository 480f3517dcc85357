"""The stdin by which whoever started this process speaks to it."""

from __future__ import annotations

import os


def take_stdin() -> int:
    """Takes it away from everyone else in this process, whose stdin is empty from then on.

    On Windows a read that waits would hold up every library that asks what stdin is, as many do when they are loaded.

    Returns:
        Its file descriptor.
    """
    taken, empty = os.dup(0), os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    return taken
