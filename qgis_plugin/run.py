"""Runs weft-geo for a Processing feedback: the one way that the panel, the toolbox and `qgis_process` share."""

from __future__ import annotations

import json
import math
import shlex
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from qgis.core import QgsProcessingFeedback, QgsProcessingUtils

from . import places
from .child import run_child
from .environment import Interpreter, find_interpreter
from .errors import CANCELLED, PluginError, RunCancelled, RunFailed
from .json_lines import Line, Pace
from .sentences import as_sentence, broken, failed, not_started, skewed
from .translation import tr

_KEPT_LOGS = 20
_KEPT_LINES = 50
# What is counted in the stages that take long; the others are short, and only named.
_COUNTS = {
    "predict": tr("{done:g} of {total:g} windows"),
    "train": tr("{done:g} of {total:g} steps"),
    "vectorize": tr("{done:g} of {total:g} rows"),
}


def current_interpreter() -> Interpreter:
    """The weft-geo to start.

    Raises:
        InterpreterError: There is none.
    """
    return find_interpreter(places.chosen_interpreter(), places.made_environment())


def run_weft_geo(
    arguments: Sequence[str],
    feedback: QgsProcessingFeedback,
    output: Path | None = None,
    keep_log: bool = True,
    grace_s: float | None = None,
) -> str:
    """Run a command of weft-geo in a child process, and wait for it. Call it from a background thread.

    Args:
        arguments: The command and its arguments.
        feedback: Hears of progress and messages; its `isCanceled` stops the run.
        output: What the command writes. Nothing half-written is left beside it.
        keep_log: Write a log file, for the user to look at.
        grace_s: Seconds that a cancelled run has to save its work; None for those of `child`.

    Returns:
        What the command wrote to stdout.

    Raises:
        PluginError: One of its leaves; the sentence is for the user.
    """
    with _Log(keep_log) as log:
        try:
            return _run(arguments, feedback, output, log, grace_s)
        except PluginError as error:
            log.write(str(error))
            raise


def ask_weft_geo(arguments: Sequence[str]) -> Any:
    """Ask a command that answers at once, in JSON.

    Raises:
        PluginError: It does not answer.
        ValueError: The answer is no JSON.
    """
    return json.loads(run_weft_geo(arguments, QgsProcessingFeedback(False), keep_log=False))


def _run(
    arguments: Sequence[str],
    feedback: QgsProcessingFeedback,
    output: Path | None,
    log: _Log,
    grace_s: float | None,
) -> str:
    interpreter = current_interpreter()
    version = _ask_version(interpreter, feedback, log)
    skew = skewed(places.plugin_version(), version)
    if skew:
        feedback.pushWarning(skew)
    command = [*interpreter.command, *arguments]
    log.write(f"plugin {places.plugin_version()}, weft-geo {version}, {interpreter.origin}")
    log.write(shlex.join(command))
    listener = _Listener(feedback, log)
    feedback.setProgressText(tr("starting weft-geo …"))
    try:
        outcome = run_child(command, listener.hear, feedback.isCanceled, grace_s=grace_s)
    except OSError as error:
        raise not_started(interpreter, error) from error
    log.write(f"exit code {outcome.code}")
    if output is not None and (outcome.cancelled or outcome.code):
        _sweep(output)
    if outcome.cancelled:
        raise RunCancelled(CANCELLED)
    if outcome.code:
        raise RunFailed(failed(outcome, listener.reason, listener.lines, output, skew))
    return outcome.stdout


def _ask_version(interpreter: Interpreter, feedback: QgsProcessingFeedback, log: _Log) -> str:
    lines: list[str] = []
    try:
        outcome = run_child(
            [*interpreter.command, "--version"], lambda line: lines.append(str(line)), feedback.isCanceled
        )
    except OSError as error:
        raise not_started(interpreter, error) from error
    if outcome.cancelled:
        raise RunCancelled(CANCELLED)
    name, _, version = outcome.stdout.strip().partition(" ")
    if outcome.code or name != "weft-geo" or not version:
        log.write("\n".join([" ".join(interpreter.command), *lines, outcome.stdout]))
        raise broken(interpreter, lines if outcome.code else [tr("it is another program")])
    return version


class _Listener:
    """Passes what the child says on to the feedback, and to the log."""

    def __init__(self, feedback: QgsProcessingFeedback, log: _Log) -> None:
        self.reason = ""
        self.lines: list[str] = []
        self._feedback = feedback
        self._log = log
        self._pace = Pace()
        self._percent = -1

    def hear(self, line: Line) -> None:
        self._log.write(line if isinstance(line, str) else json.dumps(line, ensure_ascii=False))
        if isinstance(line, str):
            self.lines = [*self.lines[1 - _KEPT_LINES :], line]
            self._feedback.pushConsoleInfo(line)
            return
        event, message = line["event"], str(line.get("message") or "")
        if event == "error":
            self.reason = message
        elif event == "warning":
            self._feedback.pushWarning(as_sentence(message))
        else:
            self._advance(event, str(line.get("stage") or ""), line.get("done") or 0, line.get("total") or 0)
            if message:
                self._feedback.pushInfo(message)

    def _advance(self, event: str, stage: str, done: float, total: float) -> None:
        numbers = all(isinstance(number, (int, float)) and math.isfinite(number) for number in (done, total))
        if event != "progress" or not numbers or total <= 0:
            return
        if stage in _COUNTS:
            left = self._pace.time_left(stage, done, total)
            percent = min(100, int(100 * done / total))
            if percent == self._percent:
                return  # the toolbox keeps a line of each text
            self._percent = percent
            self._feedback.setProgress(percent)
            count = _COUNTS[stage].format(done=done, total=total)
            self._feedback.setProgressText(", ".join(filter(None, (count, left))))
        else:
            self._feedback.setProgressText(f"{stage} …")


class _Log:
    """The file of one run, or nothing."""

    def __init__(self, keep: bool) -> None:
        self._file: TextIO | None = None
        if not keep:
            return
        stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
        for old in sorted(places.logs().glob("*.log"))[: 1 - _KEPT_LOGS]:
            old.unlink(missing_ok=True)
        number = len(list(places.logs().glob(f"{stamp}*.log")))
        self._file = (places.logs() / f"{stamp}_{number}.log").open("w", encoding="utf-8", errors="backslashreplace")

    def __enter__(self) -> _Log:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            try:
                self._file.close()
            except OSError:  # see write
                self._file = None

    def write(self, text: str) -> None:
        if self._file is not None:
            try:
                self._file.write(f"{time.strftime('%H:%M:%S')} {text}\n")
                self._file.flush()
            except OSError:  # a full disk under the log does not end the run
                self._file = None


def _sweep(output: Path) -> None:
    """Take away what a child that was killed left beside a temporary output, which no run writes again.

    Beside others it stays: the next run goes on from the journal, and clears the rest, which may be another run's now.
    """
    if Path(QgsProcessingUtils.tempFolder()) not in output.parents:
        return
    for path in (output.with_name(f".{output.name}.{kind}") for kind in ("part", "journal", "lock")):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
