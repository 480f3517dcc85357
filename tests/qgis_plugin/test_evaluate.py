"""Objects against true ones: what counts, what is said, and the layer of errors."""

from __future__ import annotations

import shutil
from collections import Counter

import pytest
from qgis.core import (
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsFeature,
    QgsGeometry,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingOutputLayerDefinition,
    QgsProcessingUtils,
    QgsProject,
    QgsRectangle,
    QgsReferencedRectangle,
    QgsRenderContext,
    QgsVectorLayer,
)

UTM = "EPSG:32645"
HERE = QgsRectangle(399_995, 2_999_995, 400_015, 3_000_015)
"""Around the first square."""


def squares(name: str, field: str, *classes: str, first: int = 0) -> QgsVectorLayer:
    """Squares of 10 m in a row, each with a class; the number of the first says where the row begins."""
    layer = QgsVectorLayer(f"Polygon?crs={UTM}&field={field}:string", name, "memory")
    for number, words in enumerate(classes, first):
        feature = QgsFeature(layer.fields())
        west = 400_000 + 100 * number
        feature.setGeometry(QgsGeometry.fromRect(QgsRectangle(west, 3_000_000, west + 10, 3_000_010)))
        feature[field] = words
        layer.dataProvider().addFeature(feature)
    return layer


@pytest.fixture
def layers() -> dict[str, QgsVectorLayer]:
    """Two squares are in both layers, the second one as a tree and as a house; each layer has one of its own."""
    found = squares("found", "class", "house", "tree", "house")
    truth = squares("truth", "kind", "house", "house")
    truth.dataProvider().addFeatures(list(squares("more", "kind", "house", first=3).getFeatures()))
    return {"OBJECTS": found, "TRUTH": truth}


def counts(results: dict) -> tuple[int, int, int]:
    return tuple(results[f"{name}S"] for name in ("TRUE_POSITIVE", "FALSE_POSITIVE", "FALSE_NEGATIVE"))


def test_a_layer_against_itself_is_said(run_algorithm, layers):
    run_algorithm("evaluate", **layers)
    assert "Both layers are the same" not in run_algorithm.feedback.textLog()
    run_algorithm("evaluate", **layers | {"TRUTH": layers["OBJECTS"]})
    assert "Both layers are the same, so all objects are right" in run_algorithm.feedback.textLog()


def test_a_run_that_found_nothing_has_missed_everything(run_algorithm, layers):
    assert counts(run_algorithm("evaluate", **layers | {"OBJECTS": squares("none", "class")})) == (0, 0, 3)


def test_a_class_field_is_one_of_the_truth_and_keeps_classes_apart(run_algorithm, layers):
    algorithm = QgsApplication.processingRegistry().algorithmById("weft_geo:evaluate")
    field = algorithm.parameterDefinition("CLASS_FIELD")
    assert (field.type(), field.parentLayerParameterName()) == ("field", "TRUTH")
    assert counts(run_algorithm("evaluate", **layers)) == (2, 1, 1)
    assert counts(run_algorithm("evaluate", **layers, CLASS_FIELD="kind")) == (1, 2, 2)
    said = run_algorithm.feedback.textLog()
    assert "house: f1 0.4, " in said
    assert "tree: f1 0, " in said


def test_what_weft_geo_warns_of_is_said_in_the_words_of_the_dialog(run_algorithm, layers):
    layers["TRUTH"] = squares("truth", "class", "building", "building")
    run_algorithm("evaluate", **layers)
    assert "classes are left aside; Class field class heeds them." in run_algorithm.feedback.textLog()


def test_what_fails_is_a_sentence(run_algorithm, layers):
    with pytest.raises(QgsProcessingException) as caught:
        run_algorithm("evaluate", **layers, CLASS_FIELD="species")
    assert str(caught.value) == "The true objects have no attribute 'species' for the class; they have kind."


