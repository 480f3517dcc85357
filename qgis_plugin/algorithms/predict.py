"""`weft-geo predict` as an algorithm."""

from __future__ import annotations

from pathlib import Path

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsProcessingOutputNumber,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
)

from ..arguments import Predict
from ..translation import tr
from .base import WeftGeoAlgorithm


class PredictAlgorithm(WeftGeoAlgorithm):
    """A raster layer to objects."""

    NAME = "predict"
    TITLE = tr("Find objects")
    HELP = tr(
        "Finds the objects of a raster layer and writes them as polygons with a score and "
        "their true area.\n\n"
        "The whole layer is searched, or the part inside an extent, or the part inside the "
        "polygons of a layer. Model is a name (embedded is the one that comes with weft-geo, "
        "for buildings) or the path of an .onnx or .safetensors file.\n\n"
        "Map services of tiles are exported at their finest zoom level first, and need an "
        "extent."
    )

    def initAlgorithm(self, configuration=None):  # noqa: N802
        """Declare the parameters."""
        self.addParameter(QgsProcessingParameterRasterLayer("INPUT", tr("Raster layer")))
        self.add_area_parameters()
        self.addParameter(QgsProcessingParameterString("MODEL", tr("Model"), "embedded"))
        self.add_outline_parameters(tr("the model's own"), tr("the model's own"))
        self.add_advanced(QgsProcessingParameterString("BANDS", tr("Bands, such as 3,2,1"), "", False, True))
        self.add_advanced(
            QgsProcessingParameterString("DEVICE", tr("Device: auto, cpu, cuda, cuda:1 …"), "", False, True)
        )
        self.add_advanced(
            QgsProcessingParameterString("MORE", tr("Further options of weft-geo predict"), "", False, True)
        )
        self.add_objects_output()
        self.addOutput(QgsProcessingOutputNumber("OBJECTS", tr("Number of objects")))

    def prepareAlgorithm(self, parameters, context, feedback):  # noqa: N802
        """Read everything that belongs to the main thread."""
        layer = self.parameterAsRasterLayer(parameters, "INPUT", context)
        crs = layer.crs() if layer else QgsCoordinateReferenceSystem()
        self._aoi, extent = self.area(parameters, context, crs)
        self._scene = self.scene(layer, extent, feedback)
        self.note_files(parameters, context, "INPUT", "AREA")
        return True

    def processAlgorithm(self, parameters, context, feedback):  # noqa: N802
        """Run it."""
        output = self.output(parameters, "OUTPUT", context)
        run = Predict(
            scene=self.path_of(self._scene, context, feedback),
            output=Path(output),
            model=self.parameterAsString(parameters, "MODEL", context) or "embedded",
            outlines=self.outlines(parameters, context),
            aoi=self._aoi,
            crs=self._scene.crs,
            bands=self.parameterAsString(parameters, "BANDS", context),
            device=self.parameterAsString(parameters, "DEVICE", context),
            more=self.parameterAsString(parameters, "MORE", context),
        )
        self.weft_geo(run, feedback, run.output)
        return self.objects_result(output, context)
