"""What a run tells its user: progress, messages and errors to stderr, results to stdout."""

from __future__ import annotations

import json
import sys
import time

import click

MODES = ("bar", "json", "none")
_REDRAW_S = 0.1


class Console:
    """Where commands speak. One per invocation.

    Attributes:
        mode: `bar`, `json` (one object a line, nothing else on stderr) or `none`.
        verbosity: -1 quiet (errors only), 0 usual, 1 verbose.
    """

    def __init__(self) -> None:
        self.mode = "bar" if sys.stderr.isatty() else "none"
        self.verbosity = 0
        self._began = 0.0
        self._drawn = 0.0
        self._line = 0
        self._stage = ""

    def result(self, text: str) -> None:
        """Print what was asked for, to stdout."""
        self._wipe()
        click.echo(text)

    def note(self, text: str) -> None:
        """Say what was done; not in quiet runs, and not between lines of JSON."""
        if self.verbosity >= 0 and self.mode != "json":
            self._wipe()
            click.echo(text, err=True)

    def warn(self, text: str) -> None:
        """Say what deserves a look."""
        if self.mode == "json":
            self._json("warning", "", 0, 0, text)
        elif self.verbosity >= 0:
            self._wipe()
            click.echo(f"warning: {' '.join(text.split())}", err=True)

    def error(self, text: str) -> None:
        """Say in one line what went wrong and what to do."""
        line = " ".join(text.split())
        if self.mode == "json":
            self._json("error", "", 0, 0, line)
        else:
            self._wipe()
            click.echo(f"weft-geo: {line}", err=True)

    def progress(self, event: str, stage: str, done: int, total: int, message: str) -> None:
        """Follow a run; fits the `progress` argument of the library.

        Args:
            event: `start`, `progress`, `warning` or `done`.
            stage: What is going on.
            done: Steps done.
            total: Steps in all.
            message: Anything more.
        """
        now = time.monotonic()
        if event == "start":
            self._began, self._drawn = now, 0.0
        due = event != "progress" or stage != self._stage or done >= total or now - self._drawn >= _REDRAW_S
        self._stage = stage
        if self.mode == "json":
            if due:
                self._drawn = now
                self._json(event, stage, done, total, message)
        elif event == "warning":
            self.warn(message)
        elif self.mode == "bar" and self.verbosity >= 0 and event == "progress" and due and total > 0:
            self._drawn = now
            self._draw(stage, done, total, now - self._began)
        elif event == "done":
            self._wipe()

    def _draw(self, stage: str, done: int, total: int, elapsed_s: float) -> None:
        filled = round(30 * done / total)
        left = f"{elapsed_s * (total - done) / done:.0f} s left" if 0 < done < total else f"{elapsed_s:.0f} s"
        text = f"{stage} [{'#' * filled}{'-' * (30 - filled)}] {done}/{total} {left}"
        click.echo(f"\r{text:<{self._line}}", nl=False, err=True)
        self._line = len(text)

    def _wipe(self) -> None:
        if self._line:
            click.echo(f"\r{' ' * self._line}\r", nl=False, err=True)
            self._line = 0

    def _json(self, event: str, stage: str, done: int, total: int, message: str) -> None:
        line = {"event": event, "stage": stage, "done": done, "total": total, "message": message}
        click.echo(json.dumps(line, ensure_ascii=False), err=True)
