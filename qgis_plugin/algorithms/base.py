"""What all algorithms share: a temporary folder, a child process, and failures as one sentence."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeatureSourceDefinition,
    QgsProcessingFeedback,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterExtent,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterNumber,
    QgsProcessingParameterVectorDestination,
    QgsRasterLayer,
    QgsRectangle,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QTemporaryDir
from qgis.PyQt.QtGui import QIcon

from ..areas import box_words, write_polygons
from ..arguments import Evaluate, Outlines, Predict, Train, Vectorize
from ..errors import PluginError
from ..run import run_weft_geo
from ..scenes import ASK_ABOVE_BYTES, Scene, describe_scene, file_of
from ..style import new_styler, style_objects
from ..translation import tr
from ..versions import ADVANCED, DOUBLE, POLYGONS

_ESCAPE = re.compile("%[0-9a-f]{2}", re.IGNORECASE)  # SQLite is given the path as a URI
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
            raise QgsProcessingException(tr("The raster layer cannot be opened: choose another one."))
        try:
            scene = describe_scene(layer, extent)
        except PluginError as error:
            raise QgsProcessingException(str(error)) from error
        if scene.export and scene.export.bytes > ASK_ABOVE_BYTES:
            feedback.pushWarning(
                tr(
                    "{layer} is exported first, about {megabytes:.0f} MB.",
                    layer=layer.name(),
                    megabytes=scene.export.bytes / 1e6,
                )
            )
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

    def polygons(self, parameters: dict, name: str, context: QgsProcessingContext, may_be_empty: bool = False) -> Path:
        """The polygons of a source parameter, as a file.

        Raises:
            QgsProcessingException: There are none, unless that may be, or they cannot be written.
        """
        source = self.parameterAsSource(parameters, name, context)
        if source is None:
            raise QgsProcessingException(self.invalidSourceError(parameters, name))
        path = self.folder / f"{name.lower()}.gpkg"
        try:
            write_polygons(source, path, context.transformContext(), may_be_empty)
        except PluginError as error:
            raise QgsProcessingException(str(error)) from error
        return path

    def add_area_parameters(self) -> None:
        """Add the choice of a part: an extent, or polygons."""
        polygons = QgsProcessingParameterFeatureSource("AREA", tr("Only inside these polygons"), [POLYGONS], None, True)
        self.addParameter(QgsProcessingParameterExtent("EXTENT", tr("Only in this extent"), None, True))
        self.addParameter(polygons)

    def area(
        self, parameters: dict, context: QgsProcessingContext, crs: QgsCoordinateReferenceSystem
    ) -> tuple[str, QgsRectangle | None]:
        """What `add_area_parameters` was answered.

        Args:
            parameters: Of the run.
            context: Of the run.
            crs: Of what the part is of.

        Returns:
            What --aoi takes, and the box around it in that CRS; empty and None if nothing was answered.

        Raises:
            QgsProcessingException: Both were given, or the polygons cannot be used.
        """
        has_extent, has_area = (parameters.get(name) not in (None, "") for name in ("EXTENT", "AREA"))
        if has_extent and has_area:
            raise QgsProcessingException(tr("Give an extent or polygons, not both."))
        if has_extent:
            extent = self.parameterAsExtent(parameters, "EXTENT", context, crs)
            return box_words(extent), extent
        if has_area:
            path = self.polygons(parameters, "AREA", context)
            source = self.parameterAsSource(parameters, "AREA", context)
            to_crs = QgsCoordinateTransform(source.sourceCrs(), crs, context.transformContext())
            return str(path), to_crs.transformBoundingBox(source.sourceExtent())
        return "", None

    def add_outline_parameters(self, own_threshold: str, own_area: str) -> None:
        """Add what makes an object, with words for what it means to leave the first two empty."""
        number = QgsProcessingParameterNumber
        threshold = tr("Least probability (empty: {own})", own=own_threshold)
        area = tr("Drop objects smaller than (m²) (empty: {own})", own=own_area)
        self.addParameter(number("THRESHOLD", threshold, DOUBLE, None, True, 0.001, 1.0))
        self.addParameter(number("MIN_AREA", area, DOUBLE, None, True, 0.0))
        self.addParameter(number("SIMPLIFY", tr("Simplify by (metres)"), DOUBLE, 0.0, False, 0.0))
        self.addParameter(QgsProcessingParameterBoolean("REGULARIZE", tr("Right angles"), False))
        self.add_advanced(number("MIN_HOLE", tr("Fill holes smaller than (m²)"), DOUBLE, 0.0, False, 0.0))
        self.add_advanced(QgsProcessingParameterBoolean("SUBPIXEL", tr("Outlines between pixels"), False))

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

    def note_files(self, parameters: dict, context: QgsProcessingContext, *names: str) -> None:
        """Remember which files layers that are read are in. For `prepareAlgorithm`: later, they may be gone."""
        self._read = {}
        for name in names:
            given = parameters.get(name)
            if isinstance(given, QgsProcessingFeatureSourceDefinition):  # the toolbox's own way, selection or not
                given = given.source
            layer = self.parameterAsLayer({name: given}, name, context)
            if layer is not None:
                self._read[file_of(layer)] = layer.name()

    def output(self, parameters: dict, name: str, context: QgsProcessingContext) -> str:
        """The path of a layer to write, letter for letter as QGIS gave it; empty if none is wanted.

        Raises:
            QgsProcessingException: It holds a layer that is read, and would be replaced; or QGIS could not open it.
        """
        output = self.parameterAsOutputLayer(parameters, name, context)
        escape = _ESCAPE.search(output)
        if escape and output.lower().endswith(".gpkg"):
            raise QgsProcessingException(
                tr(
                    "{output} is no name for a GeoPackage, since QGIS takes {escape} for another letter: "
                    "choose a name without it, or .fgb.",
                    output=output,
                    escape=escape.group(),
                )
            )
        if name := self._read.get(Path(output)):
            raise QgsProcessingException(
                tr("{output} holds the layer {name}, which is read: choose another file.", output=output, name=name)
            )
        return output

    def add_objects_output(self) -> None:
        """Add the layer of objects."""
        self.addParameter(QgsProcessingParameterVectorDestination("OUTPUT", tr("Objects"), POLYGONS))

    def objects_result(self, output: str, context: QgsProcessingContext) -> dict:
        """The results of an algorithm that wrote objects there, as `output` gave it.

        Raises:
            QgsProcessingException: QGIS cannot open them.
        """
        layer = QgsVectorLayer(output, "objects", "ogr")
        if not layer.isValid():
            raise QgsProcessingException(
                tr(
                    "The objects are in {output}, which this QGIS cannot open: save to .gpkg, .fgb, "
                    ".geojson or .shp to see them.",
                    output=output,
                )
            )
        self.style_when_loaded(output, style_objects, context)
        return {"OUTPUT": output, "OBJECTS": layer.featureCount()}

    def style_when_loaded(
        self, output: str, style: Callable[[QgsVectorLayer], None], context: QgsProcessingContext
    ) -> None:
        """Have a layer styled where the toolbox loads it.

        Args:
            output: The path, letter for letter as QGIS gave it, by which it knows what it will load.
            style: How.
            context: Of the run.
        """
        if context.willLoadLayerOnCompletion(output):
            context.layerToLoadOnCompletionDetails(output).setPostProcessor(new_styler(style))
