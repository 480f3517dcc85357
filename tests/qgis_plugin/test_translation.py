"""All that the user reads can be translated."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = ROOT / "qgis_plugin"
SHOWN = {
    "InterpreterError", "LayerError", "PluginError", "QAction", "QCheckBox", "QLabel", "QPushButton",
    "QgsProcessingException", "RunCancelled", "RunFailed", "_end", "_tell", "_warn", "addButton", "addItem", "addRow",
    "pushInfo", "pushWarning", "setPlaceholderText", "setProgressText", "setSpecialValueText", "setText", "setToolTip",
    "setWindowTitle", "show_idle", "show_running",
}  # fmt: skip
"""What shows its arguments to the user."""

LOOK = """
import json, sys
from qgis.core import QgsApplication

application = QgsApplication([], True)
application.initQgis()
sys.path.insert(0, sys.argv[1])
from weft_geo_qgis import translation

translation.FOLDER, translation.QgsApplication.locale = translation.Path(sys.argv[2]), lambda: "xx"
translation.speak_as_qgis()
from qgis.gui import QgsMapCanvas
from qgis.PyQt.QtWidgets import QAbstractButton, QComboBox, QDoubleSpinBox, QLabel, QLineEdit, QSpinBox, QWidget
from weft_geo_qgis.options_page import OptionsFactory, OptionsPage
from weft_geo_qgis.panel import Panel
from weft_geo_qgis.provider import WeftGeoProvider


class Window:
    canvas = QgsMapCanvas()

    def mainWindow(self):
        return None

    def mapCanvas(self):
        return self.canvas


provider, texts = WeftGeoProvider(), []
provider.loadAlgorithms()
for algorithm in provider.algorithms():
    texts += [algorithm.displayName(), algorithm.shortHelpString()]
    texts += [parameter.description() for parameter in algorithm.parameterDefinitions()]
panel = Panel(Window())
page = OptionsPage(OptionsFactory())
for top in (panel, page):
    for widget in [top, *top.findChildren(QWidget)]:
        texts.append(widget.toolTip())
        if isinstance(widget, (QLabel, QAbstractButton)):
            texts.append(widget.text())
        elif isinstance(widget, QComboBox):
            texts += [widget.itemText(number) for number in range(widget.count())]
        elif isinstance(widget, QLineEdit):
            texts.append(widget.placeholderText())
        elif isinstance(widget, (QSpinBox, QDoubleSpinBox)):
            texts.append(widget.specialValueText())
print(json.dumps(sorted(set(texts))))
application.exitQgis()
"""


def load_tool():
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        import plugin_texts
    finally:
        sys.path.pop(0)
    return plugin_texts


def test_what_is_shown_goes_through_tr():
    bare = []
    for path in sorted(PLUGIN.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and name_of(node.func) in SHOWN:
                bare += [f"{path.name}:{node.lineno}" for argument in node.args if words_of(argument)]
    assert not bare


def name_of(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def words_of(argument: ast.expr) -> str:
    """The letters of a text in the code itself, without what is put into it."""
    parts = argument.values if isinstance(argument, ast.JoinedStr) else [argument]
    texts = (part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str))
    return "".join(letter for text in texts for letter in text if letter.isalpha())


def test_all_that_a_translator_translates_is_shown(tmp_path):
    """From the sources to the window, by way of Qt's own programs."""
    if not shutil.which("lrelease"):
        pytest.skip("Qt's lrelease is not here")
    pytest.importorskip("qgis.core")
    source = tmp_path / "weft_geo_xx.ts"
    assert load_tool().write_ts(source, "xx") > 100
    tree = ElementTree.parse(source)
    for message in tree.iter("message"):
        message.find("translation").text = f"«{message.findtext('source')}»"
        del message.find("translation").attrib["type"]
    tree.write(source)
    subprocess.run(["lrelease", "-silent", source, "-qm", source.with_suffix(".qm")], check=True)
    assert load_tool().write_ts(source, "xx") == 0, "what was translated stays"
    (tmp_path / "weft_geo_qgis").symlink_to(PLUGIN)
    words = [sys.executable, "-c", LOOK, str(tmp_path), str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    texts = json.loads(done.stdout.splitlines()[-1])
    assert "«Find objects»" in texts
    assert "«Run»" in texts
    theirs = ("Browse", "Full path to the file")  # of QGIS' own widget for files
    assert not [text for text in texts if any(map(str.isalpha, text)) and not text.startswith(("«", *theirs))]
