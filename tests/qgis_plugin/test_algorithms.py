"""Every algorithm, by a real weft-geo on a real file."""

from __future__ import annotations

import json
import shutil

import pytest
from qgis.core import (
    QgsApplication,
    QgsFeature,
    QgsGeometry,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeatureSourceDefinition,
    QgsProcessingFeedback,
    QgsProcessingOutputLayerDefinition,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
    QgsReferencedRectangle,
    QgsRenderContext,
    QgsVectorLayer,
)

from weft_geo_qgis.versions import NO_FORM


def shapes(path) -> list[tuple[str, float]]:
    layer = QgsVectorLayer(str(path), "objects", "ogr")
    assert layer.isValid()
    return [(feature.geometry().asWkt(3), round(feature["score"], 6)) for feature in layer.getFeatures()]


@pytest.fixture
def scene(sample) -> QgsRasterLayer:
    return QgsRasterLayer(str(sample / "scene.tif"), "scene")


def test_predict_gives_what_the_command_line_gives(run_algorithm, cli, weft_geo, scene, sample, tmp_path):
    found = run_algorithm("predict", INPUT=scene, MIN_AREA=20, SIMPLIFY=0.5, OUTPUT=str(tmp_path / "a.gpkg"))
    cli([*weft_geo, "predict", sample / "scene.tif", "-o", tmp_path / "b.gpkg", "--min-area-m2", 20, "--simplify", 0.5])
    assert found["OBJECTS"] == len(shapes(tmp_path / "b.gpkg")) > 5
    assert shapes(found["OUTPUT"]) == shapes(tmp_path / "b.gpkg")
    assert QgsVectorLayer(found["OUTPUT"]).crs() == scene.crs()


def test_predict_tells_progress_and_keeps_a_log(run_algorithm, plugin_settings, scene, tmp_path):
    run_algorithm("predict", INPUT=scene, OUTPUT=str(tmp_path / "Größe 中.gpkg"))
    assert run_algorithm.feedback.progress() == 100
    log = plugin_settings.last_log().read_text(encoding="utf-8")
    assert "--output=" in log
    assert "Größe 中.gpkg" in log
    assert '"event": "done"' in log
    assert "exit code 0" in log


def test_predict_stays_in_an_extent_of_another_crs(run_algorithm, scene, tmp_path):
    from qgis.core import QgsCoordinateReferenceSystem, QgsCoordinateTransform, QgsProject

    middle, degrees = scene.extent().center(), QgsCoordinateReferenceSystem("EPSG:4326")
    box = QgsRectangle(middle.x() - 40, middle.y() - 40, middle.x() + 40, middle.y() + 40)
    in_degrees = QgsCoordinateTransform(scene.crs(), degrees, QgsProject.instance()).transformBoundingBox(box)
    extent = QgsReferencedRectangle(in_degrees, degrees)
    found = run_algorithm("predict", INPUT=scene, EXTENT=extent, OUTPUT=str(tmp_path / "o.gpkg"))
    layer = QgsVectorLayer(found["OUTPUT"])
    assert layer.featureCount() > 0
    assert box.buffered(2).contains(layer.extent())


def test_predict_stays_inside_polygons_of_memory(run_algorithm, scene, tmp_path):
    from qgis.core import QgsFeature, QgsGeometry

    area = QgsVectorLayer(f"Polygon?crs={scene.crs().authid()}", "area", "memory")
    middle = scene.extent().center()
    feature = QgsFeature()
    feature.setGeometry(
        QgsGeometry.fromRect(QgsRectangle(middle.x() - 40, middle.y() - 40, middle.x(), middle.y() + 40))
    )
    area.dataProvider().addFeature(feature)
    found = run_algorithm("predict", INPUT=scene, AREA=area, OUTPUT=str(tmp_path / "o.gpkg"))
    layer = QgsVectorLayer(found["OUTPUT"])
    assert layer.featureCount() > 0
    assert feature.geometry().boundingBox().buffered(2).contains(layer.extent())


