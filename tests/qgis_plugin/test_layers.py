"""Layers that are files, layers that are not, and layers that cannot be used."""

from __future__ import annotations

import math
import shutil
import zipfile

import pytest
from qgis.core import (
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsFeature,
    QgsGeometry,
    QgsProcessingException,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
    QgsReferencedRectangle,
    QgsVectorLayer,
)
from qgis.PyQt.QtGui import QImage

from weft_geo_qgis.areas import write_polygons
from weft_geo_qgis.errors import LayerError
from weft_geo_qgis.scenes import describe_scene

ZOOM = 18


def tiles(folder, picture) -> tuple[QgsRasterLayer, QgsRectangle]:
    """An XYZ layer of 2 x 2 tiles cut from a picture, and their extent in EPSG:3857."""
    image = QImage(str(picture)).scaled(512, 512)
    side = 40_075_016.685578488 / 2**ZOOM
    column, row = 192_000, 110_000
    for i in range(2):
        for j in range(2):
            target = folder / str(ZOOM) / str(column + i) / f"{row + j}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            assert image.copy(256 * i, 256 * j, 256, 256).save(str(target))
    west, north = column * side - 20_037_508.342789244, 20_037_508.342789244 - row * side
    source = f"type=xyz&url=file://{folder}/{{z}}/{{x}}/{{y}}.png&zmin={ZOOM}&zmax={ZOOM}"
    return QgsRasterLayer(source, "tiles", "wms"), QgsRectangle(west, north - 2 * side, west + 2 * side, north)


@pytest.fixture
def picture(sample, tmp_path):
    """The scene without its place: Qt reads the pixels of a PNG that GDAL made."""
    from osgeo import gdal

    gdal.UseExceptions()
    gdal.Translate(str(tmp_path / "scene.png"), str(sample / "scene.tif"), format="PNG")
    (tmp_path / "scene.png.aux.xml").unlink()
    return tmp_path / "scene.png"


def test_a_file_is_used_as_it_is(sample):
    scene = describe_scene(QgsRasterLayer(str(sample / "scene.tif"), "scene"))
    assert (scene.path, scene.crs, scene.export) == (str(sample / "scene.tif"), "", None)


def test_an_area_beside_a_file(sample):
    layer = QgsRasterLayer(str(sample / "scene.tif"), "scene")
    with pytest.raises(LayerError, match="The layer scene does not reach into the chosen area: choose another one"):
        describe_scene(layer, QgsRectangle(1, 1, 2, 2))


def test_a_file_with_a_crs_of_the_users_choice(sample):
    layer = QgsRasterLayer(str(sample / "scene.tif"), "scene")
    layer.setCrs(QgsCoordinateReferenceSystem("EPSG:32644"))
    assert describe_scene(layer).crs == "EPSG:32644"


def test_a_file_without_a_crs(picture):
    layer = QgsRasterLayer(str(picture), "picture")
    layer.setCrs(QgsCoordinateReferenceSystem())
    with pytest.raises(LayerError, match="picture has no CRS: set it with Layer"):
        describe_scene(layer)
    layer.setCrs(QgsCoordinateReferenceSystem("EPSG:32645"))
    assert describe_scene(layer).crs == "EPSG:32645"


def test_a_layer_whose_file_has_gone(sample, tmp_path):
    shutil.copy(sample / "scene.tif", tmp_path / "gone.tif")
    layer = QgsRasterLayer(str(tmp_path / "gone.tif"), "gone")
    (tmp_path / "gone.tif").unlink()
    layer.setDataSource(str(tmp_path / "gone.tif"), "gone", "gdal")
    with pytest.raises(LayerError, match="gone cannot be opened: mend its data source"):
        describe_scene(layer)


def test_tiles_of_a_map_service_are_exported_and_searched(run_algorithm, picture, tmp_path):
    layer, extent = tiles(tmp_path / "tiles", picture)
    assert layer.isValid()
    scene = describe_scene(layer, extent)
    assert (scene.export.columns, scene.export.rows, scene.export.bytes) == (512, 512, 512 * 512 * 4)
    box = QgsReferencedRectangle(extent, QgsCoordinateReferenceSystem("EPSG:3857"))
    found = run_algorithm("predict", INPUT=layer, EXTENT=box, OUTPUT=str(tmp_path / "o.gpkg"))
    objects = QgsVectorLayer(found["OUTPUT"])
    assert objects.featureCount() > 0
    assert objects.crs().authid() == "EPSG:3857"
    assert extent.buffered(0.01).contains(objects.extent())


def test_tiles_without_an_extent_are_refused(picture, tmp_path):
    layer, _ = tiles(tmp_path / "tiles", picture)
    with pytest.raises(LayerError, match="tiles has no end of its own: choose the map's extent or draw a box"):
        describe_scene(layer)


