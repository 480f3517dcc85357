"""What users, services and other programs do that nobody would have thought of."""

from __future__ import annotations

import sys
import time
from pathlib import Path

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
    QgsTask,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QThreadPool

import weft_geo_qgis.run as run_module
from weft_geo_qgis.areas import write_polygons
from weft_geo_qgis.child import Outcome
from weft_geo_qgis.options_page import Errand, OptionsFactory
from weft_geo_qgis.sentences import failed


def stand_in(folder: Path, says: str, code: int = 0, objects: Path | None = None) -> str:
    """A weft-geo that says something on stderr, and may write objects."""
    path = folder / "weft-geo"
    path.write_text(
        f"#!{sys.executable}\n"
        "import shutil, sys\n"
        "if '--version' in sys.argv:\n"
        "    print('weft-geo 0.1.0')\n"
        "    sys.exit()\n"
        f"sys.stderr.write({says!r})\n"
        "output = next((word[9:] for word in sys.argv if word.startswith('--output=')), '')\n"
        + (f"shutil.copy({str(objects)!r}, output)\n" if objects else "")
        + f"sys.exit({code})\n"
    )
    path.chmod(0o755)
    return str(path)


def raster(sample: Path) -> QgsRasterLayer:
    return QgsRasterLayer(str(sample / "scene.tif"), "s")


@pytest.mark.parametrize("fields", ["row:string", "row:integer", "geom:string", "Name:string&field=name:string"])
def test_polygons_whose_fields_have_the_names_of_ours(qgis_app, tmp_path, fields):
    layer = QgsVectorLayer(f"Polygon?crs=EPSG:32645&field={fields}&field=class:string", "cells", "memory")
    for side in (10, 20):
        feature = QgsFeature(layer.fields())
        feature.setGeometry(QgsGeometry.fromRect(QgsRectangle(0, 0, side, side)))
        feature[0], feature["class"] = 7, "house"
        layer.dataProvider().addFeature(feature)
    write_polygons(layer, tmp_path / "copy.gpkg", QgsProject.instance().transformContext())
    written = list(QgsVectorLayer(str(tmp_path / "copy.gpkg")).getFeatures())
    assert [(feature["class"], feature.geometry().area()) for feature in written] == [("house", 100), ("house", 400)]


def test_a_scene_in_a_geopackage_is_not_replaced(run_algorithm, sample, tmp_path):
    from osgeo import gdal

    gdal.UseExceptions()
    options = gdal.TranslateOptions(format="GPKG", creationOptions=["RASTER_TABLE=pic"])
    gdal.Translate(str(tmp_path / "s.gpkg"), str(sample / "scene.tif"), options=options)
    source = f"GPKG:{tmp_path}/s.gpkg:pic"
    with pytest.raises(QgsProcessingException, match="holds the layer s, which is read"):
        run_algorithm("predict", INPUT=QgsRasterLayer(source, "s"), OUTPUT=str(tmp_path / "s.gpkg"))
    assert QgsRasterLayer(source, "s").isValid()


@pytest.mark.parametrize(
    "line",
    [
        '{"event":"warning","message":"caf\\udce9.tif"}',
        '{"event":"progress","stage":"predict","done":"3","total":"5"}',
        '{"event":"progress","stage":"predict","done":NaN,"total":5}',
        "[" * 100_000,
    ],
)
def test_odd_lines_do_not_end_a_run(run_algorithm, plugin_settings, sample, tmp_path, line):
    plugin_settings.choose_interpreter(stand_in(tmp_path, line + "\n", objects=sample / "truth.gpkg"))
    assert run_algorithm("predict", INPUT=raster(sample), OUTPUT=str(tmp_path / "o.gpkg"))["OBJECTS"] > 0


def test_a_full_disk_under_the_log_does_not_end_a_run(run_algorithm, sample, tmp_path, monkeypatch):
    begin = run_module._Log.__init__

    def on_a_full_disk(self, keep):
        begin(self, keep)
        if self._file:
            self._file.close()
            self._file = Path("/dev/full").open("w", encoding="utf-8")  # noqa: SIM115

    monkeypatch.setattr(run_module._Log, "__init__", on_a_full_disk)
    assert run_algorithm("predict", INPUT=raster(sample), OUTPUT=str(tmp_path / "o.gpkg"))["OBJECTS"] > 0


