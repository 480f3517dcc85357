"""The entry point, and the only place where errors become one line on stderr and an exit code.

0 done · 1 the run failed · 2 wrong usage or input · 3 done in part · 130 interrupted
"""

from __future__ import annotations

import _thread
import io
import logging
import os
import re
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Sequence
from types import FrameType
from typing import Any, NoReturn

import click

from weft_geo.errors import InputError, InterruptedRunError, PartialRunError, WeftGeoError
from weft_geo.stdin import take_stdin
from weft_geo.version import __version__

from .datasets import datasets
from .doctor import doctor
from .evaluate import evaluate
from .explain import explain
from .export import export
from .info import info
from .models import models
from .options import add_verbosity
from .predict import predict
from .preview import preview
from .progress import Console
from .sample import sample
from .train import train
from .vectorize import vectorize

DONE, FAILED, WRONG_INPUT, PARTLY_DONE, INTERRUPTED = 0, 1, 2, 3, 130


STOP_WITH_STDIN = "WEFT_GEO_STOP_WITH_STDIN"
"""An environment variable, set by a program that keeps hold of our stdin and closes it to end us. On Windows no signal
reaches a process without a console, and everywhere we end with who started us, however that ended."""


def _stop_with(pipe: int) -> None:
    while os.read(pipe, 4096):
        pass
    _thread.interrupt_main(signal.SIGTERM)


def _terminate(signal_number: int, frame: FrameType | None) -> NoReturn:
    """End like Ctrl-C does: no `except Exception` on the way, here or in a dependency, may take it for a failure."""
    raise KeyboardInterrupt


def exit_code(error: BaseException, console: Console) -> int:
    """Tell the user about an error.

    Args:
        error: What ended the command.
        console: Where to tell it.

    Returns:
        The exit code it stands for.
    """
    if console.verbosity > 0:
        console.note("".join(traceback.format_exception(error)))
    match error:
        case click.exceptions.Exit():
            return int(error.exit_code)
        case click.exceptions.NoArgsIsHelpError():
            click.echo(error.format_message(), err=True)
            return WRONG_INPUT
        case click.UsageError():
            command = error.ctx.command_path if error.ctx else "weft-geo"
            message = error.format_message().rstrip(".")
            console.error(f"{message}{'' if message.endswith('?') else '.'} See {command} --help")
            return WRONG_INPUT
        case click.ClickException():
            console.error(error.format_message())
            return WRONG_INPUT
        case KeyboardInterrupt() | click.Abort():
            # click makes an Abort of a KeyboardInterrupt, to which the library has added what it knows.
            console.error(_with_notes("interrupted; nothing half-written is left", error.__cause__ or error))
            return INTERRUPTED
        case InterruptedRunError():
            console.error(_with_notes(str(error), error))
            return INTERRUPTED
        case PartialRunError():
            console.error(str(error))
            return PARTLY_DONE
        case InputError():
            console.error(str(error))
            return WRONG_INPUT
        case WeftGeoError():
            console.error(_with_notes(str(error), error))
            return FAILED
        case BrokenPipeError():  # the reader of our stdout has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return FAILED
        case MemoryError():
            console.error(f"out of memory ({error}); give a smaller --batch-size or --window")
            return FAILED
        case PermissionError():
            place = error.filename or "a file"
            advice = "give another one, or get the right to"
            console.error(f"{place} may not be read or written: {error.strerror or error}; {advice}")
            return WRONG_INPUT
        case OSError():
            console.error(f"{error.strerror or error}: {error.filename}" if error.filename else str(error))
            return FAILED
        case _:
            console.error(f"unexpected {type(error).__name__}: {error}. This is a bug; weft-geo -v … shows where")
            return FAILED


def _with_notes(message: str, error: BaseException) -> str:
    """The message, and what the library has added to the error on its way."""
    return "; ".join([message.rstrip("."), *getattr(error, "__notes__", [])])


class Application(click.Group):
    """A group whose `main` answers with the exit codes above instead of click's own."""

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any) -> NoReturn:  # type: ignore[override]
        """Run a command line and exit.

        Args:
            args: Words after the program's name; those of the process by default.
            prog_name: The program's name.
            extra: Anything else of click.Command.main.
        """
        console = Console()
        if isinstance(sys.stdout, io.TextIOWrapper):
            # A pipe on Windows, or a terminal of another time, knows no ≥ and not every letter of a path.
            sys.stdout.reconfigure(errors="backslashreplace")
        logging.basicConfig(level=logging.ERROR, format="%(name)s: %(message)s")
        extra["standalone_mode"] = False
        asked = [signal.SIGTERM]
        if sys.platform == "win32":
            asked.append(signal.SIGBREAK)  # Ctrl-Break, and a console that is closed
        before = {number: signal.signal(number, _terminate) for number in asked}
        try:
            if os.environ.pop(STOP_WITH_STDIN, ""):  # what we start has a stdin of its own
                threading.Thread(target=_stop_with, args=(take_stdin(),), daemon=True).start()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                warnings.showwarning = lambda message, *_: console.warn(str(message))
                code = super().main(args, prog_name or "weft-geo", obj=console, **extra)
        except (Exception, KeyboardInterrupt) as error:
            code = exit_code(error, console)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        sys.exit(code if isinstance(code, int) else DONE)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Refuse empty words: as a path each would be the current folder, and its rasters the scenes."""
        if empty := [word for word in args if not word or re.fullmatch(r"--[\w-]+=", word)]:
            raise click.UsageError(f"{empty[0] or 'a word'} is empty; is a variable not set?", ctx)
        return super().resolve_command(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Commands in the order of use, not of the alphabet."""
        return list(self.commands)


@click.group(cls=Application, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, "--version", message="weft-geo %(version)s")
def weft_geo() -> None:
    """Find objects in remote-sensing images and hand them over as clean vector polygons."""


for _command in (
    predict,
    vectorize,
    train,
    evaluate,
    explain,
    preview,
    sample,
    info,
    models,
    datasets,
    export,
    doctor,
):
    weft_geo.add_command(_command)
add_verbosity(weft_geo)


def main() -> NoReturn:
    """Entry point of the `weft-geo` script."""
    weft_geo.main()


if __name__ == "__main__":
    main()
