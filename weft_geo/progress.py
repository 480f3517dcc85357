"""How far a run is: what is told, to whoever wants to hear it."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, str, int, int, str], None]
"""``(event, stage, done, total, message)``, as in the JSON lines of the command line; event is ``start``, ``progress``,
``warning`` or ``done``."""


def silent(event: str, stage: str, done: int, total: int, message: str) -> None:
    """Progress that nobody wants to hear of."""
