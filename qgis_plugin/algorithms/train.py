"""`weft-geo train` as an algorithm."""

from __future__ import annotations

from pathlib import Path

from qgis.core import (
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
)

from ..arguments import Train
from ..versions import POLYGONS
from .base import WeftGeoAlgorithm


class TrainAlgorithm(WeftGeoAlgorithm):
    """A raster layer and polygons to a model."""

    NAME = "train"
    TITLE = "Train on polygons"
    HELP = (
        "Teaches a model the objects of a raster layer from polygons that show where they are. Draw every object of a "
        "part of the scene: what has no polygon is taken for background.\n\nNeeds weft-geo with its train extra."
    )

    def initAlgorithm(self, configuration=None):  # noqa: N802
        """Declare the parameters."""
        self.addParameter(QgsProcessingParameterRasterLayer("INPUT", "Raster layer"))
        self.addParameter(QgsProcessingParameterFeatureSource("LABELS", "Polygons of all its objects", [POLYGONS]))
        self.add_advanced(QgsProcessingParameterString("MORE", "Further options of weft-geo train", "", False, True))
        self.addParameter(
            QgsProcessingParameterFileDestination("OUTPUT", "Model", "Model (*.safetensors)", optional=False)
        )

    def prepareAlgorithm(self, parameters, context, feedback):  # noqa: N802
        """Read everything that belongs to the main thread."""
        self._scene = self.scene(self.parameterAsRasterLayer(parameters, "INPUT", context), None, feedback)
        self._labels = self.polygons(parameters, "LABELS", context)
        return True

    def processAlgorithm(self, parameters, context, feedback):  # noqa: N802
        """Run it."""
        output = Path(self.parameterAsFileOutput(parameters, "OUTPUT", context))
        run = Train(
            images=self.path_of(self._scene, context, feedback),
            labels=self._labels,
            output=output,
            more=self.parameterAsString(parameters, "MORE", context),
        )
        self.weft_geo(run.words(), feedback, output)
        return {"OUTPUT": str(output)}
