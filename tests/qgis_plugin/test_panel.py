"""The panel and what it starts: logic, with a real weft-geo and a stand-in for the QGIS window."""

from __future__ import annotations

import os
import shutil
import threading
import time
from pathlib import Path

import pytest
from qgis.core import (
    Qgis,
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsFeature,
    QgsGeometry,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
    QgsVectorLayer,
)
from qgis.gui import QgsMapToolPan
from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtWidgets import QLabel, QMessageBox, QPushButton

from weft_geo_qgis.algorithms.base import WeftGeoAlgorithm
from weft_geo_qgis.model_list import local_models, read_shipped, shipped_models
from weft_geo_qgis.panel import Panel
from weft_geo_qgis.runs import Runs
from weft_geo_qgis.training_runs import can_go_on, new_run, stopped_run


@pytest.fixture
def panel(qgis_iface, qgis_new_project, plugin_settings, provider):
    panel = Panel(qgis_iface)
    yield panel
    panel.deleteLater()


@pytest.fixture
def runs(qgis_iface, panel):
    runs = Runs(qgis_iface, panel)
    yield runs
    runs.cancel()
    wait_until(lambda: runs.job is None)


@pytest.fixture
def scene(panel, sample):
    layer = QgsRasterLayer(str(sample / "scene.tif"), "scene")
    QgsProject.instance().addMapLayer(layer)
    panel.layer.setLayer(layer)
    return layer


