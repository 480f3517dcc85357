"""`weft-geo train` as an algorithm."""

from __future__ import annotations

import shutil
from pathlib import Path

from qgis.core import (
    QgsProcessingException,
    QgsProcessingOutputFile,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
)

from ..arguments import Train
from ..training_runs import MODEL, TRAINING_STEPS, can_go_on
from ..translation import tr
from ..versions import INTEGER, POLYGONS
from .base import WeftGeoAlgorithm

STEP_S = 120.0
"""Seconds that a cancelled run has at most to end its step, or its validation picture, and to save it."""


class TrainAlgorithm(WeftGeoAlgorithm):
    """A raster layer and polygons to a model."""

    NAME = "train"
    TITLE = tr("Train on polygons")
    HELP = tr(
        "Teaches a model the objects of a raster layer from polygons that show where they "
        "are. Draw every object of the scene, or of the part that you cut out: what has no "
        "polygon is taken for background.\n\n"
        "The folder, a new one, holds the run: its curves, and in the end model.onnx, which "
        "Find objects takes. A folder with a run that was stopped goes on with it, on the "
        "polygons and to the step it began with.\n\nNeeds weft-geo with its train extra."
    )

    def initAlgorithm(self, configuration=None):  # noqa: N802
        """Declare the parameters."""
        self.addParameter(QgsProcessingParameterRasterLayer("INPUT", tr("Raster layer")))
        self.addParameter(QgsProcessingParameterFeatureSource("LABELS", tr("Polygons of all its objects"), [POLYGONS]))
        self.addParameter(QgsProcessingParameterNumber("STEPS", tr("Steps"), INTEGER, TRAINING_STEPS, False, 1))
        self.add_advanced(
            QgsProcessingParameterString("MORE", tr("Further options of weft-geo train"), "", False, True)
        )
        self.addParameter(QgsProcessingParameterFolderDestination("OUTPUT", tr("Folder of the run")))
        self.addOutput(QgsProcessingOutputFile("MODEL", tr("Model")))

    def prepareAlgorithm(self, parameters, context, feedback):  # noqa: N802
        """Read everything that belongs to the main thread."""
        self._scene = self.scene(self.parameterAsRasterLayer(parameters, "INPUT", context), None, feedback)
        self._labels = self.polygons(parameters, "LABELS", context)
        return True

    def processAlgorithm(self, parameters, context, feedback):  # noqa: N802
        """Run it."""
        folder, beside = Path(self.parameterAsString(parameters, "OUTPUT", context)), []
        more = self.parameterAsString(parameters, "MORE", context)
        if can_go_on(folder):
            feedback.pushInfo(tr("Going on with the run in {folder}.", folder=folder))
            run = Train(folder, more=more)
        elif folder.is_dir() and any(folder.iterdir()):
            raise QgsProcessingException(tr("{folder} is not empty: choose a new folder for the run.", folder=folder))
        else:
            # A run wants its folder empty; what it learns from lies beside, so that it can go on another day.
            images = self.path_of(self._scene, context, feedback)
            try:
                folder.parent.mkdir(parents=True, exist_ok=True)
                if self._scene.export is not None:
                    beside.append(images := shutil.move(images, folder.with_name(f"{folder.name}_scene.tif")))
                beside.append(labels := shutil.copy(self._labels, folder.with_name(f"{folder.name}_labels.gpkg")))
            except OSError as error:
                raise QgsProcessingException(
                    tr(
                        "{folder} cannot be written to ({reason}): choose another folder for {name}.",
                        folder=folder.parent,
                        reason=error.strerror,
                        name=folder.name,
                    )
                ) from error
            steps = self.parameterAsInt(parameters, "STEPS", context)
            run = Train(folder, str(images), Path(labels), steps, more)
        try:
            self.weft_geo(run, feedback, folder, STEP_S)
        except QgsProcessingException:
            if not can_go_on(folder):
                for path in beside:
                    Path(path).unlink(missing_ok=True)
            raise
        return {"OUTPUT": str(folder), "MODEL": str(folder / MODEL)}
