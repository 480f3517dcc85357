"""How a run that failed is told: one sentence with the remedy. Knows nothing of QGIS."""

from __future__ import annotations

import errno
import re
import signal
from pathlib import Path

from .child import Outcome
from .environment import Interpreter
from .errors import OPTIONS_PAGE, InterpreterError
from .translation import tr

_FULL = re.compile(r"no space left|disk( is)? full|errno 28|database or disk is full", re.IGNORECASE)
_READ_ONLY = re.compile(
    r"permission denied|read-only file system|cannot write beside|cannot be written: |errno (13|30)\b", re.IGNORECASE
)
_TITLES = {"--bands": tr("Bands"), "--class-field": tr("Class field")}
"""What options of weft-geo are called here."""
_LACKS_TRAINING = re.compile(r"needs the \"train\" extra")


def not_started(interpreter: Interpreter, error: OSError) -> InterpreterError:
    """The program is missing, or is none."""
    program = interpreter.command[0]
    if error.errno == errno.ENOENT:
        why = tr("does not exist")
    elif error.errno == errno.EACCES:
        why = tr("may not be started")
    else:
        why = tr("cannot be started ({reason})", reason=error.strerror)
    return InterpreterError(f"{program} ({interpreter.origin}) {why}: {_remedy()}")


def broken(interpreter: Interpreter, lines: list[str]) -> InterpreterError:
    """The program starts, but is no weft-geo that works."""
    last = next((line.strip() for line in reversed(lines) if line.strip()), tr("it says nothing"))
    return InterpreterError(
        tr(
            "{command} ({origin}) cannot run weft-geo: {last}; {remedy}",
            command=interpreter.command[0],
            origin=interpreter.origin,
            last=last,
            remedy=_remedy(),
        )
    )


def skewed(plugin: str, found: str) -> str:
    """Plugin and weft-geo are of different series; empty if they are of one.

    Args:
        plugin: Version of the plugin.
        found: Version of weft-geo.
    """
    ours, theirs = plugin.split(".")[:2], found.split(".")[:2]
    if ours == theirs:
        return ""
    if _numbers(theirs) < _numbers(ours):
        older, where = "weft-geo", OPTIONS_PAGE
    else:
        older, where = tr("the plugin"), tr("Plugins ▸ Manage and Install Plugins")
    return tr(
        "The plugin is version {plugin} and weft-geo is {found}, which may not understand each other: update {older} "
        "({where}).",
        plugin=plugin,
        found=found,
        older=older,
        where=where,
    )


def failed(outcome: Outcome, reason: str, lines: list[str], output: Path | None, skew: str) -> str:
    """What to say of a run that ended badly.

    Args:
        outcome: How it ended.
        reason: The message of the error event; empty if none came.
        lines: The last lines that were no events.
        output: What it was to write, if anything.
        skew: What `skewed` says.
    """
    folder = output.parent if output else None
    if folder and _FULL.search(reason or " ".join(lines)):
        return tr("The disk that holds {folder} is full: make room there, or write to another folder.", folder=folder)
    if output and output.name in reason and _READ_ONLY.search(reason):  # and not what is read
        return tr(
            "{folder} cannot be written to: choose another folder for {output}.", folder=folder, output=output.name
        )
    if outcome.code < 0:
        return tr(
            "weft-geo was ended from outside by {signal}; {why}.",
            signal=_signal(-outcome.code),
            why=_why(-outcome.code),
        )
    if _LACKS_TRAINING.search(reason):
        return tr("This weft-geo cannot train yet: press Install with training in {page}.", page=OPTIONS_PAGE)
    if reason:
        return " ".join(filter(None, (as_sentence(reason), skew)))
    last = next((line.strip() for line in reversed(lines) if line.strip()), tr("without a word"))
    return " ".join(
        filter(
            None,
            (
                tr("weft-geo ended with code {code}: {last}; the log holds the rest.", code=outcome.code, last=last),
                skew,
            ),
        )
    )


def as_sentence(text: str) -> str:
    """What weft-geo says, in the words of the plugin."""
    text = text.strip()
    for option, title in _TITLES.items():
        text = text.replace(option, title)
    first = text.partition(" ")[0]
    if first.isalpha():  # the name of a file stays as it is
        text = text[:1].upper() + text[1:]
    return text + ("" if text.endswith((".", "!", "?")) else ".")


def _remedy() -> str:
    return tr("press Install in {page}, or choose another interpreter there.", page=OPTIONS_PAGE)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return tr("signal {number}", number=number)


def _why(number: int) -> str:
    if number == getattr(signal, "SIGKILL", 9):
        return tr("most often the memory was used up: take a smaller area, or close other programs, and run it again")
    if number in (signal.SIGTERM, signal.SIGINT):
        return tr("run it again")
    return tr(
        "that is a fault of a library it uses: run Check in {page}, and report it with the log", page=OPTIONS_PAGE
    )


def _numbers(parts: list[str]) -> list[int]:
    return [int("".join(filter(str.isdigit, part)) or 0) for part in parts]
