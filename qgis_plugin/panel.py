"""The panel beside the map: pick a layer, press Run, get objects."""

from __future__ import annotations

import os
from pathlib import Path

from qgis.core import QgsProject, QgsRasterLayer, QgsVectorLayer
from qgis.gui import QgisInterface, QgsDockWidget, QgsFileWidget, QgsMapLayerComboBox
from qgis.PyQt.QtCore import Qt, pyqtSignal
from qgis.PyQt.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from . import places
from .area_choice import AreaChoice
from .loss_curve import LossCurve
from .model_list import EMBEDDED, Model, local_models
from .training_runs import TRAINING_STEPS
from .translation import tr
from .versions import POLYGON_LAYERS, RASTER_LAYERS

_FROM_FILE = "from-file"


class Panel(QgsDockWidget):
    """Widgets and their values; what happens on a press is the plugin's matter.

    Args:
        iface: QGIS.
    """

    run_wanted = pyqtSignal()
    cancel_wanted = pyqtSignal()
    learn_wanted = pyqtSignal()
    log_wanted = pyqtSignal()
    options_wanted = pyqtSignal()

    def __init__(self, iface: QgisInterface) -> None:
        super().__init__(tr("weft-geo: find objects"), iface.mainWindow())
        self.setObjectName("WeftGeoPanel")
        self._shipped = [EMBEDDED]
        self.layer = QgsMapLayerComboBox()
        self.layer.setFilters(RASTER_LAYERS)
        self.area = AreaChoice(iface.mapCanvas())
        self.model = QComboBox()
        self.bands = QLineEdit()
        self.bands.setPlaceholderText(tr("chosen by weft-geo"))
        self.bands.setToolTip(tr("Such as 3,2,1, in the model's order"))
        self.threshold = _number(0.0, 1.0, 2, tr("the model's own"), "", 0.05)
        self.min_area = _number(-5.0, 1e9, 1, tr("the model's own"), " m²", 5.0)
        self.min_area.setToolTip(tr("0 keeps all"))
        self.simplify = _number(0.0, 1000.0, 2, tr("off"), " m", 0.1)
        self.regularize = QCheckBox(tr("Right angles, for buildings"))
        self.output = QgsFileWidget()
        self.output.setStorageMode(QgsFileWidget.StorageMode.SaveFile)
        self.output.setFilter("GeoPackage (*.gpkg);;FlatGeobuf (*.fgb);;GeoJSON (*.geojson);;Shapefile (*.shp)")
        self.output.setConfirmOverwrite(False)  # Run asks, however the name came there
        self.output.lineEdit().setPlaceholderText(tr("a temporary file"))
        self.run = QPushButton(tr("Run"))
        self.cancel = QPushButton(tr("Cancel"))
        self.progress = QProgressBar()
        self.state = QLabel()
        self.state.setWordWrap(True)
        policy = self.state.sizePolicy()
        policy.setHorizontalPolicy(QSizePolicy.Policy.Ignored)  # a long name has nowhere to wrap
        self.state.setSizePolicy(policy)
        self.labels = QgsMapLayerComboBox()
        self.labels.setFilters(POLYGON_LAYERS)
        self.steps = QSpinBox()
        self.steps.setRange(1, 1_000_000)
        self.steps.setSingleStep(100)
        self.steps.setValue(TRAINING_STEPS)
        self.steps.setSuffix(tr(" steps"))
        self.steps.setToolTip(tr("More steps take longer and fit the model better to your edits"))
        self.learn = QPushButton(tr("Learn from my edits"))
        self.learn.setToolTip(tr("Trains a model on the raster layer and the corrected polygons of this layer"))
        self.curve = LossCurve()
        self.setWidget(self._lay_out())
        self.run.clicked.connect(self.run_wanted)
        self.cancel.clicked.connect(self.cancel_wanted)
        self.learn.clicked.connect(self.learn_wanted)
        self.model.activated.connect(self._choose_file)
        self.show_models()
        self.show_idle("")

    def _lay_out(self) -> QWidget:
        form = QFormLayout()
        form.addRow(tr("Raster layer"), self.layer)
        form.addRow(tr("Search in"), self.area)
        form.addRow(tr("Model"), self.model)
        form.addRow(tr("Bands"), self.bands)
        form.addRow(tr("Least probability"), self.threshold)
        form.addRow(tr("Smallest object"), self.min_area)
        form.addRow(tr("Simplify by"), self.simplify)
        form.addRow("", self.regularize)
        form.addRow(tr("Save to"), self.output)
        buttons = QHBoxLayout()
        buttons.addWidget(self.run)
        buttons.addWidget(self.cancel)
        links = QLabel(tr('<a href="log">Log</a> · <a href="options">Options</a>'))
        links.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)  # by Tab and Enter as well
        links.linkActivated.connect(lambda link: (self.log_wanted if link == "log" else self.options_wanted).emit())
        learning = QFormLayout()
        learning.addRow(QLabel(tr("<b>Teach it</b>: correct the objects by hand, then")))
        learning.addRow(tr("Corrected layer"), self.labels)
        learning.addRow(tr("Train for"), self.steps)
        learning.addRow("", self.learn)
        learning.addRow(self.curve)
        layout = QVBoxLayout()
        for part in (form, buttons, self.progress, self.state, links, learning):
            layout.addWidget(part) if isinstance(part, QWidget) else layout.addLayout(part)
        layout.addStretch()
        inside = QWidget()
        inside.setLayout(layout)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setWidget(inside)
        return scroll

    def showEvent(self, event):  # noqa: N802
        """Only now the theme has said how large its widgets are. What is in the panel is never cut off."""
        super().showEvent(event)
        scroll = self.widget()
        bar = scroll.verticalScrollBar().sizeHint().width()
        scroll.setMinimumWidth(scroll.widget().minimumSizeHint().width() + bar)

    def show_models(self, shipped: list[Model] | None = None) -> None:
        """Fill the list of models; the choice stays where it can.

        Args:
            shipped: The models that weft-geo brings, once it has said so.
        """
        self._shipped = shipped or self._shipped
        chosen = self.model.currentData()
        self.model.clear()
        for model in [*self._shipped, *local_models()]:
            self.model.addItem(model.title, model.value)
            self.model.setItemData(self.model.count() - 1, model.note, Qt.ItemDataRole.ToolTipRole)
        self.model.addItem(tr("From a file …"), _FROM_FILE)
        self.choose_model(chosen or EMBEDDED.value)

    def choose_model(self, value: str) -> None:
        """Choose a model by what weft-geo calls it; the first one if it is not in the list."""
        self.model.setCurrentIndex(max(0, self.model.findData(value)))

    def _choose_file(self) -> None:
        if self.model.currentData() != _FROM_FILE:
            return
        path, _ = QFileDialog.getOpenFileName(self, tr("Model"), "", tr("Models (*.onnx *.safetensors)"))
        self.choose_model(EMBEDDED.value)
        if path:
            places.remember_model_file(path)
            self.show_models()
            self.choose_model(path)

    def raster(self) -> QgsRasterLayer | None:
        """The chosen raster layer."""
        return self.layer.currentLayer()

    def corrected(self) -> QgsVectorLayer | None:
        """The layer to learn from."""
        return self.labels.currentLayer()

    def show_running(self, title: str) -> None:
        """A run has begun."""
        self.run.setEnabled(False)
        self.learn.setEnabled(False)
        self.cancel.setEnabled(True)
        self.progress.setRange(0, 0)
        self.progress.setVisible(True)
        self.state.setText(title)

    def show_progress(self, percent: float) -> None:
        """A run has come this far."""
        self.progress.setRange(0, 100)
        self.progress.setValue(round(percent))

    def show_cancelling(self) -> None:
        """A run was asked to stop."""
        self.cancel.setEnabled(False)
        self.state.setText(tr("stopping …"))

    def show_idle(self, text: str) -> None:
        """No run goes on.

        Args:
            text: How the last one ended.
        """
        self.run.setEnabled(True)
        self.learn.setEnabled(True)
        self.cancel.setEnabled(False)
        self.progress.setVisible(False)
        self.state.setText(text)

    def load_settings(self, project: QgsProject) -> None:
        """Take the settings that a project holds."""
        self.area.choose(project.readEntry("weft_geo", "area", "whole")[0])
        self.choose_model(project.readEntry("weft_geo", "model", EMBEDDED.value)[0])
        self.bands.setText(project.readEntry("weft_geo", "bands", "")[0])
        for name in ("threshold", "min_area", "simplify"):
            box = getattr(self, name)
            box.setValue(project.readDoubleEntry("weft_geo", name, box.minimum())[0])
        self.regularize.setChecked(project.readBoolEntry("weft_geo", "regularize", False)[0])

    def save_settings(self, project: QgsProject) -> None:
        """Put the settings into a project; QGIS saves them with it."""
        project.writeEntry("weft_geo", "area", self.area.kind.currentData())
        project.writeEntry("weft_geo", "model", self.model.currentData())
        project.writeEntry("weft_geo", "bands", self.bands.text())
        for name in ("threshold", "min_area", "simplify"):
            project.writeEntryDouble("weft_geo", name, getattr(self, name).value())
        project.writeEntryBool("weft_geo", "regularize", self.regularize.isChecked())

    def output_path(self) -> Path | None:
        """Where to write; None for a temporary file. A name without a suffix is a GeoPackage."""
        given = self.output.filePath().strip()
        if not given:
            return None
        path = Path(os.path.expanduser(given)).absolute()  # noqa: PTH111  # pathlib's fails on ~draft.gpkg
        return path if path.suffix else path.with_suffix(".gpkg")


def _number(low: float, high: float, digits: int, at_lowest: str, unit: str, step: float) -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    box.setRange(low, high)
    box.setDecimals(digits)
    box.setSingleStep(step)
    box.setSuffix(unit)
    box.setValue(low)
    box.setSpecialValueText(at_lowest)
    return box
