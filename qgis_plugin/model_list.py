"""The models that can be chosen: those that come with weft-geo, those trained here, those chosen from a file before."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import places
from .errors import PluginError
from .run import ask_weft_geo
from .training_runs import MODEL
from .translation import tr


@dataclass(frozen=True)
class Model:
    """One entry.

    Attributes:
        value: What weft-geo takes as --model.
        title: What the user reads.
        note: A tooltip.
    """

    value: str
    title: str
    note: str = ""


EMBEDDED = Model("embedded", tr("embedded (building)"), tr("comes with weft-geo"))


def shipped_models() -> list[Model]:
    """Ask weft-geo for the models that it brings; only the embedded one if it does not answer. Takes a second."""
    try:
        return read_shipped(ask_weft_geo(["models", "--json"]))
    except (PluginError, ValueError, KeyError, TypeError):
        return [EMBEDDED]


def read_shipped(answer: dict[str, Any]) -> list[Model]:
    """The models in the answer of `weft-geo models --json`; two names of one file are one model."""
    models: dict[str, Model] = {}
    for entry in answer["shipped"]:
        if entry["installed"]:
            classes = ", ".join(entry["contract"]["classes"])
            models.setdefault(entry["file"], Model(entry["name"], f"{entry['name']} ({classes})", entry["summary"]))
    return list(models.values()) or [EMBEDDED]


def local_models() -> list[Model]:
    """Models trained here, the last one first, and files that were chosen before."""
    learnt = sorted(places.learnt_models().glob(f"*/{MODEL}"), key=lambda path: path.stat().st_mtime, reverse=True)
    models = [Model(str(path), tr("{folder} (trained here)", folder=path.parent.name), str(path)) for path in learnt]
    models += [Model(path, Path(path).name, path) for path in places.model_files() if Path(path) not in learnt]
    return models