def test_a_large_export_is_estimated(picture, tmp_path):
    layer, extent = tiles(tmp_path / "tiles", picture)
    export = describe_scene(layer, extent.buffered(10_000)).export
    pixels = (extent.buffered(10_000).width() / extent.width() * 512) ** 2
    assert export.bytes > 500_000_000
    assert math.isclose(export.bytes, 4 * pixels, rel_tol=1e-3)


def test_a_virtual_raster_of_memory_is_exported(run_algorithm, sample, tmp_path):
    from osgeo import gdal

    gdal.UseExceptions()
    gdal.BuildVRT(str(tmp_path / "scene.vrt"), [str(sample / "scene.tif")]).FlushCache()
    text = (tmp_path / "scene.vrt").read_text()
    layer = QgsRasterLayer(text, "virtual")
    assert layer.isValid()
    export = describe_scene(layer).export
    assert (export.columns, export.rows, export.bytes) == (512, 512, 512 * 512 * 3)
    found = run_algorithm("predict", INPUT=layer, OUTPUT=str(tmp_path / "a.gpkg"))
    straight = QgsRasterLayer(str(sample / "scene.tif"), "scene")
    assert found["OBJECTS"] == run_algorithm("predict", INPUT=straight, OUTPUT=str(tmp_path / "b.gpkg"))["OBJECTS"] > 0


def test_polygons_without_any_are_refused(run_algorithm, sample, tmp_path):
    empty = QgsVectorLayer("Polygon?crs=EPSG:32645", "empty", "memory")
    scene = QgsRasterLayer(str(sample / "scene.tif"), "scene")
    with pytest.raises(QgsProcessingException):
        run_algorithm("predict", INPUT=scene, AREA=empty, OUTPUT=str(tmp_path / "o.gpkg"))
    assert "The layer empty gives no polygon: select some" in run_algorithm.feedback.textLog()


def test_unsaved_edits_are_part_of_the_labels(qgis_app, sample, tmp_path):
    """What the user corrected counts before it is saved."""
    shutil.copy(sample / "truth.gpkg", tmp_path / "truth.gpkg")
    layer = QgsVectorLayer(str(tmp_path / "truth.gpkg"), "truth")
    count = layer.featureCount()
    layer.startEditing()
    layer.deleteFeature(next(layer.getFeatures()).id())
    write_polygons(layer, tmp_path / "copy.gpkg", QgsProject.instance().transformContext())
    assert QgsVectorLayer(str(tmp_path / "copy.gpkg")).featureCount() == count - 1
    layer.rollBack()


def test_a_file_in_an_archive(run_algorithm, sample, tmp_path):
    with zipfile.ZipFile(tmp_path / "scenes.zip", "w") as archive:
        archive.write(sample / "scene.tif", "inside/scene.tif")
    layer = QgsRasterLayer(f"/vsizip/{tmp_path}/scenes.zip/inside/scene.tif", "packed")
    assert layer.isValid()
    assert run_algorithm("predict", INPUT=layer, OUTPUT=str(tmp_path / "o.gpkg"))["OBJECTS"] > 0


def test_a_crs_that_the_user_made_is_given_in_words(picture):
    """Its number is known to this QGIS only."""
    crs = QgsCoordinateReferenceSystem.fromProj("+proj=tmerc +lat_0=1 +lon_0=87.5 +k=1 +x_0=3 +y_0=0 +datum=WGS84")
    assert QgsApplication.createDatabase()
    crs.saveAsUserCrs("mine")
    assert crs.authid().startswith("USER:")
    layer = QgsRasterLayer(str(picture), "picture")
    layer.setCrs(crs)
    assert describe_scene(layer).crs.startswith("PROJCRS[")


def test_polygons_that_were_split_or_merged_are_all_written(qgis_app, tmp_path):
    """Their field fid, a copy of what was once a key, then holds a number twice."""
    layer = QgsVectorLayer("Polygon?crs=EPSG:32645&field=fid:integer&field=class:string", "merged", "memory")
    for side in (10, 20, 30):
        feature = QgsFeature(layer.fields())
        feature.setGeometry(QgsGeometry.fromRect(QgsRectangle(0, 0, side, side)))
        feature["fid"], feature["class"] = 7, "house"
        layer.dataProvider().addFeature(feature)
    write_polygons(layer, tmp_path / "copy.gpkg", QgsProject.instance().transformContext())
    written = list(QgsVectorLayer(str(tmp_path / "copy.gpkg")).getFeatures())
    assert [(feature["fid"], feature["class"]) for feature in written] == [(7, "house")] * 3
