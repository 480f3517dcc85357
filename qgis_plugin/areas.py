"""Polygons of a layer as a file that weft-geo opens, unsaved edits and memory layers included."""

from __future__ import annotations

from pathlib import Path

from qgis.core import (
    QgsCoordinateTransformContext,
    QgsFeatureRequest,
    QgsFeatureSource,
    QgsRectangle,
    QgsVectorFileWriter,
)

from .errors import LayerError
from .translation import tr


def write_polygons(
    source: QgsFeatureSource, path: Path, context: QgsCoordinateTransformContext, may_be_empty: bool = False
) -> None:
    """Write the features of a source as a GeoPackage with one layer, called `objects`.

    Args:
        source: A layer, its selection, or anything else that Processing takes; of polygons.
        path: The .gpkg to write.
        context: Of the project.
        may_be_empty: That it holds no feature is no error.

    Raises:
        LayerError: It holds no feature, has no CRS, or cannot be written.
    """
    name = source.sourceName()
    if not source.sourceCrs().isValid():
        raise LayerError(tr("The layer {name} has no CRS: set it with Layer ▸ Set CRS of Layer(s).", name=name))
    if source.featureCount() == 0 and not may_be_empty:
        raise LayerError(tr("The layer {name} gives no polygon: select some, or use the whole layer.", name=name))
    options = QgsVectorFileWriter.SaveVectorOptions()
    options.driverName, options.layerName = "GPKG", "objects"
    # Names that none of theirs has, whose values need not be unique. To SQLite Name and name are one; the first stays.
    names = [field.name().lower() for field in source.fields()]
    options.layerOptions = [f"FID={_free('row', names)}", f"GEOMETRY_NAME={_free('geom', names)}"]
    if len(set(names)) < len(names):
        options.attributes = [index for index, given in enumerate(names) if given not in names[:index]]
    copy = source.materialize(QgsFeatureRequest())
    code, message, *_ = QgsVectorFileWriter.writeAsVectorFormatV3(copy, str(path), context, options)
    if code != QgsVectorFileWriter.WriterError.NoError:
        raise LayerError(
            tr(
                "The polygons of {name} could not be written to {folder}: {reason}.",
                name=name,
                folder=path.parent,
                reason=" ".join(message.split()),
            )
        )


def _free(name: str, taken: list[str]) -> str:
    while name in taken:
        name += "_"
    return name


def box_words(extent: QgsRectangle) -> str:
    """A rectangle as --aoi takes it."""
    sides = (extent.xMinimum(), extent.yMinimum(), extent.xMaximum(), extent.yMaximum())
    return ",".join(f"{side:.17g}" for side in sides)
