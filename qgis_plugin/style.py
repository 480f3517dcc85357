"""How layers look: objects by class, or else by score, in a group with their scene; errors by what came of them."""

from __future__ import annotations

from collections.abc import Callable

from qgis.core import (
    QgsCategorizedSymbolRenderer,
    QgsClassificationRange,
    QgsFillSymbol,
    QgsGraduatedSymbolRenderer,
    QgsLayerTreeGroup,
    QgsMapLayer,
    QgsProcessingLayerPostProcessorInterface,
    QgsProject,
    QgsRendererCategory,
    QgsRendererRange,
    QgsVectorLayer,
)
from qgis.PyQt import sip
from qgis.PyQt.QtGui import QColor

from .translation import tr
from .versions import NO_FORM

# Score from, to, red, green and blue: orange is doubtful, violet sure. Both show on green, grey and brown ground.
_SCORES = (
    (0.0, 0.6, "253,174,97"),
    (0.6, 0.7, "244,109,67"),
    (0.7, 0.8, "213,62,79"),
    (0.8, 0.9, "158,10,122"),
    (0.9, 1.0, "84,39,143"),
)
# Okabe and Ito's, which the colour-blind tell apart; those first that are not the colour of the ground.
_CLASSES = ("213,94,0", "86,180,233", "240,228,66", "204,121,167", "0,114,178", "0,158,115", "230,159,0")
_NO_CLASS = "255,255,255"
# What an object is against the truth, in words and in the colours that weft-geo gives it in a GeoPackage.
_RESULTS = (
    ("true_positive", tr("right"), "44,123,182"),
    ("false_positive", tr("wrong"), "215,25,28"),
    ("false_negative", tr("missed"), "255,190,0"),
)


def style_objects(layer: QgsVectorLayer) -> None:
    """Style a layer of objects by class if there are several, else by score; one without scores stays.

    Nothing is asked for where one is drawn by hand.
    """
    if layer.fields().indexOf("score") < 0:
        return
    layer.setRenderer(_by_class(layer) or _by_score())
    form = layer.editFormConfig()
    form.setSuppress(NO_FORM)
    layer.setEditFormConfig(form)
    layer.setLabelsEnabled(False)
    layer.triggerRepaint()


def _by_score() -> QgsGraduatedSymbolRenderer:
    ranges = []
    for low, high, color in _SCORES:
        ranges.append(QgsRendererRange(QgsClassificationRange(f"{low:.1f} – {high:.1f}", low, high), _fill(color)))
    # What a user draws has no score, and is sure.
    return QgsGraduatedSymbolRenderer('coalesce("score", 1)', ranges)


def _by_class(layer: QgsVectorLayer) -> QgsCategorizedSymbolRenderer | None:
    """A colour for each class; None unless there are several."""
    field = layer.fields().indexOf("class")
    names = sorted(name for name in layer.uniqueValues(field) if isinstance(name, str)) if field >= 0 else []
    if len(names) < 2:
        return None
    hues = (QColor.fromHsvF(0.618 * number % 1, 0.7, 0.9).getRgb()[:3] for number in range(len(names)))
    colors = [*_CLASSES, *(",".join(map(str, hue)) for hue in hues)]
    categories = [QgsRendererCategory(name, _fill(color), name) for name, color in zip(names, colors)]
    # What a user draws has no class yet.
    categories.append(QgsRendererCategory(None, _fill(_NO_CLASS), tr("no class")))
    return QgsCategorizedSymbolRenderer("class", categories)


def style_errors(layer: QgsVectorLayer) -> None:
    """Style a layer of errors: right, wrong and missed."""
    categories = [QgsRendererCategory(result, _fill(color), title) for result, title, color in _RESULTS]
    layer.setRenderer(QgsCategorizedSymbolRenderer("result", categories))
    layer.triggerRepaint()


def _fill(color: str) -> QgsFillSymbol:
    return QgsFillSymbol.createSimple({"color": f"{color},70", "outline_color": f"{color},255", "outline_width": "0.5"})


class _Styler(QgsProcessingLayerPostProcessorInterface):
    """Styles a layer that the toolbox loads.

    Args:
        style: How.
    """

    def __init__(self, style: Callable[[QgsVectorLayer], None]) -> None:
        super().__init__()
        self._style = style

    def postProcessLayer(self, layer, context, feedback):  # noqa: N802
        """Style it."""
        if isinstance(layer, QgsVectorLayer):
            self._style(layer)


_stylers: list[_Styler] = []


def new_styler(style: Callable[[QgsVectorLayer], None]) -> QgsProcessingLayerPostProcessorInterface:
    """One for a layer that Processing loads.

    Processing does not keep Python's half of it alive, though batches and models load layers when the algorithm has
    gone; and it deletes the other half with the context of the run, so that each run needs a new one.
    """
    _stylers[:] = [styler for styler in _stylers if not sip.isdeleted(styler)] + [_Styler(style)]
    return _stylers[-1]


def add_objects(project: QgsProject, layer: QgsVectorLayer, scene: QgsMapLayer | None) -> QgsLayerTreeGroup:
    """Put a layer of objects into the project, in the group of its scene.

    Args:
        project: The project.
        layer: The objects.
        scene: The raster they were found on; it moves into the group with them. None if it has gone.
    """
    root = project.layerTreeRoot()
    title = f"weft-geo: {scene.name() if scene else layer.name()}"
    node = root.findLayer(scene.id()) if scene else None
    # Where the scene was, so that what lay above it still does.
    above = root.children().index(node) if node is not None and node.parent() is root else 0
    group = root.findGroup(title) or root.insertGroup(above, title)
    project.addMapLayer(layer, False)
    group.insertLayer(0, layer)
    if node is not None and node.parent() is root:
        group.addChildNode(node.clone())
        root.removeChildNode(node)
        group.findLayer(scene).setExpanded(False)
    group.setExpanded(False)  # the view hears of a change only, and shows new groups folded
    group.setExpanded(True)
    return group
