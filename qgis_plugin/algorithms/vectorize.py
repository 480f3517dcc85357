"""`weft-geo vectorize` as an algorithm."""

from __future__ import annotations

from pathlib import Path

from qgis.core import QgsProcessingOutputNumber, QgsProcessingParameterRasterLayer, QgsProcessingParameterString

from ..arguments import Vectorize
from ..translation import tr
from .base import WeftGeoAlgorithm


class VectorizeAlgorithm(WeftGeoAlgorithm):
    """A mask, class map or probability raster to objects."""

    NAME = "vectorize"
    TITLE = tr("Outline a mask")
    HELP = tr(
        "Outlines the objects of a raster: a mask (0 and 1, or 0 and 255), a class map, or "
        "probabilities (0 to 1, or bytes that stand for 0 to 1).\n\n"
        "Classes are the names of the values 1, 2 …, with commas between; giving them makes "
        "the raster a class map."
    )

    def initAlgorithm(self, configuration=None):  # noqa: N802
        """Declare the parameters."""
        self.addParameter(QgsProcessingParameterRasterLayer("INPUT", tr("Mask, class map or probabilities")))
        self.addParameter(QgsProcessingParameterString("CLASSES", tr("Names of the classes"), "", False, True))
        self.add_outline_parameters(tr("the raster's own, else 0.5"), tr("the raster's own, else none"))
        self.add_objects_output()
        self.addOutput(QgsProcessingOutputNumber("OBJECTS", tr("Number of objects")))

    def prepareAlgorithm(self, parameters, context, feedback):  # noqa: N802
        """Read everything that belongs to the main thread."""
        self._scene = self.scene(self.parameterAsRasterLayer(parameters, "INPUT", context), None, feedback)
        self.note_files(parameters, context, "INPUT")
        return True

    def processAlgorithm(self, parameters, context, feedback):  # noqa: N802
        """Run it."""
        output = self.output(parameters, "OUTPUT", context)
        run = Vectorize(
            raster=self.path_of(self._scene, context, feedback),
            output=Path(output),
            outlines=self.outlines(parameters, context),
            classes=self.parameterAsString(parameters, "CLASSES", context),
            crs=self._scene.crs,
        )
        self.weft_geo(run, feedback, run.output)
        return self.objects_result(output, context)
