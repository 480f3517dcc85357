"""A raster layer as a file that weft-geo opens: the layer's own, or an export of what it shows."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransformContext,
    QgsMapLayer,
    QgsProcessingFeedback,
    QgsProviderRegistry,
    QgsRasterBlockFeedback,
    QgsRasterFileWriter,
    QgsRasterLayer,
    QgsRasterPipe,
    QgsRectangle,
)

from .errors import CANCELLED, LayerError, RunCancelled
from .translation import tr
from .versions import RASTER_WRITTEN

ASK_ABOVE_BYTES = 500_000_000
"""An export above this size is asked about first."""

_EQUATOR_M = 40_075_016.685578488
_TILE_PX = 256
_ROUNDING = 1e-6  # of a pixel, by which an extent of whole pixels may exceed them
_GDAL_PREFIXES = ("/vsi", "NETCDF:", "HDF5:", "HDF4_SDS:", "GPKG:", "SENTINEL2_L", "NITF_IM:")


@dataclass(frozen=True)
class Scene:
    """Where weft-geo reads a layer.

    Attributes:
        path: A file, or what else GDAL opens; empty if the layer has to be exported first.
        crs: What to give as --crs, where the layer's CRS is not the file's own; else empty.
        export: How to export it; None if the file itself will do.
    """

    path: str
    crs: str = ""
    export: Export | None = None


@dataclass(frozen=True)
class Export:
    """A layer that is no file, as a GeoTIFF to be made. Made in the main thread, run in any.

    Attributes:
        pipe: Gives the pixels.
        crs: Of the layer.
        extent: In this CRS.
        columns: Width in pixels.
        rows: Height in pixels.
        bytes: About how large the file will be.
        rendered: It is pictures of a map service; what it did not send is transparent.
    """

    pipe: QgsRasterPipe
    crs: QgsCoordinateReferenceSystem
    extent: QgsRectangle
    columns: int
    rows: int
    bytes: int
    rendered: bool = False

    def write(self, path: Path, context: QgsCoordinateTransformContext, feedback: QgsProcessingFeedback) -> None:
        """Write the GeoTIFF.

        Raises:
            LayerError: It cannot be written.
            RunCancelled: The user stopped it.
        """
        watcher = QgsRasterBlockFeedback()
        feedback.canceled.connect(watcher.cancel)
        feedback.setProgressText(
            tr(
                "exporting {columns} × {rows} px, about {megabytes:.0f} MB",
                columns=self.columns,
                rows=self.rows,
                megabytes=self.bytes / 1e6,
            )
        )
        writer = QgsRasterFileWriter(str(path))
        writer.setOutputFormat("GTiff")
        writer.setCreateOptions(["COMPRESS=LZW", "TILED=YES", "BIGTIFF=IF_SAFER"])
        error = writer.writeRaster(self.pipe, self.columns, self.rows, self.extent, self.crs, context, watcher)
        if feedback.isCanceled():
            path.unlink(missing_ok=True)
            raise RunCancelled(CANCELLED)
        if error != RASTER_WRITTEN:
            path.unlink(missing_ok=True)
            raise LayerError(
                tr(
                    "The layer could not be exported to {folder} ({error}): look whether there is room on that disk.",
                    folder=path.parent,
                    error=error,
                )
            )
        if self.rendered:
            exported = QgsRasterLayer(str(path), "export")
            alpha = exported.dataProvider().bandStatistics(4)
            del exported  # so that the file can be removed on Windows too
            if alpha.maximumValue == 0:
                path.unlink(missing_ok=True)
                raise LayerError(
                    tr(
                        "The map service sent no picture of the chosen area: look whether it can be reached, "
                        "and whether it has this area at its finest zoom level."
                    )
                )
            if alpha.minimumValue == 0:
                feedback.pushWarning(
                    tr("The map service did not send all of the area; nothing is found where it did not.")
                )


def describe_scene(layer: QgsRasterLayer, extent: QgsRectangle | None = None) -> Scene:
    """Decide how weft-geo reads a layer. Call it from the main thread.

    Args:
        layer: A raster layer.
        extent: The wanted part in the layer's CRS; None for all of it.

    Raises:
        LayerError: It cannot be read, and why.
    """
    if not layer.isValid():
        raise LayerError(tr("The layer {layer} cannot be opened: mend its data source first.", layer=layer.name()))
    if not layer.crs().isValid():
        raise LayerError(
            tr("The layer {layer} has no CRS: set it with Layer ▸ Set CRS of Layer(s).", layer=layer.name())
        )
    if extent is not None and not extent.intersects(layer.extent()):
        raise LayerError(
            tr("The layer {layer} does not reach into the chosen area: choose another one.", layer=layer.name())
        )
    path = _file_of(layer)
    if path:
        return Scene(path, _crs_words(layer))
    return Scene("", "", _plan_export(layer, extent))


def file_of(layer: QgsMapLayer) -> Path | None:
    """The file that a layer is in, one of several maybe; None if it is in none."""
    path = QgsProviderRegistry.instance().decodeUri(layer.providerType(), layer.source()).get("path")
    return Path(str(path)) if path else None


def _file_of(layer: QgsRasterLayer) -> str:
    """The layer's file, or empty if it is none that another program can open."""
    if layer.providerType() != "gdal":
        return ""
    source = layer.dataProvider().dataSourceUri()
    parts = QgsProviderRegistry.instance().decodeUri("gdal", source)
    path = str(parts.get("path") or source)
    if parts.get("layerName") or parts.get("vsiPrefix"):  # a path is only a part of where it is
        return source
    return path if Path(path).is_file() or path.startswith(_GDAL_PREFIXES) or path.startswith("http") else ""