def wait_until(is_so, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it took too long"
        QgsApplication.processEvents()
        time.sleep(0.01)


def messages(iface) -> list[str]:
    return [item.text() for item in iface.messageBar().items()]


def children() -> set[int]:
    """Processes that this one started and that have not ended."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(parent) == os.getpid() and state != "Z":
            found.add(int(stat.parent.name))
    return found


def test_run_brings_a_styled_layer_in_a_group_with_its_scene(panel, runs, scene, qgis_iface):
    panel.min_area.setValue(20)
    panel.run.click()
    assert not panel.run.isEnabled()
    assert panel.cancel.isEnabled()
    wait_until(lambda: runs.job is None)
    (layer,) = (layer for layer in QgsProject.instance().mapLayers().values() if isinstance(layer, QgsVectorLayer))
    assert layer.featureCount() > 5
    assert min(feature["area_m2"] for feature in layer.getFeatures()) >= 20
    assert layer.renderer().type() == "graduatedSymbol"
    group = QgsProject.instance().layerTreeRoot().findGroup("weft-geo: scene")
    assert [node.name() for node in group.findLayers()] == ["Objects of scene", "scene"]
    assert panel.state.text().startswith(f"{layer.featureCount()} objects in")
    assert panel.run.isEnabled()
    assert panel.corrected() == layer


def test_the_smallest_object_is_the_models_unless_it_is_said(panel, runs, scene, qgis_iface):
    asked = []
    panel_run = runs._start
    runs._start = lambda name, parameters, *rest: asked.append(parameters["MIN_AREA"])
    for value in (panel.min_area.minimum(), 0, 20):
        panel.min_area.setValue(value)
        panel.run.click()
    runs._start = panel_run
    assert asked == [None, 0, 20]


def test_a_warning_of_weft_geo_is_said_and_bands_can_be_chosen(panel, runs, sample, tmp_path, qgis_iface):
    from osgeo import gdal

    gdal.UseExceptions()
    options = gdal.TranslateOptions(options="-b 3 -b 2 -b 1 -b 1 -colorinterp undefined,undefined,undefined,undefined")
    gdal.Translate(str(tmp_path / "four.tif"), str(sample / "scene.tif"), options=options)
    layer = QgsRasterLayer(str(tmp_path / "four.tif"), "four")
    QgsProject.instance().addMapLayer(layer)
    panel.layer.setLayer(layer)
    panel.run.click()
    wait_until(lambda: runs.job is None)
    assert "four.tif has 4 bands and does not say which are which" in panel.state.text()
    assert panel.state.text().endswith("Give others with Bands.")
    panel.bands.setText("3,2,1")
    panel.run.click()
    wait_until(lambda: runs.job is None)
    assert "which are which" not in panel.state.text()


def test_cancel_leaves_no_child_and_no_file(panel, runs, scene, tmp_path):
    before = children()
    panel.output.setFilePath(str(tmp_path / "out.gpkg"))
    panel.run.click()
    wait_until(lambda: children() - before)
    started = children() - before
    panel.cancel.click()
    wait_until(lambda: runs.job is None)
    assert panel.state.text() == "Cancelled; nothing was written."
    assert not started & children()
    assert [path for path in tmp_path.iterdir() if "out" in path.name] == []
    assert not [layer for layer in QgsProject.instance().mapLayers().values() if isinstance(layer, QgsVectorLayer)]


def test_a_failure_is_said_and_its_log_is_there(panel, runs, scene, plugin_settings, tmp_path):
    plugin_settings.choose_interpreter(str(tmp_path / "gone"))
    panel.run.click()
    wait_until(lambda: runs.job is None)
    assert "gone does not exist: choose another one in Settings" in panel.state.text()
    runs.show_log()
    assert panel.state.text() in runs.dialog.view.toPlainText()
    runs.dialog.close()


def test_the_log_beside_a_message_is_that_of_its_run(
    panel, runs, scene, plugin_settings, interpreter, qgis_iface, run_algorithm, tmp_path
):
    """Whatever has run from the toolbox since."""
    plugin_settings.choose_interpreter(str(tmp_path / "gone"))
    panel.run.click()
    wait_until(lambda: runs.job is None)
    item = qgis_iface.messageBar().currentItem()
    (button,) = (button for button in item.findChildren(QPushButton) if button.text() == "Show log")
    plugin_settings.choose_interpreter(str(interpreter))
    run_algorithm("predict", INPUT=scene, OUTPUT=str(tmp_path / "o.gpkg"))
    button.click()
    assert "gone does not exist" in runs.dialog.view.toPlainText()
    runs.dialog.close()


def test_no_log_is_beside_a_failure_that_came_before_weft_geo(panel, runs, scene, qgis_iface, tmp_path):
    """Not that of the run before."""
    panel.run.click()
    wait_until(lambda: runs.job is None)
    panel.output.setFilePath(str(tmp_path / "100%20.gpkg"))
    panel.run.click()
    wait_until(lambda: runs.job is None)
    assert "is no name for a GeoPackage" in panel.state.text()
    item = qgis_iface.messageBar().currentItem()
    assert "is no name for a GeoPackage" in item.text()
    assert not [button for button in item.findChildren(QPushButton) if button.text() == "Show log"]


def test_a_failure_of_before_does_not_hide_what_the_next_run_brings(
    panel, runs, scene, plugin_settings, interpreter, qgis_iface, tmp_path
):
    """QGIS keeps failures above all else until they are closed."""
    before = qgis_iface.messageBar().createMessage("somebody else", "their own failure")
    qgis_iface.messageBar().pushWidget(before, Qgis.MessageLevel.Critical)
    plugin_settings.choose_interpreter(str(tmp_path / "gone"))
    panel.run.click()
    wait_until(lambda: runs.job is None)
    plugin_settings.choose_interpreter(str(interpreter))
    panel.run.click()
    wait_until(lambda: runs.job is None)
    told = messages(qgis_iface)
    assert not [text for text in told if "gone does not exist" in text]
    assert [text for text in told if "objects in" in text]
    assert "their own failure" in told


def test_without_a_raster_layer_it_says_what_to_do(panel, runs):
    panel.run.click()
    assert panel.state.text().startswith("There is no raster layer: add your image with Layer")
    assert runs.job is None


def test_areas(panel, runs, scene):
    panel.area.choose("box")
    panel.run.click()
    assert panel.state.text().startswith("There is no box yet")
    panel.area.set_box(scene.extent(), scene.crs())
    assert panel.area.parameters()["EXTENT"].crs() == scene.crs()
    polygons = QgsVectorLayer("Polygon?crs=EPSG:32645", "parts", "memory")
    feature = QgsFeature()
    feature.setGeometry(QgsGeometry.fromRect(scene.extent()))
    polygons.dataProvider().addFeature(feature)
    QgsProject.instance().addMapLayer(polygons)
    panel.area.choose("selection")
    panel.area.polygons.setLayer(polygons)
    panel.run.click()
    assert panel.state.text().startswith("No polygon is selected")
    polygons.selectAll()
    assert panel.area.parameters()["AREA"].selectedFeaturesOnly


def test_settings_belong_to_the_project(panel, tmp_path):
    project = QgsProject.instance()
    panel.threshold.setValue(0.35)
    panel.min_area.setValue(0)
    panel.regularize.setChecked(True)
    panel.area.choose("canvas")
    panel.save_settings(project)
    assert project.write(str(tmp_path / "project.qgz"))
    project.clear()
    panel.load_settings(project)
    assert panel.threshold.value() == 0
    assert panel.min_area.text() == "the model's own"
    assert not panel.regularize.isChecked()
    assert project.read(str(tmp_path / "project.qgz"))
    panel.load_settings(project)
    assert panel.threshold.value() == pytest.approx(0.35)
    assert panel.min_area.value() == 0
    assert panel.regularize.isChecked()
    assert panel.area.kind.currentData() == "canvas"


def test_models_that_weft_geo_brings_and_those_made_here(panel, plugin_settings, tmp_path):
    shipped = shipped_models()
    assert [model.value for model in shipped] == ["embedded"], "weft-tiny is another name of the same file"
    assert "building" in shipped[0].title
    run = plugin_settings.learnt_models() / "scene_2026"
    run.mkdir()
    (run / "model.onnx").write_bytes(b"")
    (tmp_path / "mine.onnx").write_bytes(b"")
    plugin_settings.remember_model_file(str(tmp_path / "mine.onnx"))
    assert [model.title for model in local_models()] == ["scene_2026 (trained here)", "mine.onnx"]
    panel.show_models(shipped)
    assert panel.model.count() == 4
    (tmp_path / "mine.onnx").unlink()
    assert len(local_models()) == 1
    assert [model.value for model in read_shipped({"shipped": []})] == ["embedded"]


def test_runs_that_were_stopped_can_go_on(tmp_path):
    folder = new_run(tmp_path, "my scene/1")
    assert folder.name.startswith("my-scene-1_")
    folder.mkdir()
    assert stopped_run(tmp_path, "my scene/1") is None
    (folder / "last.ckpt").write_bytes(b"")
    assert stopped_run(tmp_path, "my scene/1") == folder
    assert stopped_run(tmp_path, "another") is None
    (folder / "model.onnx").write_bytes(b"")
    assert not can_go_on(folder)


def test_the_curve_collects_losses(panel):
    for message in ("loss 1.250", "loss 0.80, val mIoU 0.41", "512 × 512 px"):
        panel.curve.hear(message)
    assert panel.curve.losses == [1.25, 0.8]
    panel.curve.resize(200, 90)
    picture = panel.curve.grab().toImage()
    assert len({picture.pixel(x, y) for x in range(0, 200, 3) for y in range(20, 85, 3)}) > 2
    panel.curve.clear()
    assert not panel.curve.losses


def test_a_project_that_is_closed_meanwhile(panel, runs, scene, monkeypatch):
    """Its layers are gone by the time that the task begins."""
    closed, path_of = threading.Event(), WeftGeoAlgorithm.path_of

    def late(*given: object) -> str:
        assert closed.wait(60)
        return path_of(*given)

    monkeypatch.setattr(WeftGeoAlgorithm, "path_of", late)
    panel.run.click()
    QgsProject.instance().clear()
    closed.set()
    wait_until(lambda: runs.job is None)
    assert "objects in" in panel.state.text()
    assert panel.run.isEnabled()
    assert [layer.name() for layer in QgsProject.instance().mapLayers().values()] == ["Objects of scene"]


def test_a_file_that_is_there_is_replaced_only_if_the_user_says_so(panel, runs, scene, tmp_path, monkeypatch):
    """It may hold what was corrected by hand."""
    asked, answer = [], QMessageBox.StandardButton.No

    def question(parent, title, text, *_):
        asked.append(text)
        return answer

    monkeypatch.setattr(QMessageBox, "question", question)
    panel.output.setFilePath(str(tmp_path / "o.gpkg"))
    panel.run.click()
    wait_until(lambda: runs.job is None)
    assert not asked
    (layer,) = QgsProject.instance().mapLayersByName("Objects of scene")
    panel.run.click()
    assert runs.job is None
    assert asked[0].startswith(f"{tmp_path / 'o.gpkg'} is there already. Replace it? Its layer goes from the project")
    assert QgsProject.instance().mapLayersByName("Objects of scene") == [layer]

    answer = QMessageBox.StandardButton.Yes
    panel.run.click()
    wait_until(lambda: runs.job is None)
    assert len(QgsProject.instance().mapLayersByName("Objects of scene")) == 1


def test_a_name_without_a_folder_is_one_file_for_all(panel, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    panel.output.setFilePath("objects")
    assert panel.output_path() == tmp_path / "objects.gpkg"


def test_pressing_draw_twice_gives_the_map_its_tool_back(panel, qgis_iface, scene):
    canvas = qgis_iface.mapCanvas()
    before = QgsMapToolPan(canvas)
    canvas.setMapTool(before)
    panel.area.draw.click()
    panel.area.draw.click()
    panel.area._take_box(scene.extent())
    assert canvas.mapTool() is before


def test_nothing_of_the_panel_is_cut_off_by_a_theme_of_large_widgets(panel):
    panel.setStyleSheet("QPushButton { min-width: 20em }")
    panel.setParent(None)
    panel.show()
    assert panel.widget().minimumWidth() >= panel.widget().widget().minimumSizeHint().width()


def test_a_long_name_does_not_make_the_panel_wider(panel):
    before = panel.widget().widget().minimumSizeHint().width()
    panel.show_idle(f"S2A_{'20261128T105441_' * 9}.tif has no CRS.")
    assert panel.widget().widget().minimumSizeHint().width() == before


def test_the_links_can_be_reached_by_the_keyboard(panel):
    (links,) = (label for label in panel.findChildren(QLabel) if "options" in label.text())
    assert links.focusPolicy() & Qt.FocusPolicy.TabFocus


def test_a_large_export_is_asked_about_whatever_the_crs_of_the_map(panel, runs, monkeypatch):
    asked = []
    monkeypatch.setattr(QMessageBox, "question", lambda *words: asked.append(words[2]))
    tiles = QgsRasterLayer("type=xyz&url=file:///nowhere/{z}/{x}/{y}.png&zmin=0&zmax=18", "tiles", "wms")
    QgsProject.instance().addMapLayer(tiles)
    QgsProject.instance().setCrs(tiles.crs())
    panel.layer.setLayer(tiles)
    panel.area.choose("box")
    panel.area.set_box(QgsRectangle(85, 27, 85.1, 27.1), QgsCoordinateReferenceSystem("EPSG:4326"))
    panel.run.click()
    assert "tiles is no file, so it is exported first: 18642 × " in asked[0]
    assert runs.job is None


def agree_to_all(monkeypatch) -> None:
    monkeypatch.setattr(QMessageBox, "question", lambda *_: QMessageBox.StandardButton.Yes)


def test_a_scene_is_not_replaced_by_its_objects(panel, runs, sample, tmp_path, monkeypatch):
    shutil.copy(sample / "scene.tif", tmp_path / "s.tif")
    layer = QgsRasterLayer(str(tmp_path / "s.tif"), "s")
    QgsProject.instance().addMapLayer(layer)
    panel.layer.setLayer(layer)
    panel.output.setFilePath(str(tmp_path / "s.tif"))
    agree_to_all(monkeypatch)
    runs.predict()
    assert QgsProject.instance().mapLayersByName("s")
    assert "holds the layer s, which the run reads" in panel.state.text()


def test_polygons_of_the_area_are_not_replaced(panel, runs, scene, sample, tmp_path, monkeypatch):
    shutil.copy(sample / "truth.gpkg", tmp_path / "o.gpkg")
    layer = QgsVectorLayer(str(tmp_path / "o.gpkg"), "truth")
    QgsProject.instance().addMapLayer(layer)
    layer.selectAll()
    panel.area.choose("selection")
    panel.area.polygons.setLayer(layer)
    panel.output.setFilePath(str(tmp_path / "o.gpkg"))
    agree_to_all(monkeypatch)
    runs.predict()
    assert QgsProject.instance().mapLayersByName("truth")
    assert "holds the layer truth" in panel.state.text()


def test_what_lay_above_the_scene_still_does(panel, runs, scene):
    QgsProject.instance().addMapLayer(QgsVectorLayer("Polygon?crs=EPSG:32645", "roads", "memory"))
    runs.predict()
    wait_until(lambda: runs.job is None)
    order = [layer.name() for layer in QgsProject.instance().layerTreeRoot().layerOrder()]
    assert order == ["roads", "Objects of scene", "scene"]


def test_objects_in_a_format_that_this_qgis_does_not_open(panel, runs, scene, plugin_settings, tmp_path):
    panel.output.setFilePath(str(tmp_path / "o.parquet"))
    runs.predict()
    wait_until(lambda: runs.job is None)
    assert (tmp_path / "o.parquet").exists()
    if not QgsVectorLayer(str(tmp_path / "o.parquet")).isValid():
        assert panel.state.text() == (
            f"The objects are in {tmp_path / 'o.parquet'}, which this QGIS cannot open: save to .gpkg, .fgb, .geojson "
            "or .shp to see them."
        )
        assert not QgsProject.instance().mapLayersByName("Objects of scene")


def test_a_name_that_begins_with_a_tilde(panel):
    panel.output.setFilePath("~draft.gpkg")
    assert panel.output_path() == Path("~draft.gpkg").absolute()