@pytest.mark.parametrize("crs", [UTM, "EPSG:4326"])
def test_only_what_lies_in_an_extent_counts(run_algorithm, layers, crs):
    theirs = QgsCoordinateReferenceSystem(crs)
    to_theirs = QgsCoordinateTransform(QgsCoordinateReferenceSystem(UTM), theirs, QgsProject.instance())
    extent = QgsReferencedRectangle(to_theirs.transformBoundingBox(HERE), theirs)
    assert counts(run_algorithm("evaluate", **layers, EXTENT=extent)) == (1, 0, 0)


def test_only_what_lies_inside_polygons_counts(run_algorithm, layers):
    area = QgsVectorLayer(f"Polygon?crs={UTM}", "area", "memory")
    feature = QgsFeature()
    feature.setGeometry(QgsGeometry.fromRect(HERE))
    area.dataProvider().addFeature(feature)
    assert counts(run_algorithm("evaluate", **layers, AREA=area)) == (1, 0, 0)
    with pytest.raises(QgsProcessingException):
        run_algorithm("evaluate", **layers, AREA=area, EXTENT=QgsReferencedRectangle(HERE, area.crs()))
    assert "Give an extent or polygons, not both." in run_algorithm.feedback.textLog()


def test_without_a_place_for_errors_none_are_written(run_algorithm, layers):
    assert "ERRORS" not in run_algorithm("evaluate", **layers)


@pytest.mark.parametrize("suffix", ["gpkg", "shp"])
def test_errors_are_a_layer_that_the_toolbox_loads_in_three_colours(run_algorithm, layers, tmp_path, suffix):
    """QGIS takes no style from a file that Processing loads, not even from a GeoPackage."""
    path = str(tmp_path / f"Fehler 100%.{suffix}")
    project, context = QgsProject.instance(), QgsProcessingContext()
    project.addMapLayers(layers.values(), False)
    context.setProject(project)
    parameters = {name: layer.id() for name, layer in layers.items()}
    parameters["ERRORS"] = QgsProcessingOutputLayerDefinition(path, project)
    algorithm = QgsApplication.processingRegistry().createAlgorithmById("weft_geo:evaluate")
    results, succeeded = algorithm.run(parameters, context, QgsProcessingFeedback(False))
    del algorithm
    assert succeeded
    assert results["ERRORS"] == path
    layer = QgsProcessingUtils.mapLayerFromString(path, context)
    context.layerToLoadOnCompletionDetails(path).postProcessor().postProcessLayer(layer, context, None)
    assert Counter((feature["result"], feature["source"]) for feature in layer.getFeatures()) == {
        ("true_positive", "objects"): 2,
        ("true_positive", "truth"): 2,
        ("false_positive", "objects"): 1,
        ("false_negative", "truth"): 1,
    }
    assert colours(layer) == {"true_positive": "#2c7bb6", "false_positive": "#d7191c", "false_negative": "#ffbe00"}
    assert [category.label() for category in layer.renderer().categories()] == ["right", "wrong", "missed"]


def colours(layer: QgsVectorLayer) -> dict[str, str]:
    """What colour each result is drawn in."""
    context, renderer = QgsRenderContext(), layer.renderer().clone()
    context.expressionContext().appendScope(layer.createExpressionContextScope())
    renderer.startRender(context, layer.fields())
    drawn = {}
    for feature in layer.getFeatures():
        context.expressionContext().setFeature(feature)
        drawn[feature["result"]] = renderer.symbolForFeature(feature, context).color().name()
    renderer.stopRender(context)
    return drawn


@pytest.mark.parametrize("name", ["OBJECTS", "TRUTH"])
def test_errors_do_not_replace_what_is_compared(run_algorithm, layers, sample, tmp_path, name):
    shutil.copy(sample / "truth.gpkg", tmp_path / "mine.gpkg")
    layers[name] = QgsVectorLayer(str(tmp_path / "mine.gpkg"), "mine", "ogr")
    count = layers[name].featureCount()
    with pytest.raises(QgsProcessingException, match="holds the layer mine, which is read: choose another file"):
        run_algorithm("evaluate", **layers, ERRORS=str(tmp_path / "mine.gpkg"))
    assert QgsVectorLayer(str(tmp_path / "mine.gpkg"), "mine", "ogr").featureCount() == count
