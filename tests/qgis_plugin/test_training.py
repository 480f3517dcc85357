"""The learning loop, with a weft-geo that has the train extra: polygons, a run, a model in the list, objects by it."""

from __future__ import annotations

import subprocess
import textwrap
import time
from pathlib import Path

import pytest
from qgis.core import (
    QgsApplication,
    QgsFeature,
    QgsGeometry,
    QgsProcessingException,
    QgsProject,
    QgsRasterLayer,
    QgsVectorLayer,
)
from qgis.PyQt.QtWidgets import QMessageBox

from weft_geo_qgis import places
from weft_geo_qgis.environment import clean_environment
from weft_geo_qgis.job import Job
from weft_geo_qgis.panel import Panel
from weft_geo_qgis.runs import Runs


@pytest.fixture(scope="module")
def can_train(weft_geo) -> None:
    done = subprocess.run([*weft_geo, "train", "--help"], capture_output=True, env=clean_environment())
    if done.returncode:
        pytest.skip("this weft-geo cannot train yet")


@pytest.fixture(scope="module")
def small(weft_geo, cli, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("small") / "small"
    cli([*weft_geo, "sample", "-o", folder, "--size", 256])
    return folder


def wait_until(is_so, seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it took too long"
        QgsApplication.processEvents()
        time.sleep(0.02)


def test_a_run_is_stopped_goes_on_and_its_model_finds_objects(can_train, run_algorithm, small, tmp_path):
    scene, truth = QgsRasterLayer(str(small / "scene.tif"), "scene"), QgsVectorLayer(str(small / "truth.gpkg"), "truth")
    QgsProject.instance().addMapLayers([scene, truth])
    folder = tmp_path / "run"
    more = "--max-steps 6 --batch-size 1 --crop 64 --val-every 3 --workers 0 --device cpu"
    parameters = {"INPUT": scene, "LABELS": truth, "MORE": more, "OUTPUT": str(folder)}

    job, said, ended = Job("weft_geo:train", parameters, "Learning"), [], []
    job.feedback.told.connect(said.append)
    job.done.connect(lambda results: ended.append("done"))
    job.failed.connect(ended.append)
    job.cancelled.connect(lambda: ended.append("cancelled"))
    job.start()
    wait_until(lambda: ended or any("loss" in text for text in said))
    job.cancel()
    wait_until(lambda: ended)
    assert ended == ["cancelled"]
    assert (folder / "last.ckpt").is_file()
    assert not (folder / "model.onnx").exists()

    found = run_algorithm("train", **(parameters | {"MORE": ""}))
    assert "Going on with the run" in run_algorithm.feedback.textLog()
    assert Path(found["MODEL"]).is_file()
    objects = run_algorithm("predict", INPUT=scene, MODEL=found["MODEL"], OUTPUT=str(tmp_path / "o.gpkg"))
    assert objects["OBJECTS"] >= 0
    QgsProject.instance().clear()


def test_the_panel_learns_from_edits_that_are_not_saved(
    can_train, qgis_iface, qgis_new_project, plugin_settings, provider, small, tmp_path, monkeypatch
):
    monkeypatch.setattr(places, "learnt_models", lambda: tmp_path)
    monkeypatch.setattr(QMessageBox, "question", lambda *_: QMessageBox.StandardButton.Yes)
    panel = Panel(qgis_iface)
    runs = Runs(qgis_iface, panel)
    scene = QgsRasterLayer(str(small / "scene.tif"), "scene")
    labels = QgsVectorLayer(f"Polygon?crs={scene.crs().authid()}", "labels", "memory")
    QgsProject.instance().addMapLayers([scene, labels])
    labels.startEditing()
    for drawn in QgsVectorLayer(str(small / "truth.gpkg"), "truth").getFeatures():
        feature = QgsFeature(labels.fields())
        feature.setGeometry(QgsGeometry(drawn.geometry()))
        labels.addFeature(feature)
    panel.layer.setLayer(scene)
    panel.labels.setLayer(labels)
    panel.steps.setValue(3)

    panel.learn.click()
    assert not panel.learn.isEnabled()
    wait_until(lambda: panel.curve.losses or runs.job is None)
    assert panel.curve.losses, panel.state.text()
    panel.cancel.click()
    wait_until(lambda: runs.job is None)
    assert "press Learn from my edits to go on" in panel.state.text()

    panel.learn.click()
    wait_until(lambda: runs.job is None)
    assert "has learnt from your edits" in panel.state.text()
    assert panel.model.currentData() == str(next(tmp_path.glob("scene_*/model.onnx")))
    assert labels.isEditable()
    labels.rollBack()
    panel.deleteLater()


def test_a_question_that_is_cancelled_starts_nothing(
    qgis_iface, qgis_new_project, plugin_settings, provider, small, monkeypatch
):
    button, buttons = QMessageBox.StandardButton, []

    def question(parent, title, text, offered):
        buttons.append(offered)
        return button.Cancel

    monkeypatch.setattr(QMessageBox, "question", question)
    panel = Panel(qgis_iface)
    runs = Runs(qgis_iface, panel)
    scene, labels = (
        QgsRasterLayer(str(small / "scene.tif"), "scene"),
        QgsVectorLayer(str(small / "truth.gpkg"), "truth"),
    )
    QgsProject.instance().addMapLayers([scene, labels])
    stopped = places.learnt_models() / "scene_2026-01-01_00-00-00"
    stopped.mkdir()
    (stopped / "last.ckpt").touch()
    panel.layer.setLayer(scene)
    panel.labels.setLayer(labels)
    panel.learn.click()
    assert buttons == [button.Yes | button.No | button.Cancel]
    assert runs.job is None
    panel.deleteLater()


def test_a_weft_geo_without_training_is_told_how_to_get_it(
    run_algorithm, plugin_settings, interpreter, small, tmp_path
):
    """What the button Install brings."""
    python = interpreter / "bin" / "python" if interpreter.is_dir() else interpreter
    script = tmp_path / "weft-geo"
    script.write_text(
        textwrap.dedent(
            f"""\
            #!{python}
            import sys
            sys.modules |= dict.fromkeys(("torch", "timm", "lightning", "yaml", "jsonargparse"))
            from weft_geo_cli.main import main
            main()
            """
        )
    )
    script.chmod(0o755)
    plugin_settings.choose_interpreter(str(script))
    parameters = {"INPUT": str(small / "scene.tif"), "LABELS": str(small / "truth.gpkg")}
    with pytest.raises(QgsProcessingException) as caught:
        run_algorithm("train", OUTPUT=str(tmp_path / "runs" / "run"), **parameters)
    assert str(caught.value) == (
        "This weft-geo cannot train yet: press Install with training in Settings ▸ Options ▸ weft-geo."
    )
    assert list((tmp_path / "runs").iterdir()) == [], "the copy of the polygons has gone as well"
