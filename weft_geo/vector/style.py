"""How QGIS shows a GeoPackage as soon as it is opened: objects by class, or else by score; errors by what they are.

QGIS looks for a default style in a table `layer_styles` of the GeoPackage itself. It is made here as QGIS makes it
(`Layer Properties → Style → Save Style → In Database`), registered as an attributes table, so that QGIS can change and
add styles. GDAL therefore lists it as a second layer, after the objects (QGIS and GDAL know no other way: a table that
GDAL does not list, QGIS does not find). Software that takes the first layer takes the objects; geopandas does so too,
and warns that there is another unless it is told `layer="objects"`.
"""

from __future__ import annotations

import colorsys
import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from xml.etree import ElementTree

SCORES = (
    (0.0, 0.6, (215, 25, 28)),
    (0.6, 0.7, (253, 174, 97)),
    (0.7, 0.8, (255, 230, 80)),
    (0.8, 0.9, (171, 217, 233)),
    (0.9, 1.0, (44, 123, 182)),
)
"""From, up to, and the colour in between, red over yellow to blue: the colour-blind tell them apart too."""
RESULTS = (
    ("true_positive", (44, 123, 182)),
    ("false_positive", (215, 25, 28)),
    ("false_negative", (255, 190, 0)),
)
"""What an object may be against the truth, in the same colours."""
CLASSES = (
    (213, 94, 0),
    (86, 180, 233),
    (240, 228, 66),
    (204, 121, 167),
    (0, 114, 178),
    (0, 158, 115),
    (230, 159, 0),
)
"""Of the first classes; Okabe and Ito's, those first that are not the colour of the ground. More classes get hues."""
NO_CLASS = (255, 255, 255)
FILL_ALPHA = 64
Color = tuple[int, int, int]


@dataclass(frozen=True)
class Style:
    """A style of QGIS: its name, a line about it, and what makes its QML."""

    name: str
    description: str
    qml: Callable[[], str]


TABLE = """
CREATE TABLE layer_styles (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    f_table_catalog TEXT(256), f_table_schema TEXT(256), f_table_name TEXT(256), f_geometry_column TEXT(256),
    styleName TEXT(30), styleQML TEXT, styleSLD TEXT, useAsDefault BOOLEAN, description TEXT,
    owner TEXT(30), ui TEXT(30), update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
)
"""


def score_qml() -> str:
    """Outlines and a light fill, graduated by the attribute `score`, as a QGIS layer style file (QML)."""
    # What a user draws by hand has no score, and is sure.
    attribute = 'coalesce("score", 1)'
    root, renderer = _renderer("graduatedSymbol", attribute, graduatedMethod="GraduatedColor")
    ranges = ElementTree.SubElement(renderer, "ranges")
    for number, (lower, upper, _) in enumerate(SCORES):
        label = f"{lower:.1f} – {upper:.1f}"
        ElementTree.SubElement(
            ranges, "range", symbol=str(number), lower=f"{lower}", upper=f"{upper}", label=label, render="true"
        )
    return _with_symbols(root, renderer, [color for _, _, color in SCORES])


def result_qml() -> str:
    """Outlines and a light fill, by the attribute `result`."""
    root, renderer = _renderer("categorizedSymbol", "result")
    categories = ElementTree.SubElement(renderer, "categories")
    for number, (value, _) in enumerate(RESULTS):
        label = value.replace("_", " ")
        ElementTree.SubElement(categories, "category", symbol=str(number), value=value, label=label, render="true")
    return _with_symbols(root, renderer, [color for _, color in RESULTS])


def class_qml(classes: Sequence[str]) -> str:
    """Outlines and a light fill, by the attribute `class`."""
    root, renderer = _renderer("categorizedSymbol", "class")
    categories = ElementTree.SubElement(renderer, "categories")
    # An empty value stands for all others: what a user draws by hand has no class yet.
    for number, (value, label) in enumerate([*((name, name) for name in sorted(classes)), ("", "no class")]):
        ElementTree.SubElement(categories, "category", symbol=str(number), value=value, label=label, render="true")
    hues = (colorsys.hsv_to_rgb(0.618 * number % 1, 0.7, 0.9) for number in range(len(classes)))
    more = ((round(255 * red), round(255 * green), round(255 * blue)) for red, green, blue in hues)
    return _with_symbols(root, renderer, [*islice(chain(CLASSES, more), len(classes)), NO_CLASS])


def _renderer(kind: str, attribute: str, **more: str) -> tuple[ElementTree.Element, ElementTree.Element]:
    root = ElementTree.Element("qgis", version="3.22.0", styleCategories="Symbology")
    facts = {"type": kind, "attr": attribute, "symbollevels": "0"} | more
    return root, ElementTree.SubElement(root, "renderer-v2", facts)


def _with_symbols(root: ElementTree.Element, renderer: ElementTree.Element, colors: Sequence[Color]) -> str:
    symbols = ElementTree.SubElement(renderer, "symbols")
    for number, (red, green, blue) in enumerate(colors):
        symbol = ElementTree.SubElement(symbols, "symbol", name=str(number), type="fill", alpha="1")
        layer = ElementTree.SubElement(symbol, "layer", {"class": "SimpleFill", "enabled": "1", "pass": "0"})
        options = ElementTree.SubElement(layer, "Option", type="Map")
        for name, value in {
            "color": f"{red},{green},{blue},{FILL_ALPHA}",
            "outline_color": f"{red},{green},{blue},255",
            "outline_style": "solid",
            "outline_width": "0.5",
            "outline_width_unit": "MM",
            "style": "solid",
        }.items():
            ElementTree.SubElement(options, "Option", name=name, type="QString", value=value)
    return "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n" + ElementTree.tostring(root, "unicode")


SCORE_STYLE = Style("score", "Coloured by score", score_qml)
RESULT_STYLE = Style("result", "Right, wrong and missed", result_qml)


def class_style(classes: Sequence[str]) -> Style:
    """The style of objects of several classes."""
    return Style("class", "Coloured by class", partial(class_qml, tuple(classes)))


def add_style(path: Path, layer: str, style: Style) -> None:
    """Give a layer of a GeoPackage its default style.

    Args:
        path: of the GeoPackage, which has no styles yet.
        layer: its name.
        style: the style.

    Raises:
        sqlite3.Error: the file could not be written.
    """
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA synchronous = OFF")  # the whole file goes to the disk before it gets its name
        (column,) = database.execute(
            "SELECT column_name FROM gpkg_geometry_columns WHERE table_name = ?", (layer,)
        ).fetchone()
        database.execute(TABLE)
        database.execute(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier, srs_id) "
            "VALUES ('layer_styles', 'attributes', 'layer_styles', 0)"
        )
        database.execute(
            "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, f_geometry_column, styleName, "
            "styleQML, useAsDefault, description, owner) VALUES ('', '', ?, ?, ?, ?, 1, ?, '')",
            (layer, column, style.name, style.qml(), style.description),
        )
