"""Which weft-geo to start, and the environment variables that it starts with. Knows nothing of QGIS."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import OPTIONS_PAGE, InterpreterError
from .translation import tr

# What QGIS and its starters set for their own Python, GDAL, PROJ and Qt. Another Python would load the wrong files.
HIDDEN_VARIABLES = frozenset(
    {
        "PYTHONHOME",
        "PYTHONPATH",
        "PYTHONEXECUTABLE",
        "PROJ_LIB",
        "PROJ_DATA",
        "GDAL_DATA",
        "GDAL_DRIVER_PATH",
        "GDAL_PLUGIN_PATH",
        "LD_LIBRARY_PATH",
        "QT_PLUGIN_PATH",
        "__PYVENV_LAUNCHER__",
    }
)
HIDDEN_PREFIXES = ("DYLD_",)

MODULE = ("-m", "weft_geo_cli.main")
"""Starts weft-geo by its Python, which works where a script's first line does not: long paths, paths with spaces."""


@dataclass(frozen=True)
class Interpreter:
    """A weft-geo that can be started.

    Attributes:
        command: The words that start it.
        origin: Where it was found, in words.
    """

    command: tuple[str, ...]
    origin: str


def clean_environment(variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of the child: this process's, less what belongs to QGIS. This process's own stays as it is.

    Args:
        variables: What to start from; those of this process by default.
    """
    given = os.environ if variables is None else variables
    kept = {
        name: value
        for name, value in given.items()
        if name not in HIDDEN_VARIABLES and not name.startswith(HIDDEN_PREFIXES)
    }
    # Text in UTF-8 on every system, and no module from the folder that the child happens to start in.
    return {**kept, "PYTHONUTF8": "1", "PYTHONSAFEPATH": "1"}


def python_of(venv: Path) -> Path:
    """The Python of a virtual environment, whether it is there or not."""
    return venv / "Scripts" / "python.exe" if sys.platform == "win32" else venv / "bin" / "python"


def find_interpreter(chosen: str, made: Path, search_path: str | None = None) -> Interpreter:
    """Find the weft-geo to start: the one the user set, the one the plugin made, or the one on PATH.

    Args:
        chosen: What the user set: a Python, a virtual environment's folder, or a `weft-geo`; empty if nothing.
        made: The folder of the virtual environment that the plugin makes.
        search_path: Where to look for `weft-geo`; the variable PATH by default.

    Raises:
        InterpreterError: What the user set is not there, or there is none at all.
    """
    if chosen:
        return Interpreter(_command_of(Path(chosen)), tr("set in {page}", page=OPTIONS_PAGE))
    if made.exists():
        return Interpreter((str(python_of(made)), *MODULE), tr("made by the plugin"))
    script = shutil.which("weft-geo", path=search_path)
    if script:
        return Interpreter((script,), tr("found on PATH"))
    raise InterpreterError(tr("weft-geo is not installed yet: open {page} and press Install.", page=OPTIONS_PAGE))


def _command_of(path: Path) -> tuple[str, ...]:
    if path.is_dir():
        path = python_of(path)
    if not path.is_file():
        raise InterpreterError(
            tr(
                "The interpreter {path} does not exist: choose another one in {page}, or leave it empty there.",
                path=path,
                page=OPTIONS_PAGE,
            )
        )
    return (str(path), *MODULE) if path.stem.lower().startswith("python") else (str(path),)
