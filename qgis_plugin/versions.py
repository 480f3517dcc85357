"""Enumerations that moved to `Qgis` on the way from QGIS 3.22 to 4."""

from __future__ import annotations

from qgis.core import (
    Qgis,
    QgsEditFormConfig,
    QgsMapLayerProxyModel,
    QgsProcessing,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterNumber,
    QgsRasterFileWriter,
)

if hasattr(Qgis, "ProcessingSourceType"):  # 3.36
    POLYGONS = Qgis.ProcessingSourceType.VectorPolygon
    DOUBLE = Qgis.ProcessingNumberParameterType.Double
    INTEGER = Qgis.ProcessingNumberParameterType.Integer
    ADVANCED = Qgis.ProcessingParameterFlag.Advanced
else:
    POLYGONS = QgsProcessing.SourceType.TypeVectorPolygon
    DOUBLE = QgsProcessingParameterNumber.Type.Double
    INTEGER = QgsProcessingParameterNumber.Type.Integer
    ADVANCED = QgsProcessingParameterDefinition.Flag.FlagAdvanced

if hasattr(Qgis, "AttributeFormSuppression"):  # 3.32
    NO_FORM = Qgis.AttributeFormSuppression.On
else:
    NO_FORM = QgsEditFormConfig.FeatureFormSuppress.SuppressOn

if hasattr(Qgis, "LayerFilter"):  # 3.34
    RASTER_LAYERS, POLYGON_LAYERS = Qgis.LayerFilter.RasterLayer, Qgis.LayerFilter.PolygonLayer
else:
    RASTER_LAYERS = QgsMapLayerProxyModel.Filter.RasterLayer
    POLYGON_LAYERS = QgsMapLayerProxyModel.Filter.PolygonLayer

if hasattr(Qgis, "RasterFileWriterResult"):  # 3.40
    RASTER_WRITTEN = Qgis.RasterFileWriterResult.Success
else:
    RASTER_WRITTEN = QgsRasterFileWriter.WriterError.NoError
