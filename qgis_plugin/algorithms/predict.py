"""`weft-geo predict` as an algorithm."""

from __future__ import annotations

from pathlib import Path

from qgis.core import (
    QgsCoordinateTransform,
    QgsProcessingException,
    QgsProcessingOutputNumber,
    QgsProcessingParameterExtent,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
)

from ..areas import box_words
from ..arguments import Predict
from ..versions import POLYGONS
from .base import WeftGeoAlgorithm


class PredictAlgorithm(WeftGeoAlgorithm):
    """A raster layer to objects."""

    NAME = "predict"
    TITLE = "Find objects"
    HELP = (
        "Finds the objects of a raster layer and writes them as polygons with a score and their true area.\n\n"
        "The whole layer is searched, or the part inside an extent, or the part inside the polygons of a layer. "
        "Model is a name (embedded is the one that comes with weft-geo, for buildings) or the path of an .onnx or "
        ".safetensors file.\n\n"
        "Map services of tiles are exported at their finest zoom level first, and need an extent."
    )

    def initAlgorithm(self, configuration=None):  # noqa: N802
        """Declare the parameters."""
        self.addParameter(QgsProcessingParameterRasterLayer("INPUT", "Raster layer"))
        self.addParameter(QgsProcessingParameterExtent("EXTENT", "Only in this extent", None, True))
        self.addParameter(
            QgsProcessingParameterFeatureSource("AREA", "Only inside these polygons", [POLYGONS], None, True)
        )
        self.addParameter(QgsProcessingParameterString("MODEL", "Model", "embedded"))
        self.add_outline_parameters()
        self.add_advanced(QgsProcessingParameterString("BANDS", "Bands, such as 3,2,1", "", False, True))
        self.add_advanced(QgsProcessingParameterString("DEVICE", "Device: auto, cpu, cuda, cuda:1 …", "", False, True))
        self.add_advanced(QgsProcessingParameterString("MORE", "Further options of weft-geo predict", "", False, True))
        self.add_objects_output()
        self.addOutput(QgsProcessingOutputNumber("OBJECTS", "Number of objects"))

    def prepareAlgorithm(self, parameters, context, feedback):  # noqa: N802
        """Read everything that belongs to the main thread."""
        layer = self.parameterAsRasterLayer(parameters, "INPUT", context)
        has_extent, has_area = (parameters.get(name) not in (None, "") for name in ("EXTENT", "AREA"))
        if has_extent and has_area:
            raise QgsProcessingException("Give an extent or polygons, not both.")
        self._aoi, extent = "", None
        if has_extent and layer:
            extent = self.parameterAsExtent(parameters, "EXTENT", context, layer.crs())
            self._aoi = box_words(extent)
        elif has_area and layer:
            self._aoi = str(self.polygons(parameters, "AREA", context))
            source = self.parameterAsSource(parameters, "AREA", context)
            to_layer = QgsCoordinateTransform(source.sourceCrs(), layer.crs(), context.transformContext())
            extent = to_layer.transformBoundingBox(source.sourceExtent())
        self._scene = self.scene(layer, extent, feedback)
        self.note_files(parameters, context)
        return True

    def processAlgorithm(self, parameters, context, feedback):  # noqa: N802
        """Run it."""
        output = self.output(parameters, context)
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
