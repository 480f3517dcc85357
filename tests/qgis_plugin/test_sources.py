"""The plugin loads wherever QGIS does: it imports the standard library, QGIS and itself, and nothing else."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PLUGIN = Path(__file__).resolve().parents[2] / "qgis_plugin"
SOURCES = sorted(PLUGIN.rglob("*.py"))
# What the standard library of Python 3.9 has and the plugin uses.
STANDARD = {
    "__future__", "collections", "configparser", "contextlib", "dataclasses", "errno", "json", "math", "os", "pathlib",
    "queue", "re", "shlex", "shutil", "signal", "subprocess", "sys", "tempfile", "threading", "time", "typing",
}  # fmt: skip
ALLOWED = STANDARD | {"qgis", "processing"}
QGIS_FREE = ("arguments", "child", "environment", "errors", "install", "json_lines", "sentences", "training_runs")


def imported(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add((node.module or "").split(".")[0])
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(PLUGIN).as_posix())
def test_nothing_is_imported_that_qgis_does_not_bring(path):
    assert imported(ast.parse(path.read_text())) <= ALLOWED


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(PLUGIN).as_posix())
def test_it_is_python_3_9(path):
    """The Python of QGIS 3.22 on Windows and macOS."""
    tree = ast.parse(path.read_text(), feature_version=(3, 9))
    newer = [node for node in ast.walk(tree) if type(node).__name__ in ("Match", "TryStar", "TypeAlias")]
    assert not newer


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(PLUGIN).as_posix())
def test_qt_comes_by_way_of_qgis_and_enumerations_in_full(path):
    text = path.read_text()
    assert not re.search(r"\bPyQt[56]\b|\bexec_\(", text)
    short = re.findall(r"\bQt\.(?!\w+\.)[A-Z]\w+|\bQgis\.(?:Info|Warning|Critical|Success)\b", text)
    assert not short, "Qt 6 knows no short names"


@pytest.mark.parametrize("name", QGIS_FREE)
def test_some_parts_know_nothing_of_qgis(name):
    assert "qgis" not in imported(ast.parse((PLUGIN / f"{name}.py").read_text()))


def test_nobody_touches_the_python_of_qgis():
    for path in SOURCES:
        text = path.read_text()
        assert "sys.path" not in text, path
        assert "site-packages" not in text, path
        assert not re.search(r"os\.environ\[.*\]\s*=|os\.putenv|environ\.(update|pop|setdefault)", text), path
