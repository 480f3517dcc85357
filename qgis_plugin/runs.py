"""What happens on Run and on Learn: parameters, a background job, a layer, a message."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from qgis.core import (
    Qgis,
    QgsCoordinateTransform,
    QgsProcessingUtils,
    QgsProject,
    QgsRasterLayer,
    QgsReferencedRectangle,
    QgsVectorLayer,
)
from qgis.gui import QgisInterface, QgsMessageBarItem
from qgis.PyQt.QtCore import QObject
from qgis.PyQt.QtWidgets import QMessageBox, QPushButton

from . import places
from .errors import CANCELLED, PluginError
from .job import Job
from .log_dialog import LogDialog
from .panel import Panel
from .provider import PROVIDER_ID
from .scenes import ASK_ABOVE_BYTES, describe_scene, file_of
from .style import add_objects, style_objects
from .training_runs import can_go_on, new_run, stopped_run
from .translation import tr

_MESSAGE = "WeftGeoMessage"
"""What the plugin's own messages are found by, among those of others."""


class Runs(QObject):
    """Starts jobs for a panel, and takes what they bring. One at a time.

    Args:
        iface: QGIS.
        panel: The panel.
    """

    def __init__(self, iface: QgisInterface, panel: Panel) -> None:
        super().__init__()
        self._iface = iface
        self._panel = panel
        self._scene = self._scene_name = ""
        self._output: Path | None = None
        self._began = 0.0
        self._log_before: Path | None = None
        self.job: Job | None = None
        panel.run_wanted.connect(self.predict)
        panel.learn_wanted.connect(self.learn)
        panel.cancel_wanted.connect(self.cancel)
        panel.log_wanted.connect(self.show_log)

    def predict(self) -> None:
        """Find the objects of the chosen layer."""
        panel, scene = self._panel, self._panel.raster()
        if scene is None:
            self._warn(tr("There is no raster layer: add your image with Layer ▸ Add Layer ▸ Add Raster Layer."))
            return
        try:
            area = panel.area.parameters()
            if not self._agrees_to_export(scene, area):
                return
        except PluginError as error:
            self._warn(str(error))
            return
        output = panel.output_path()
        used = [scene, panel.area.polygons.currentLayer()] if "AREA" in area else [scene]
        for layer in used:
            if output is not None and file_of(layer) == output:
                self._warn(
                    tr(
                        "{output} holds the layer {layer}, which the run reads: save to another file.",
                        output=output,
                        layer=layer.name(),
                    )
                )
                return
        if output is not None and not self._agrees_to_replace(output):
            return
        panel.save_settings(QgsProject.instance())
        output = output or Path(QgsProcessingUtils.generateTempFilename("objects.gpkg"))
        parameters = {
            "INPUT": scene.id(),  # the layer itself may be gone before the task ends, with its project: a crash
            **area,
            "MODEL": panel.model.currentData(),
            "BANDS": panel.bands.text().strip(),
            "THRESHOLD": panel.threshold.value() or None,
            "MIN_AREA": None if panel.min_area.value() < 0 else panel.min_area.value(),
            "SIMPLIFY": panel.simplify.value(),
            "REGULARIZE": panel.regularize.isChecked(),
            "OUTPUT": str(output),
        }
        self._start(
            "predict", parameters, tr("Objects of {scene}", scene=scene.name()), scene, output, self._add_objects
        )

    def learn(self) -> None:
        """Train a model on the chosen layer and the corrected polygons."""
        panel, scene, labels = self._panel, self._panel.raster(), self._panel.corrected()
        if scene is None or labels is None:
            self._warn(tr("Learning takes a raster layer and a layer of polygons: choose both."))
            return
        output = stopped_run(places.learnt_models(), scene.name())
        if output is not None:
            button = QMessageBox.StandardButton
            text = tr(
                "The run {output} was stopped before it came to a model. Go on with it, on the "
                "polygons that it began with? No begins anew, on those that {labels} holds now.",
                output=output.name,
                labels=labels.name(),
            )
            buttons = button.Yes | button.No | button.Cancel
            answer = QMessageBox.question(self._iface.mainWindow(), "weft-geo", text, buttons)
            if answer == button.Cancel:
                return
            output = output if answer == button.Yes else None
        output = output or new_run(places.learnt_models(), scene.name())
        parameters = {"INPUT": scene.id(), "LABELS": labels.id(), "STEPS": panel.steps.value(), "OUTPUT": str(output)}
        panel.curve.clear()
        self._start(
            "train", parameters, tr("Learning from {labels}", labels=labels.name()), scene, output, self._add_model
        )

    def cancel(self) -> None:
        """Stop the job, if there is one."""
        if self.job is not None:
            self._panel.show_cancelling()
            self.job.cancel()

    def end(self) -> None:
        """Stop the job, if there is one, and wait until it has."""
        if self.job is not None:
            self.cancel()
            self.job.wait()

    def show_log(self) -> None:
        """Show what the last run said, in full."""
        self._show(places.last_log())

    def _show(self, log: Path | None) -> None:
        self.dialog = LogDialog(log, self._iface.mainWindow())
        self.dialog.show()

    def _agrees_to_export(self, scene: QgsRasterLayer, area: dict[str, Any]) -> bool:
        """A layer that is no file is exported first; ask where that is large."""
        wanted, extent = area.get("EXTENT"), None
        if "AREA" in area:
            polygons = self._panel.area.polygons.currentLayer()
            wanted = QgsReferencedRectangle(polygons.boundingBoxOfSelected(), polygons.crs())
        if wanted is not None:
            to_scene = QgsCoordinateTransform(wanted.crs(), scene.crs(), QgsProject.instance())
            extent = to_scene.transformBoundingBox(wanted)
        export = describe_scene(scene, extent).export
        if export is None or export.bytes <= ASK_ABOVE_BYTES:
            return True
        text = tr(
            "{scene} is no file, so it is exported first: {columns} × {rows} pixels, about "
            "{megabytes:.0f} MB in the temporary folder. Go on?",
            scene=scene.name(),
            columns=export.columns,
            rows=export.rows,
            megabytes=export.bytes / 1e6,
        )
        return self._agrees(text)

    def _agrees_to_replace(self, output: Path) -> bool:
        """A file may hold what the user corrected; ask before it goes, and with it the layers that show it."""
        if not output.exists():
            return True
        project = QgsProject.instance()
        layers = [layer for layer in project.mapLayers().values() if file_of(layer) == output]
        text = tr("{output} is there already. Replace it?", output=output)
        if layers:
            text += " " + tr("Its layer goes from the project, with edits that are not saved.")
        if not self._agrees(text):
            return False
        project.removeMapLayers([layer.id() for layer in layers])
        return True

    def _agrees(self, text: str) -> bool:
        button = QMessageBox.StandardButton
        answer = QMessageBox.question(self._iface.mainWindow(), "weft-geo", text, button.Yes | button.No, button.No)
        return answer == button.Yes

    def _start(
        self, name: str, parameters: dict[str, Any], title: str, scene: QgsRasterLayer, output: Path, take: Any
    ) -> None:
        if self.job is not None:
            return
        self._forget_messages()
        self._scene, self._scene_name = scene.id(), scene.name()  # the layer itself may go while the job runs
        self._output, self._began, self._log_before = output, time.monotonic(), places.last_log()
        self._panel.show_running(f"{title} …")
        self.job = job = Job(f"{PROVIDER_ID}:{name}", parameters, title)
        job.feedback.progressChanged.connect(self._panel.show_progress)
        job.feedback.said.connect(self._panel.state.setText)
        job.feedback.told.connect(self._panel.curve.hear)
        job.done.connect(take)
        job.failed.connect(self._fail)
        job.cancelled.connect(self._stop)
        job.start()

    def _end(self, text: str) -> None:
        self.job = None
        self._panel.show_idle(text)

    def _add_objects(self, results: dict) -> None:
        layer = QgsVectorLayer(results["OUTPUT"], tr("Objects of {scene}", scene=self._scene_name), "ogr")
        count = layer.featureCount()
        warnings = self.job.feedback.warnings
        found = tr("{count} objects in {seconds:.0f} s.", count=count, seconds=time.monotonic() - self._began)
        text = " ".join([found, *warnings])
        self._end(text)
        style_objects(layer)
        project = QgsProject.instance()
        add_objects(project, layer, project.mapLayer(self._scene))
        self._panel.labels.setLayer(layer)
        level = Qgis.MessageLevel.Warning if warnings else Qgis.MessageLevel.Success
        self._tell(text if count else text + " " + tr("Try a lower probability, or another model."), level)

    def _add_model(self, results: dict) -> None:
        self._panel.show_models()
        self._panel.choose_model(results["MODEL"])
        name = Path(results["OUTPUT"]).name
        text = tr("The model {name} has learnt from your edits and is the chosen one now: press Run.", name=name)
        self._end(text)
        self._tell(text, Qgis.MessageLevel.Success)

    def _stop(self) -> None:
        text = CANCELLED
        if self._output is not None and can_go_on(self._output):
            text = tr("Cancelled; the last checkpoint is kept: press Learn from my edits to go on from there.")
        self._end(text)
        self._tell(text, Qgis.MessageLevel.Info)

    def _fail(self, sentence: str) -> None:
        self._end(sentence)
        self._tell(sentence, Qgis.MessageLevel.Critical)

    def _warn(self, sentence: str) -> None:
        self._panel.show_idle(sentence)
        self._forget_messages()
        self._iface.messageBar().pushWidget(self._message(sentence), Qgis.MessageLevel.Warning, 12)

    def _tell(self, sentence: str, level: Qgis.MessageLevel) -> None:
        item = self._message(sentence)
        log = places.last_log()  # of this run, whatever runs later
        if log != self._log_before:  # else it failed before it had one
            button = QPushButton(tr("Show log"))
            button.clicked.connect(lambda: self._show(log))
            item.layout().addWidget(button)
        self._iface.messageBar().pushWidget(item, level, 0 if level == Qgis.MessageLevel.Critical else 15)

    def _message(self, sentence: str) -> QgsMessageBarItem:
        item = self._iface.messageBar().createMessage("weft-geo", sentence)
        item.setObjectName(_MESSAGE)
        return item

    def _forget_messages(self) -> None:
        """Take away what was said of earlier runs. QGIS keeps a failure above all that comes later."""
        bar = self._iface.messageBar()
        for item in [item for item in bar.items() if item.objectName() == _MESSAGE]:
            bar.popWidget(item)
