"""The plugin itself: what the button shows, and what is left when it is taken away."""

from __future__ import annotations

import time

import pytest
from qgis.core import QgsApplication, QgsProject, QgsRasterLayer, QgsVectorLayer

from weft_geo_qgis.plugin import WeftGeoPlugin


@pytest.fixture
def plugin(qgis_iface, qgis_new_project, qgis_processing, plugin_settings):
    plugin = WeftGeoPlugin(qgis_iface)
    plugin.initGui()
    yield plugin
    if plugin.panel is not None:
        plugin.unload()


def test_a_vector_layer_that_is_active_leaves_the_raster_chosen(plugin, qgis_iface, sample):
    scene, truth = QgsRasterLayer(str(sample / "scene.tif"), "scene"), QgsVectorLayer(str(sample / "truth.gpkg"))
    QgsProject.instance().addMapLayers([scene, truth])
    qgis_iface.setActiveLayer(truth)
    plugin.show_panel()
    assert plugin.panel.raster() == scene


def test_unloading_waits_for_the_run_that_it_stops(plugin, sample):
    """QGIS uses what the run holds until it has ended."""
    scene = QgsRasterLayer(str(sample / "scene.tif"), "scene")
    QgsProject.instance().addMapLayer(scene)
    plugin.show_panel()
    plugin.panel.run.click()
    runs, began = plugin.runs, time.monotonic()
    plugin.unload()
    assert runs.job is None
    assert time.monotonic() - began < 10
    assert not [task for task in QgsApplication.taskManager().tasks() if task.description() == "Objects of scene"]
