"""`weft-geo evaluate` as an algorithm."""

from __future__ import annotations

import json

from qgis.core import (
    QgsProcessingOutputNumber,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterNumber,
)

from ..arguments import Evaluate
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
    TITLE = "Score objects against true ones"
    HELP = (
        "Pairs the polygons of two layers one to one by their intersection over union (IoU), and counts how many are "
        "right. The area IoU compares what all objects of each layer cover, whichever object it belongs to. Where both "
        "layers have an attribute class, only objects of one class become pairs."
    )

    def initAlgorithm(self, configuration=None):  # noqa: N802
        """Declare the parameters."""
        self.addParameter(QgsProcessingParameterFeatureSource("OBJECTS", "Objects that were found", [POLYGONS]))
        self.addParameter(QgsProcessingParameterFeatureSource("TRUTH", "Objects that are there", [POLYGONS]))
        self.addParameter(QgsProcessingParameterNumber("IOU", "Least IoU of a pair", DOUBLE, 0.5, False, 0.001, 1.0))
        for name, key in _SCORES.items():
            self.addOutput(QgsProcessingOutputNumber(name, key.replace("_", " ")))

    def prepareAlgorithm(self, parameters, context, feedback):  # noqa: N802
        """Read everything that belongs to the main thread."""
        self._objects, self._truth = (self.polygons(parameters, name, context) for name in ("OBJECTS", "TRUTH"))
        return True

    def processAlgorithm(self, parameters, context, feedback):  # noqa: N802
        """Run it."""
        run = Evaluate(self._objects, self._truth, self.parameterAsDouble(parameters, "IOU", context))
        scores = json.loads(self.weft_geo(run, feedback))
        results = {name: scores[key] for name, key in _SCORES.items()}
        for name, value in results.items():
            feedback.pushInfo(f"{name.lower().replace('_', ' ')}: {value:.4g}")
        return results
