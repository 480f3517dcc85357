"""Hangs the plugin into QGIS: a toolbar button, a panel, the Processing provider and an options page."""

from __future__ import annotations

import threading

from qgis.core import QgsApplication, QgsProject, QgsRasterLayer
from qgis.gui import QgisInterface
from qgis.PyQt.QtCore import QObject, Qt, pyqtSignal
from qgis.PyQt.QtGui import QIcon
from qgis.PyQt.QtWidgets import QAction

from .algorithms.base import ICON
from .model_list import shipped_models
from .options_page import PAGE, OptionsFactory
from .panel import Panel
from .provider import WeftGeoProvider
from .runs import Runs
from .translation import tr

_MENU = "weft-geo"


class Listing(QObject):
    """Brings the list of models from a thread to the window's."""

    listed = pyqtSignal(list)

    def ask(self) -> None:
        """For the thread."""
        self.listed.emit(shipped_models())


class WeftGeoPlugin:
    """What QGIS loads.

    Args:
        iface: QGIS; None where there is no window, in `qgis_process`.
    """

    def __init__(self, iface: QgisInterface | None) -> None:
        self.iface = iface
        self.provider: WeftGeoProvider | None = None
        self.panel: Panel | None = None
        self.runs: Runs | None = None
        self._listing: Listing | None = None

    def initProcessing(self):  # noqa: N802
        """Add the algorithms; `qgis_process` calls nothing else."""
        self.provider = WeftGeoProvider()
        QgsApplication.processingRegistry().addProvider(self.provider)

    def initGui(self):  # noqa: N802
        """Add everything."""
        self.initProcessing()
        self.action = QAction(QIcon(str(ICON)), tr("Find objects with weft-geo"), self.iface.mainWindow())
        self.action.setObjectName("WeftGeoAction")
        self.action.setCheckable(True)
        self.action.triggered.connect(self.show_panel)
        self.iface.addToolBarIcon(self.action)
        self.iface.addPluginToRasterMenu(_MENU, self.action)
        self._options = OptionsFactory()
        self.iface.registerOptionsWidgetFactory(self._options)
        QgsProject.instance().readProject.connect(self._load_settings)

    def unload(self):
        """Take everything away, a run that goes on included."""
        if self.runs is not None:
            self.runs.end()
        QgsProject.instance().readProject.disconnect(self._load_settings)
        self._options.end()
        self.iface.unregisterOptionsWidgetFactory(self._options)
        self.iface.removePluginRasterMenu(_MENU, self.action)
        self.iface.removeToolBarIcon(self.action)
        self.action.deleteLater()
        if self.panel is not None:
            self.panel.area.close_tool()
            self.iface.removeDockWidget(self.panel)
            self.panel.deleteLater()
            self.panel = self.runs = None
        QgsApplication.processingRegistry().removeProvider(self.provider)

    def show_panel(self, shown: bool = True) -> None:
        """Show the panel, or hide it; it is made at the first time."""
        if self.panel is None:
            self.panel = Panel(self.iface)
            self.runs = Runs(self.iface, self.panel)
            self.panel.options_wanted.connect(lambda: self.iface.showOptionsDialog(currentPage=PAGE))
            self.panel.visibilityChanged.connect(self.action.setChecked)
            self.panel.load_settings(QgsProject.instance())
            self.iface.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, self.panel)
            self._list_models()
        active = self.iface.activeLayer()
        if shown and isinstance(active, QgsRasterLayer):
            self.panel.layer.setLayer(active)
        self.panel.setUserVisible(shown)

    def _list_models(self) -> None:
        """Ask weft-geo for its models. It takes a second, and is nothing that the task manager need announce."""
        self._listing = Listing()
        self._listing.listed.connect(self._take_models)
        threading.Thread(target=self._listing.ask, daemon=True).start()

    def _take_models(self, models: list) -> None:
        if self.panel is not None:
            self.panel.show_models(models)

    def _load_settings(self) -> None:
        if self.panel is not None:
            self.panel.load_settings(QgsProject.instance())