def _crs_words(layer: QgsRasterLayer) -> str:
    own = layer.dataProvider().crs()
    if own.isValid() and own == layer.crs():
        return ""
    authid = layer.crs().authid()
    if authid and not authid.startswith("USER:"):  # a number in this QGIS' own list
        return authid
    return layer.crs().toWkt(QgsCoordinateReferenceSystem.WktVariant.WKT_PREFERRED)


def _plan_export(layer: QgsRasterLayer, extent: QgsRectangle | None) -> Export:
    provider = layer.dataProvider()
    pixel = _pixel_size(layer)
    if extent is None and not provider.xSize():
        raise LayerError(
            tr("The layer {layer} has no end of its own: choose the map's extent or draw a box.", layer=layer.name())
        )
    wanted = layer.extent() if extent is None else extent.intersect(layer.extent())
    columns, rows = (max(1, math.ceil(side / pixel - _ROUNDING)) for side in (wanted.width(), wanted.height()))
    extent = QgsRectangle(
        wanted.xMinimum(),
        wanted.yMaximum() - rows * pixel,
        wanted.xMinimum() + columns * pixel,
        wanted.yMaximum(),
    )
    rendered = not provider.xSize()  # map tiles are pictures; a raster of another kind has values of its own
    pipe = QgsRasterPipe()
    pipe.set(provider.clone())
    if rendered:
        pipe.set(layer.renderer().clone())
    bands = range(1, provider.bandCount() + 1)
    cell = 4 if rendered else sum(provider.dataTypeSize(band) for band in bands)
    return Export(pipe, layer.crs(), extent, columns, rows, columns * rows * cell, rendered)


def _pixel_size(layer: QgsRasterLayer) -> float:
    """Side of a pixel in the units of the layer's CRS."""
    if layer.dataProvider().xSize():
        return layer.rasterUnitsPerPixelX()
    tiles = re.search(r"(?:^|&)type=xyz(?:&|$)", layer.source())
    if not tiles:
        raise LayerError(
            tr(
                "The layer {layer} is a map service without a resolution of its own: save the part "
                "you need with Layer ▸ Save As (rendered image), and use that file.",
                layer=layer.name(),
            )
        )
    deepest = re.search(r"(?:^|&)zmax=(\d+)", layer.source())
    return _EQUATOR_M / _TILE_PX / 2 ** int(deepest.group(1) if deepest else 18)
