"""Writes the texts of the QGIS plugin as a Qt translation source (.ts), for Qt Linguist to translate.

`lrelease weft_geo_de.ts -qm qgis_plugin/i18n/weft_geo_de.qm` makes of it what the plugin reads. Qt's own lupdate reads
no Python. What an older file of that name has translated stays.
"""

from __future__ import annotations

import argparse
import ast
from pathlib import Path
from xml.etree import ElementTree

PLUGIN = Path(__file__).resolve().parents[1] / "qgis_plugin"
CONTEXT = "weft_geo"


def read_texts(folder: Path = PLUGIN) -> list[str]:
    """All texts that are given to `tr`, in the order of the files, each once."""
    calls = (
        node.args[0]
        for path in sorted(folder.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "tr"
    )
    return list(dict.fromkeys(ast.literal_eval(text) for text in calls))


def write_ts(path: Path, language: str) -> int:
    """Write the file; give the number of texts that are not translated yet."""
    known = {}
    if path.exists():
        for message in ElementTree.parse(path).iter("message"):
            known[message.findtext("source")] = message.findtext("translation")
    root = ElementTree.Element("TS", version="2.1", language=language, sourcelanguage="en")
    context = ElementTree.SubElement(root, "context")
    ElementTree.SubElement(context, "name").text = CONTEXT
    missing = 0
    for text in read_texts():
        message = ElementTree.SubElement(context, "message")
        ElementTree.SubElement(message, "source").text = text
        translation = ElementTree.SubElement(message, "translation")
        translation.text = known.get(text)
        if not translation.text:
            translation.set("type", "unfinished")
            missing += 1
    ElementTree.indent(root)
    path.write_text(f"<!DOCTYPE TS>\n{ElementTree.tostring(root, 'unicode')}\n", encoding="utf-8")
    return missing


def main() -> None:
    """Write `weft_geo_LANGUAGE.ts`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("language", help="as QGIS calls it: de, pt_BR")
    parser.add_argument("--folder", type=Path, default=Path(), help="where to; here by default")
    options = parser.parse_args()
    path = options.folder / f"{CONTEXT}_{options.language}.ts"
    print(f"{path}: {write_ts(path, options.language)} texts to translate")


if __name__ == "__main__":
    main()
