"""The provider `weft_geo` of the Processing toolbox."""

from __future__ import annotations

from qgis.core import QgsProcessingProvider
from qgis.PyQt.QtGui import QIcon

from .algorithms.base import ICON
from .algorithms.evaluate import EvaluateAlgorithm
from .algorithms.predict import PredictAlgorithm
from .algorithms.train import TrainAlgorithm
from .algorithms.vectorize import VectorizeAlgorithm

PROVIDER_ID = "weft_geo"


class WeftGeoProvider(QgsProcessingProvider):
    """Gives QGIS the algorithms."""

    def id(self):
        """The id, which is the first word of every algorithm's."""
        return PROVIDER_ID

    def name(self):
        """The name in the toolbox."""
        return "weft-geo"

    def icon(self):
        """The plugin's."""
        return QIcon(str(ICON))

    def loadAlgorithms(self):  # noqa: N802
        """Add them all."""
        for algorithm in (PredictAlgorithm, VectorizeAlgorithm, TrainAlgorithm, EvaluateAlgorithm):
            self.addAlgorithm(algorithm())

    def supportedOutputVectorLayerExtensions(self):  # noqa: N802
        """Those that both weft-geo writes and QGIS reads everywhere."""
        return ["gpkg", "fgb", "geojson", "shp"]

    def supportsNonFileBasedOutput(self):  # noqa: N802
        """The child process writes files."""
        return False
