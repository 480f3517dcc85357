"""What all algorithms share: a temporary folder, a child process, and failures as one sentence."""

from __future__ import annotations

from pathlib import Path

from qgis.core import (
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeatureSourceDefinition,
    QgsProcessingFeedback,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterNumber,
    QgsProcessingParameterVectorDestination,
    QgsRasterLayer,
    QgsRectangle,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QTemporaryDir
from qgis.PyQt.QtGui import QIcon

from ..areas import write_polygons
from ..arguments import Evaluate, Outlines, Predict, Train, Vectorize
from ..errors import PluginError
from ..run import run_weft_geo
from ..scenes import ASK_ABOVE_BYTES, Scene, describe_scene, file_of
from ..style import new_styler
from ..versions import ADVANCED, DOUBLE, POLYGONS

ICON = Path(__file__).parents[1] / "icon.svg"


class WeftGeoAlgorithm(QgsProcessingAlgorithm):
    """An algorithm that runs a command of weft-geo. Subclasses give `NAME`, `TITLE` and `HELP`."""

    NAME = TITLE = HELP = ""

    def __init__(self) -> None:
        super().__init__()
        self._folder: QTemporaryDir | None = None

    def name(self):
        """The id."""
        return self.NAME

    def displayName(self):  # noqa: N802
        """The title."""
        return self.TITLE

    def shortHelpString(self):  # noqa: N802
        """The text beside the dialog."""
        return self.HELP

    def icon(self):
        """The plugin's."""
        return QIcon(str(ICON))

    def createInstance(self):  # noqa: N802
        """One for each run."""
        return type(self)()

    @property
    def folder(self) -> Path:
        """A folder that lives as long as the algorithm."""
        if self._folder is None:
            self._folder = QTemporaryDir()
        return Path(self._folder.path())

    def weft_geo(
        self,
        run: Predict | Vectorize | Train | Evaluate,
        feedback: QgsProcessingFeedback,
        output: Path | None = None,
        grace_s: float | None = None,
    ) -> str:
        """Run a command; what fails is a sentence.

        Raises:
            QgsProcessingException: It failed or was cancelled.
        """
        try:
            return run_weft_geo(run.words(), feedback, output, grace_s=grace_s)
        except PluginError as error:
            raise QgsProcessingException(str(error)) from error

    def scene(
        self, layer: QgsRasterLayer | None, extent: QgsRectangle | None, feedback: QgsProcessingFeedback
    ) -> Scene:
        """How a raster layer is read. For `prepareAlgorithm`, which runs in the main thread.

        Raises:
            QgsProcessingException: It cannot be.
        """
        if layer is None:
            raise QgsProcessingException("The raster layer cannot be opened: choose another one.")
        try:
            scene = describe_scene(layer, extent)
        except PluginError as error:
            raise QgsProcessingException(str(error)) from error
        if scene.export and scene.export.bytes > ASK_ABOVE_BYTES:
            feedback.pushWarning(f"{layer.name()} is exported first, about {scene.export.bytes / 1e6:.0f} MB.")
        return scene

    def path_of(self, scene: Scene, context: QgsProcessingContext, feedback: QgsProcessingFeedback) -> str:
        """The file of a scene, exported if it has none. For `processAlgorithm`.

        Raises:
            QgsProcessingException: The export failed or was cancelled.
        """
        if scene.export is None:
            return scene.path
        path = self.folder / "scene.tif"
        try:
            scene.export.write(path, context.transformContext(), feedback)
        except PluginError as error:
            raise QgsProcessingException(str(error)) from error
        return str(path)

    def polygons(self, parameters: dict, name: str, context: QgsProcessingContext) -> Path:
        """The polygons of a source parameter, as a file.

        Raises:
            QgsProcessingException: There are none, or they cannot be written.
        """
        source = self.parameterAsSource(parameters, name, context)
        if source is None:
            raise QgsProcessingException(self.invalidSourceError(parameters, name))
        path = self.folder / f"{name.lower()}.gpkg"
        try:
            write_polygons(source, path, context.transformContext())
        except PluginError as error:
            raise QgsProcessingException(str(error)) from error
        return path

    def add_outline_parameters(self) -> None:
        """Add what makes an object."""
        number = QgsProcessingParameterNumber
        own = "(empty: the model's own)"
        self.addParameter(number("THRESHOLD", f"Least probability {own}", DOUBLE, None, True, 0.001, 1.0))
        self.addParameter(number("MIN_AREA", f"Drop objects smaller than (m²) {own}", DOUBLE, None, True, 0.0))
        self.addParameter(number("SIMPLIFY", "Simplify by (metres)", DOUBLE, 0.0, False, 0.0))
        self.addParameter(QgsProcessingParameterBoolean("REGULARIZE", "Right angles", False))
        self.add_advanced(number("MIN_HOLE", "Fill holes smaller than (m²)", DOUBLE, 0.0, False, 0.0))
        self.add_advanced(QgsProcessingParameterBoolean("SUBPIXEL", "Outlines between pixels", False))

    def outlines(self, parameters: dict, context: QgsProcessingContext) -> Outlines:
        """What `add_outline_parameters` was answered."""

        def unless_empty(name: str) -> float | None:
            return None if parameters.get(name) in (None, "") else self.parameterAsDouble(parameters, name, context)

        return Outlines(
            threshold=unless_empty("THRESHOLD"),
            min_area_m2=unless_empty("MIN_AREA"),
            min_hole_m2=self.parameterAsDouble(parameters, "MIN_HOLE", context),
            simplify_m=self.parameterAsDouble(parameters, "SIMPLIFY", context),
            regularize=self.parameterAsBoolean(parameters, "REGULARIZE", context),
            subpixel=self.parameterAsBoolean(parameters, "SUBPIXEL", context),
        )

    def add_advanced(self, parameter: QgsProcessingParameterDefinition) -> None:
        """Add a parameter that few need."""
        parameter.setFlags(parameter.flags() | ADVANCED)
        self.addParameter(parameter)

    def note_files(self, parameters: dict, context: QgsProcessingContext) -> None:
        """Remember which files the scene and the area are in. For `prepareAlgorithm`: later, they may be gone."""
        area = parameters.get("AREA")
        if isinstance(area, QgsProcessingFeatureSourceDefinition):  # the toolbox's own way, selection or not
            area = area.source
        scene = self.parameterAsRasterLayer(parameters, "INPUT", context)
        layers = (scene, self.parameterAsVectorLayer({"AREA": area}, "AREA", context))
        self._read = {file_of(layer): layer.name() for layer in layers if layer is not None}

    def output(self, parameters: dict, context: QgsProcessingContext) -> str:
        """The path of the objects, letter for letter as QGIS gave it.

        Raises:
            QgsProcessingException: The scene or the area is in that file, and would be replaced.
        """
        output = self.parameterAsOutputLayer(parameters, "OUTPUT", context)
        if name := self._read.get(Path(output)):
            raise QgsProcessingException(f"{output} holds the layer {name}, which is read: choose another file.")
        return output

    def add_objects_output(self) -> None:
        """Add the layer of objects."""
        self.addParameter(QgsProcessingParameterVectorDestination("OUTPUT", "Objects", POLYGONS))

    def objects_result(self, output: str, context: QgsProcessingContext) -> dict:
        """The results of an algorithm that wrote objects; styles the layer where the toolbox loads it.

        Args:
            output: The path, letter for letter as QGIS gave it, by which it knows what it will load.
            context: Of the run.
        """
        if context.willLoadLayerOnCompletion(output):
            context.layerToLoadOnCompletionDetails(output).setPostProcessor(new_styler())
        return {"OUTPUT": output, "OBJECTS": QgsVectorLayer(output, "objects", "ogr").featureCount()}