def test_a_finished_run_keeps_its_labels(run_algorithm, plugin_settings, sample, tmp_path):
    plugin_settings.choose_interpreter(stand_in(tmp_path, "not empty\n", code=2))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model.onnx").write_bytes(b"x")
    (tmp_path / "run_labels.gpkg").write_bytes(b"mine")
    labels = QgsVectorLayer(str(sample / "truth.gpkg"), "t")
    with pytest.raises(QgsProcessingException, match="is not empty: choose a new folder"):
        run_algorithm("train", INPUT=raster(sample), LABELS=labels, OUTPUT=str(tmp_path / "run"))
    assert (tmp_path / "run_labels.gpkg").read_bytes() == b"mine"


def test_train_into_a_place_that_cannot_be_written_to(run_algorithm, sample, tmp_path):
    (tmp_path / "file").write_text("")
    labels = QgsVectorLayer(str(sample / "truth.gpkg"), "t")
    with pytest.raises(QgsProcessingException, match="cannot be written to") as caught:
        run_algorithm("train", INPUT=raster(sample), LABELS=labels, OUTPUT=str(tmp_path / "file" / "run"))
    assert "Traceback" not in str(caught.value)


def test_an_open_quotation_mark(run_algorithm, sample, tmp_path):
    with pytest.raises(QgsProcessingException, match="Further options cannot be read") as caught:
        run_algorithm("predict", INPUT=raster(sample), MORE='--mask="x', OUTPUT=str(tmp_path / "o.gpkg"))
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize(
    "reason",
    [
        "Permission denied: /models/m.onnx",
        "/data/scene.tif cannot be opened as a raster: /data/scene.tif: Permission denied",
    ],
)
def test_what_may_not_be_read_is_not_told_of_the_output(reason):
    assert failed(Outcome(2, "", False), reason, [], Path("/data/objects.gpkg"), "") == f"{reason}."


@pytest.mark.parametrize("name", ["100%20.gpkg", "a%2f/objects.gpkg"])
def test_a_geopackage_whose_name_qgis_reads_as_another(run_algorithm, sample, tmp_path, name):
    """It takes %20 for a space, and opens the file of that name if there is one."""
    (tmp_path / name).parent.mkdir(exist_ok=True)
    with pytest.raises(QgsProcessingException, match=r"takes %2[0f] for another letter: choose a name without it"):
        run_algorithm("predict", INPUT=raster(sample), OUTPUT=str(tmp_path / name))
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("name", ["100 %.gpkg", "100%20.fgb", "a'b\"c & ä#?.gpkg"])
def test_other_odd_names(run_algorithm, sample, tmp_path, name):
    assert run_algorithm("predict", INPUT=raster(sample), OUTPUT=str(tmp_path / name))["OBJECTS"] > 0


def test_tiles_that_do_not_come(run_algorithm, tmp_path):
    half = 20_037_508.342789244
    side = 2 * half / 2**18
    west, north = 192_000 * side - half, half - 110_000 * side
    box = QgsReferencedRectangle(
        QgsRectangle(west, north - 2 * side, west + 2 * side, north), QgsCoordinateReferenceSystem("EPSG:3857")
    )
    layer = QgsRasterLayer("type=xyz&url=http://127.0.0.1:9/{z}/{x}/{y}.png&zmin=18&zmax=18", "tiles", "wms")
    with pytest.raises(QgsProcessingException, match="sent no picture"):
        run_algorithm("predict", INPUT=layer, EXTENT=box, OUTPUT=str(tmp_path / "o.gpkg"))


def test_an_errand_that_waits_for_its_turn_can_be_ended(qgis_app, plugin_settings):
    pool, stop = QThreadPool.globalInstance(), []
    before = pool.maxThreadCount()
    pool.setMaxThreadCount(1)

    def wait(task):
        while not stop:
            time.sleep(0.05)

    other = QgsTask.fromFunction("other", wait)
    QgsApplication.taskManager().addTask(other)
    process_events(lambda: other.status() == QgsTask.TaskStatus.Running)
    factory = OptionsFactory()
    factory.start(Errand("waits", lambda say, cancelled: "done"))
    process_events(lambda: False, 0.2)
    factory.end()
    stop.append(True)
    process_events(lambda: other.status() != QgsTask.TaskStatus.Running)
    pool.setMaxThreadCount(before)
    assert factory.errand is None


def process_events(is_so, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not is_so() and time.monotonic() < end:
        QgsApplication.processEvents()
        time.sleep(0.01)
