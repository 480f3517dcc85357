"""Makes the virtual environment that weft-geo runs in, and changes nothing outside of it. Knows nothing of QGIS."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from .child import run_child
from .environment import python_of
from .errors import InterpreterError, RunCancelled
from .translation import tr

_OLDEST = (3, 11)
_PYTHONS = ("python3.13", "python3.12", "python3.11", "python3", "python", "python3.14")
# Debian and Ubuntu have venv beside Python, but ensurepip, which puts pip into what it makes, in python3-venv.
_ASK_VERSION = "import sys, venv, ensurepip; print(*sys.version_info[:2])"


def plan_installation(
    folder: Path, package: str, with_training: bool, uv: str | None, python: str | None
) -> list[list[str]]:
    """The commands that make an environment.

    Args:
        folder: The environment's; it must not be there.
        package: What pip calls a requirement, without extras: a name with a version, a wheel, or a folder.
        with_training: Also torch, and all that training needs.
        uv: The program uv, if there is one: it is fast, and brings a Python of its own where none will do.
        python: A Python of at least 3.11; needed without uv.
    """
    target = str(python_of(folder))
    wanted = _with_extra(package, "train") if with_training else package
    if uv:
        return [
            [uv, "venv", "--python", ">={}.{}".format(*_OLDEST), str(folder)],
            [uv, "pip", "install", "--python", target, wanted],
        ]
    if python is None:
        raise InterpreterError(
            tr(
                "No Python of at least 3.11 that can make environments was found: install one (python.org, or "
                "your system's packages, on Debian and Ubuntu python3-venv) or uv, and press Install again."
            )
        )
    return [
        [python, "-m", "venv", str(folder)],
        [target, "-m", "pip", "install", "--no-input", "--disable-pip-version-check", wanted],  # nobody could answer
    ]


def make_environment(
    folder: Path,
    package: str,
    with_training: bool,
    on_text: Callable[[str], None],
    is_cancelled: Callable[[], bool],
) -> None:
    """Make the environment anew. Where that fails or is cancelled, what was there before is there again.

    Args:
        folder: The environment's; what is there is replaced once the new one is whole.
        package: See `plan_installation`.
        with_training: See `plan_installation`.
        on_text: Is given all that the installers say, as they say it.
        is_cancelled: Is asked ten times a second.

    Raises:
        InterpreterError: It could not be made; the sentence holds the installer's own reason.
        RunCancelled: The user stopped it.
    """
    uv = shutil.which("uv", path=os.pathsep.join(search_folders()))
    commands = plan_installation(folder, package, with_training, uv, None if uv else find_python())
    before, whole = folder.with_name(f"{folder.name}.before"), False
    shutil.rmtree(before, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        if folder.exists():
            folder.rename(before)
    except OSError as error:  # Windows does not move what is in use
        raise InterpreterError(
            tr(
                "{folder} cannot be replaced ({reason}): let the runs end that use it, and press Install again.",
                folder=folder,
                reason=error.strerror,
            )
        ) from error
    try:
        for command in commands:
            _run(command, on_text, is_cancelled)
        whole = True
    finally:
        if not whole:
            shutil.rmtree(folder, ignore_errors=True)
            if before.exists():
                before.rename(folder)
        shutil.rmtree(before, ignore_errors=True)


def search_folders() -> list[str]:
    """Where programs are: on PATH, and where installers put them, which a desktop does not tell QGIS of."""
    places = [Path.home() / ".local" / "bin", Path.home() / ".cargo" / "bin"]
    if sys.platform == "win32":
        for variable, below in (("LOCALAPPDATA", "Programs/Python"), ("PROGRAMFILES", ".")):
            found = Path(os.environ.get(variable, "nowhere"), below).glob("Python3*")
            places += sorted(found, reverse=True)
        places.append(Path(sys.base_prefix))  # QGIS' own, which is not changed by environments that are made of it
    elif sys.platform == "darwin":
        places += [Path("/opt/homebrew/bin"), Path("/usr/local/bin")]
        places += sorted(Path("/Library/Frameworks/Python.framework/Versions").glob("3.*/bin"), reverse=True)
    return [*os.get_exec_path(), *map(str, places)]


def find_python(names: Sequence[str] = _PYTHONS) -> str | None:
    """A Python that is new enough and can make virtual environments."""
    folders = search_folders()
    programs = [shutil.which(name, path=folder) for name in names for folder in folders]
    for program in dict.fromkeys(filter(None, programs)):
        try:
            answer = run_child([program, "-I", "-c", _ASK_VERSION], lambda line: None, lambda: False)
        except OSError:
            continue
        numbers = answer.stdout.split()
        if answer.code == 0 and len(numbers) == 2 and tuple(map(int, numbers)) >= _OLDEST:
            return program
    return None


def _with_extra(package: str, extra: str) -> str:
    """`name~=1.0` becomes `name[extra]~=1.0`; a path gets it at its end."""
    if os.sep in package or Path(package).exists():
        return f"{package}[{extra}]"
    end = next((index for index, letter in enumerate(package) if letter in "=~<>! "), len(package))
    return f"{package[:end]}[{extra}]{package[end:]}"


def _run(command: list[str], on_text: Callable[[str], None], is_cancelled: Callable[[], bool]) -> None:
    said: list[str] = []

    def hear(text: str) -> None:
        said.append(text)
        on_text(text)

    hear("$ " + " ".join(command) + "\n")
    try:
        outcome = run_child(command, lambda line: hear(f"{line}\n"), is_cancelled, on_output=hear)
    except OSError as error:
        raise InterpreterError(
            tr("{command} cannot be started ({reason}): install it again.", command=command[0], reason=error.strerror)
        ) from error
    if outcome.cancelled:
        raise RunCancelled(tr("Cancelled; nothing was installed."))
    if outcome.code:
        raise InterpreterError(
            tr("weft-geo could not be installed: {reason}; mend that and press Install again.", reason=_reason(said))
        )


def _reason(said: list[str]) -> str:
    """The installer's own error: its first line that says so, or else its last."""
    lines = [line.strip() for line in "".join(said).splitlines() if line.strip()]
    marked = [line for line in lines if line.lower().startswith(("error", "× ", "fatal"))]
    reason = (marked or lines)[0 if marked else -1]
    return reason.rstrip(".;:")
