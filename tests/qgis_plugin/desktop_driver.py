"""Runs inside the QGIS desktop, started with --code: says twice a second what the window shows, and ends on request.

It presses nothing. The test does, with the mouse, from outside.
"""

import json
import os
import time
from pathlib import Path

from qgis.core import QgsApplication, QgsProject, QgsRasterLayer, QgsVectorLayer
from qgis.PyQt.QtCore import QPoint, QTimer
from qgis.PyQt.QtWidgets import QApplication, QToolButton, QWidget
from qgis.utils import iface, plugins

FOLDER = Path(os.environ["WEFT_GEO_TEST_FOLDER"])
TICK_MS = 50
PLUGIN = "weft_geo_qgis"


class Driver:
    def __init__(self):
        self.last = time.monotonic()
        self.longest = 0.0
        self.loaded = False
        self.timer = QTimer()
        self.timer.timeout.connect(self.tick)
        self.timer.start(TICK_MS)

    def tick(self):
        now = time.monotonic()
        self.longest, self.last = max(self.longest, now - self.last), now
        if (FOLDER / "stop").exists():
            self.timer.stop()
            QgsProject.instance().clear()
            QgsApplication.exit(0)
        elif (FOLDER / "forget").exists():
            (FOLDER / "forget").unlink()
            self.longest = 0.0
        elif (FOLDER / "options").exists():
            (FOLDER / "options").unlink()
            QTimer.singleShot(0, plugins[PLUGIN].panel.options_wanted.emit)  # it comes back when the dialog is closed
        elif (FOLDER / "close").exists():
            (FOLDER / "close").unlink()
            QApplication.activeModalWidget().close()
        elif not self.loaded and PLUGIN in plugins:
            self.load()
        elif self.loaded:
            self.say()

    def load(self):
        self.loaded = True
        window = iface.mainWindow()
        window.showNormal()
        window.setGeometry(0, 0, 1400, 900)
        for dock in ("Browser",):
            window.findChild(object, dock).close()
        scene = QgsRasterLayer(os.environ["WEFT_GEO_TEST_SCENE"], "scene")
        QgsProject.instance().addMapLayer(scene)
        QgsProject.instance().setCrs(scene.crs())
        iface.setActiveLayer(scene)
        iface.mapCanvas().setExtent(scene.extent())
        iface.mapCanvas().refresh()

    def say(self):
        plugin = plugins[PLUGIN]
        buttons = [b for b in iface.pluginToolBar().findChildren(QToolButton) if b.defaultAction() is plugin.action]
        layers = [layer for layer in QgsProject.instance().mapLayers().values() if isinstance(layer, QgsVectorLayer)]
        state = {
            "pid": os.getpid(),
            "longest_s": self.longest,
            "button": [middle(button) for button in buttons if button.isVisible()],
            "drawing": iface.mapCanvas().isDrawing(),
            "layers": [[layer.name(), layer.crs().authid(), layer.featureCount(), layer.source()] for layer in layers],
            "page": page_of(QApplication.activeModalWidget()),
            "messages": [item.text() for item in iface.messageBar().items()],
        }
        panel = plugin.panel
        if panel is not None:
            state |= {
                "run": middle(panel.run) if panel.run.isVisible() and panel.run.isEnabled() else None,
                "cancel": middle(panel.cancel) if panel.cancel.isEnabled() else None,
                "percent": panel.progress.value() if panel.progress.isVisible() else None,
                "state": panel.state.text(),
            }
        beside = FOLDER / "state.part"
        beside.write_text(json.dumps(state))
        beside.replace(FOLDER / "state.json")


def middle(widget):
    point = widget.mapToGlobal(QPoint(widget.width() // 2, widget.height() // 2))
    return [point.x(), point.y()]


def page_of(dialog):
    """The text of the plugin's page in the options, if that is what is open."""
    for page in dialog.findChildren(QWidget, "WeftGeoOptions") if dialog else ():
        if hasattr(page, "state") and page.isVisible():  # newer QGIS gives the area that it scrolls in its name too
            return page.state.text()
    return None


driver = Driver()
