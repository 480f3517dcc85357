"""Which part of a layer is searched: all of it, what the map shows, selected polygons, or a drawn box."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsProcessingFeatureSourceDefinition,
    QgsRectangle,
    QgsReferencedRectangle,
)
from qgis.gui import QgsMapCanvas, QgsMapLayerComboBox, QgsMapTool, QgsMapToolExtent
from qgis.PyQt.QtCore import pyqtSignal
from qgis.PyQt.QtWidgets import QComboBox, QLabel, QPushButton, QVBoxLayout, QWidget

from .errors import LayerError
from .translation import tr
from .versions import POLYGON_LAYERS

WHOLE, CANVAS, SELECTION, BOX = "whole", "canvas", "selection", "box"


class AreaChoice(QWidget):
    """The choice, and what belongs to it.

    Args:
        canvas: The map.
        parent: The widget above.
    """

    changed = pyqtSignal()

    def __init__(self, canvas: QgsMapCanvas, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._canvas = canvas
        self._tool_before: QgsMapTool | None = None
        self._box: QgsReferencedRectangle | None = None
        self.kind = QComboBox()
        self.kind.addItem(tr("Whole layer"), WHOLE)
        self.kind.addItem(tr("What the map shows"), CANVAS)
        self.kind.addItem(tr("Selected polygons"), SELECTION)
        self.kind.addItem(tr("A drawn box"), BOX)
        self.polygons = QgsMapLayerComboBox()
        self.polygons.setFilters(POLYGON_LAYERS)
        self.draw = QPushButton(tr("Draw a box on the map"))
        self.box_text = QLabel()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.kind, self.polygons, self.draw, self.box_text):
            layout.addWidget(widget)
        self._tool = QgsMapToolExtent(canvas)
        self._tool.extentChanged.connect(self._take_box)
        self.draw.clicked.connect(self._start_drawing)
        self.kind.currentIndexChanged.connect(self._show_parts)
        self._show_parts()

    def choose(self, kind: str) -> None:
        """Choose one of `WHOLE`, `CANVAS`, `SELECTION` and `BOX`."""
        self.kind.setCurrentIndex(max(0, self.kind.findData(kind)))

    def parameters(self) -> dict[str, Any]:
        """The parameters EXTENT and AREA of the algorithm.

        Raises:
            LayerError: What was chosen is not there yet.
        """
        kind = self.kind.currentData()
        if kind == CANVAS:
            crs = self._canvas.mapSettings().destinationCrs()
            return {"EXTENT": QgsReferencedRectangle(self._canvas.extent(), crs)}
        if kind == BOX:
            if self._box is None:
                raise LayerError(tr("There is no box yet: press “Draw a box on the map” and drag one."))
            return {"EXTENT": self._box}
        if kind == SELECTION:
            layer = self.polygons.currentLayer()
            if layer is None or not layer.selectedFeatureCount():
                raise LayerError(
                    tr("No polygon is selected: select some in the chosen layer, or search the whole layer.")
                )
            return {"AREA": QgsProcessingFeatureSourceDefinition(layer.id(), True)}
        return {}

    def set_box(self, extent: QgsRectangle, crs: QgsCoordinateReferenceSystem) -> None:
        """Take a box.

        Args:
            extent: The box.
            crs: The CRS of its coordinates.
        """
        self._box = QgsReferencedRectangle(extent, crs)
        self.box_text.setText(tr("{width:.6g} × {height:.6g} map units", width=extent.width(), height=extent.height()))
        self._show_parts()

    def close_tool(self) -> None:
        """Take the map tool away."""
        self._canvas.unsetMapTool(self._tool)

    def _start_drawing(self) -> None:
        if self._canvas.mapTool() is not self._tool:
            self._tool_before = self._canvas.mapTool()
        self._canvas.setMapTool(self._tool)

    def _take_box(self, extent: QgsRectangle) -> None:
        if extent.isEmpty():
            return
        self.set_box(extent, self._canvas.mapSettings().destinationCrs())
        if self._tool_before is not None:
            self._canvas.setMapTool(self._tool_before)

    def _show_parts(self) -> None:
        kind = self.kind.currentData()
        self.polygons.setVisible(kind == SELECTION)
        self.draw.setVisible(kind == BOX)
        self.box_text.setVisible(kind == BOX and self._box is not None)
        self.changed.emit()