def test_an_extent_and_polygons_are_too_much(run_algorithm, scene, tmp_path):
    area = QgsVectorLayer(f"Polygon?crs={scene.crs().authid()}", "area", "memory")
    with pytest.raises(QgsProcessingException):
        run_algorithm("predict", INPUT=scene, AREA=area, EXTENT=scene.extent(), OUTPUT=str(tmp_path / "p.gpkg"))
    assert "Give an extent or polygons, not both." in run_algorithm.feedback.textLog()


def test_vectorize_a_mask(run_algorithm, cli, weft_geo, sample, tmp_path):
    mask = tmp_path / "mask.tif"
    cli([*weft_geo, "predict", sample / "scene.tif", "-o", tmp_path / "a.gpkg", "--mask", mask])
    layer = QgsRasterLayer(str(mask), "mask")
    found = run_algorithm("vectorize", INPUT=layer, OUTPUT=str(tmp_path / "b.gpkg"))
    cli([*weft_geo, "vectorize", mask, "-o", tmp_path / "c.gpkg"])
    assert found["OBJECTS"] > 5
    assert shapes(found["OUTPUT"]) == shapes(tmp_path / "c.gpkg")


def test_evaluate_gives_the_scores_of_the_command_line(run_algorithm, cli, weft_geo, scene, sample, tmp_path):
    run_algorithm("predict", INPUT=scene, OUTPUT=str(tmp_path / "o.gpkg"))
    truth = sample / "truth.gpkg"
    scores = run_algorithm("evaluate", OBJECTS=str(tmp_path / "o.gpkg"), TRUTH=str(truth))
    words = [*weft_geo, "evaluate", "--objects", tmp_path / "o.gpkg", "--truth", truth, "--json"]
    assert scores["F1"] == pytest.approx(json.loads(cli(words))["f1"], abs=1e-6)
    assert scores["TRUE_POSITIVES"] > 0


def test_objects_are_styled_by_score_and_go_into_a_group_with_their_scene(run_algorithm, scene, tmp_path):
    from qgis.core import QgsGraduatedSymbolRenderer

    from weft_geo_qgis.style import add_objects, style_objects

    project = QgsProject.instance()
    project.addMapLayer(scene)
    found = run_algorithm("predict", INPUT=scene, OUTPUT=str(tmp_path / "o.gpkg"))
    layer = QgsVectorLayer(found["OUTPUT"], "objects")
    style_objects(layer)
    group = add_objects(project, layer, scene)
    renderer = layer.renderer()
    assert isinstance(renderer, QgsGraduatedSymbolRenderer)
    assert renderer.classAttribute() == 'coalesce("score", 1)'
    assert (renderer.ranges()[0].lowerValue(), renderer.ranges()[-1].upperValue()) == (0.0, 1.0)
    assert not layer.labelsEnabled()
    assert [node.name() for node in group.findLayers()] == ["objects", "scene"]


@pytest.mark.parametrize("time", ["first", "second"])
def test_layers_are_styled_that_the_toolbox_loads_when_the_algorithm_has_gone(run_algorithm, sample, tmp_path, time):
    """As in a batch and in a model. The path stays as it was given, since QGIS knows the layer by it.

    With its context, QGIS deletes what styled the layers; a second run has another one.
    """
    output = f"{tmp_path}/./o.gpkg"
    context = QgsProcessingContext()
    context.setProject(QgsProject.instance())
    parameters = {
        "INPUT": str(sample / "scene.tif"),
        "OUTPUT": QgsProcessingOutputLayerDefinition(output, QgsProject.instance()),
    }
    algorithm = QgsApplication.processingRegistry().createAlgorithmById("weft_geo:predict")
    results, succeeded = algorithm.run(parameters, context, QgsProcessingFeedback(False))
    del algorithm
    assert succeeded
    assert results["OUTPUT"] == output
    layer = QgsVectorLayer(output, "objects")
    context.layerToLoadOnCompletionDetails(output).postProcessor().postProcessLayer(layer, context, None)
    assert layer.renderer().type() == "graduatedSymbol"


