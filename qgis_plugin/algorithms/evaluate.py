"""`weft-geo evaluate` as an algorithm."""

from __future__ import annotations

import json
from pathlib import Path

from qgis.core import (
    QgsProcessingOutputNumber,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterField,
    QgsProcessingParameterNumber,
    QgsProcessingParameterVectorDestination,
)

from ..arguments import Evaluate
from ..style import style_errors
from ..translation import tr
from ..versions import DOUBLE, POLYGONS
from .base import WeftGeoAlgorithm

_SCORES = {
    "F1": "f1",
    "PRECISION": "precision",
    "RECALL": "recall",
    "MEAN_IOU": "mean_iou",
    "AREA_IOU": "area_iou",
    "TRUE_POSITIVES": "true_positives",
    "FALSE_POSITIVES": "false_positives",
    "FALSE_NEGATIVES": "false_negatives",
}


class EvaluateAlgorithm(WeftGeoAlgorithm):
    """Objects against the true ones."""

    NAME = "evaluate"
    TITLE = tr("Score objects against true ones")
    HELP = tr(
        "Pairs the polygons of two layers one to one by their intersection over union (IoU), "
        "and counts how many are right. The area IoU compares what all objects of each layer "
        "cover, whichever object it belongs to.\n\n"
        "Where both layers have an attribute class, only objects of one class become pairs, "
        "and the log has the scores of each class. Class field names another attribute of "
        "the objects that are there; in the layer of those that were found it is the one of "
        "the same name, else class.\n\n"
        "With an extent or polygons only what lies inside counts: an object with half of its "
        "area or more, whole.\n\n"
        "Errors is a layer of all objects that count, coloured by what came of them: right, "
        "wrong or missed."
    )

    def initAlgorithm(self, configuration=None):  # noqa: N802
        """Declare the parameters."""
        self.addParameter(QgsProcessingParameterFeatureSource("OBJECTS", tr("Objects that were found"), [POLYGONS]))
        self.addParameter(QgsProcessingParameterFeatureSource("TRUTH", tr("Objects that are there"), [POLYGONS]))
        self.addParameter(QgsProcessingParameterField("CLASS_FIELD", tr("Class field"), None, "TRUTH", optional=True))
        self.add_area_parameters()
        self.addParameter(
            QgsProcessingParameterNumber("IOU", tr("Least IoU of a pair"), DOUBLE, 0.5, False, 0.001, 1.0)
        )
        self.addParameter(QgsProcessingParameterVectorDestination("ERRORS", tr("Errors"), POLYGONS, None, True, False))
        for name, key in _SCORES.items():
            self.addOutput(QgsProcessingOutputNumber(name, key.replace("_", " ")))

    def prepareAlgorithm(self, parameters, context, feedback):  # noqa: N802
        """Read everything that belongs to the main thread."""
        if parameters.get("OBJECTS") == parameters.get("TRUTH"):  # the dialog proposes the same layer for both
            feedback.pushWarning(
                tr("Both layers are the same, so all objects are right: choose the true ones for one of them.")
            )
        self._objects = self.polygons(parameters, "OBJECTS", context, may_be_empty=True)  # a run may find nothing
        self._truth = self.polygons(parameters, "TRUTH", context)
        found = self.parameterAsSource(parameters, "OBJECTS", context)
        self._aoi, _ = self.area(parameters, context, found.sourceCrs())
        self.note_files(parameters, context, "OBJECTS", "TRUTH", "AREA")
        return True

    def processAlgorithm(self, parameters, context, feedback):  # noqa: N802
        """Run it."""
        errors = self.output(parameters, "ERRORS", context)
        run = Evaluate(
            self._objects,
            self._truth,
            self.parameterAsDouble(parameters, "IOU", context),
            self.parameterAsString(parameters, "CLASS_FIELD", context),
            self._aoi,
            errors,
        )
        scores = json.loads(self.weft_geo(run, feedback, Path(errors) if errors else None))
        for key in _SCORES.values():
            feedback.pushInfo(f"{key.replace('_', ' ')}: {scores[key]:.4g}")
        for name, some in scores["classes"].items():
            figures = (f"{key.replace('_', ' ')} {some[key]:.4g}" for key in _SCORES.values())
            feedback.pushInfo(f"{name}: {', '.join(figures)}")
        results = {name: scores[key] for name, key in _SCORES.items()}
        if errors:
            self.style_when_loaded(errors, style_errors, context)
            results["ERRORS"] = errors
        return results
