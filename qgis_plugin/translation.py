"""What the user reads, in the language of QGIS. It stays English where there is no translation, or no QGIS."""

from __future__ import annotations

from pathlib import Path

try:
    from qgis.core import QgsApplication
    from qgis.PyQt.QtCore import QCoreApplication, QTranslator
except ImportError:  # the parts that know nothing of QGIS are tested without it
    QCoreApplication = None

CONTEXT = "weft_geo"
"""Under which Qt keeps the texts of the plugin."""
FOLDER = Path(__file__).parent / "i18n"
"""Of the translations, `weft_geo_de.qm` and so on; `tools/plugin_texts.py` writes what they are made from."""
_spoken: list[QTranslator] = []  # Qt does not keep them alive


def tr(text: str, **values: object) -> str:
    """A text in the user's language.

    Args:
        text: In English, the whole sentence, with {names} for what changes.
        values: What to put there.
    """
    said = text if QCoreApplication is None else QCoreApplication.translate(CONTEXT, text)
    return said.format(**values) if values else said


def speak_as_qgis() -> None:
    """Have `tr` speak the language of QGIS, if there is a translation."""
    translator = QTranslator()
    if translator.load(f"{CONTEXT}_{QgsApplication.locale()}", str(FOLDER)):
        QCoreApplication.installTranslator(translator)
        _spoken.append(translator)