def test_what_the_user_draws_is_seen_and_asks_for_no_attributes(qgis_app):
    from weft_geo_qgis.style import style_objects

    layer = QgsVectorLayer("Polygon?crs=EPSG:32645&field=score:double", "objects", "memory")
    style_objects(layer)
    drawn = QgsFeature(layer.fields())
    drawn.setGeometry(QgsGeometry.fromRect(QgsRectangle(0, 0, 9, 9)))
    context = QgsRenderContext()
    context.expressionContext().appendScope(layer.createExpressionContextScope())
    context.expressionContext().setFeature(drawn)
    renderer = layer.renderer().clone()
    renderer.startRender(context, layer.fields())
    assert renderer.symbolForFeature(drawn, context) is not None
    renderer.stopRender(context)
    assert layer.editFormConfig().suppress() == NO_FORM


def test_objects_of_several_classes_have_a_colour_each(run_algorithm, cli, weft_geo, sample, tmp_path):
    """By score they would all look alike."""
    from osgeo import gdal

    from weft_geo_qgis.style import style_objects

    gdal.UseExceptions()
    picture = gdal.Open(str(sample / "scene.tif"))
    classes = gdal.GetDriverByName("GTiff").Create(str(tmp_path / "classes.tif"), 512, 512, 1)
    classes.SetGeoTransform(picture.GetGeoTransform())
    classes.SetProjection(picture.GetProjection())
    for number in (1, 2, 3):
        row = bytes(number if column // 20 % 4 == number else 0 for column in range(512))
        classes.GetRasterBand(1).WriteRaster(0, 100 * number, 512, 50, row * 50)
    classes = None
    layer = QgsRasterLayer(str(tmp_path / "classes.tif"), "classes")
    found = run_algorithm("vectorize", INPUT=layer, CLASSES="tree,house,road", OUTPUT=str(tmp_path / "o.gpkg"))
    objects = QgsVectorLayer(found["OUTPUT"], "objects")
    looks = [objects.renderer().clone()]  # weft-geo's own, in the file
    style_objects(objects)
    looks.append(objects.renderer())
    for renderer in looks:
        assert renderer.type() == "categorizedSymbol"
        assert renderer.classAttribute() == "class"
        assert [category.label() for category in renderer.categories()] == ["house", "road", "tree", "no class"]
        colors = [category.symbol().color().name() for category in renderer.categories()]
        assert len(set(colors)) == 4
        context = QgsRenderContext()
        renderer.startRender(context, objects.fields())
        drawn = renderer.symbolForFeature(QgsFeature(objects.fields()), context)
        assert drawn.color().name() == colors[-1], "what the user draws is seen"
        renderer.stopRender(context)


def test_the_toolbox_keeps_no_line_of_every_window(qgis_app):
    from weft_geo_qgis.job import JobFeedback
    from weft_geo_qgis.run import _Listener, _Log

    feedback, said = JobFeedback(), []
    feedback.said.connect(said.append)
    listener = _Listener(feedback, _Log(False))
    for done in range(5001):
        listener.hear({"event": "progress", "stage": "predict", "done": done, "total": 5000})
    assert feedback.progress() == 100
    assert said[-1] == "5000 of 5000 windows"
    assert len(said) == 101


@pytest.mark.parametrize("selected", [False, True])
def test_the_area_is_not_replaced(run_algorithm, scene, sample, tmp_path, selected):
    file = tmp_path / "area.gpkg"
    shutil.copy(sample / "truth.gpkg", file)
    area = QgsVectorLayer(str(file), "mine", "ogr")
    QgsProject.instance().addMapLayer(area)
    count = area.featureCount()
    area.selectByIds([next(area.getFeatures()).id()])
    given = QgsProcessingFeatureSourceDefinition(area.id(), selected)
    with pytest.raises(QgsProcessingException, match="holds the layer mine, which is read"):
        run_algorithm("predict", INPUT=scene, AREA=given, OUTPUT=str(file))
    assert QgsVectorLayer(str(file), "mine", "ogr").featureCount() == count
    QgsProject.instance().removeMapLayer(area)
