"""Where the plugin keeps things: in the user's QGIS profile, beside nobody else's."""

from __future__ import annotations

import configparser
from pathlib import Path

from qgis.core import QgsApplication, QgsSettings

_INTERPRETER = "weft_geo/interpreter"
_PACKAGE = "weft_geo/package"
_MODELS = "weft_geo/model_files"
_HERE = Path(__file__).parent


def plugin_version() -> str:
    """The version in metadata.txt."""
    metadata = configparser.ConfigParser(interpolation=None)
    metadata.read(_HERE / "metadata.txt", encoding="utf-8")
    return metadata["general"]["version"]


def home() -> Path:
    """The folder of everything below; made if it is not there."""
    folder = Path(QgsApplication.qgisSettingsDirPath()) / "weft_geo"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def made_environment() -> Path:
    """The virtual environment that the plugin makes; it need not be there."""
    return home() / "venv"


def learnt_models() -> Path:
    """The folder of the models that were trained here."""
    folder = home() / "models"
    folder.mkdir(exist_ok=True)
    return folder


def logs() -> Path:
    """The folder of the last logs."""
    folder = home() / "logs"
    folder.mkdir(exist_ok=True)
    return folder


def last_log() -> Path | None:
    """The log of the last run; None if there was none."""
    return max(logs().glob("*.log"), key=lambda path: path.stat().st_mtime_ns, default=None)


def chosen_interpreter() -> str:
    """What the user set; empty if nothing."""
    return str(QgsSettings().value(_INTERPRETER, "") or "")


def choose_interpreter(path: str) -> None:
    """Remember the interpreter that the user set."""
    QgsSettings().setValue(_INTERPRETER, path.strip())


def package() -> str:
    """What to install: as the user said, the wheel that came with the plugin, or this version by name."""
    said = str(QgsSettings().value(_PACKAGE, "") or "")
    wheels = sorted((_HERE / "wheel").glob("weft_geo-*.whl"))
    return said or (str(wheels[-1]) if wheels else f"weft-geo~={plugin_version()}")


def choose_package(text: str) -> None:
    """Remember what to install."""
    QgsSettings().setValue(_PACKAGE, text.strip())


def model_files() -> list[str]:
    """Model files that were chosen before and are still there, the last one first."""
    return [path for path in QgsSettings().value(_MODELS, []) or [] if Path(path).is_file()]


def remember_model_file(path: str) -> None:
    """Put a model file at the top of the list."""
    QgsSettings().setValue(_MODELS, [path, *(known for known in model_files() if known != path)][:10])
