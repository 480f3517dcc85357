import json
from pathlib import Path

import geopandas
import numpy as np

from weft_geo.geo.lock import lock_outputs
from weft_geo.inference.provenance import read_provenance


def test_a_mask_to_objects(run, make_raster):
    mask = np.zeros((1, 60, 90), np.uint8)
    mask[0, 10:20, 10:30] = mask[0, 40:50, 50:60] = 255
    result = run("vectorize", make_raster(mask, name="mask.tif"), "-o", "o.geojson")
    objects = geopandas.read_file("o.geojson")
    assert len(objects) == 2
    assert objects.crs.to_epsg() == 4326
    assert "2 objects → o.geojson" in result.stderr
    run("vectorize", "mask.tif", "-o", "large.gpkg", "--min-area-m2", "40")
    assert len(geopandas.read_file("large.gpkg", layer="objects")) == 1


def test_classes_by_name(run, make_raster):
    classes = np.zeros((1, 40, 60), np.uint8)
    classes[0, 5:15, 5:15], classes[0, 5:15, 15:30] = 1, 2
    run("vectorize", make_raster(classes, name="classes.tif"), "-o", "o.gpkg", "--classes", "roof, road")
    assert geopandas.read_file("o.gpkg", layer="objects")["class"].tolist() == ["roof", "road"]


def test_refusals(run, make_raster):
    source = make_raster(np.full((1, 40, 60), 255, np.uint8), name="mask.tif")
    assert "does not exist" in run("vectorize", "missing.tif", "-o", "o.gpkg", code=2).stderr
    assert ".gpkg" in run("vectorize", source, "-o", "o.kml", code=2).stderr
    run("vectorize", source, "-o", "o.gpkg")
    assert "already" in run("vectorize", source, "-o", "o.gpkg", code=2).stderr
    run("vectorize", source, "-o", "o.gpkg", "--overwrite")


def test_a_raster_without_crs(run, make_raster):
    source = make_raster(np.full((1, 40, 60), 255, np.uint8), name="mask.tif", crs=None)
    assert "--crs EPSG:" in run("vectorize", source, "-o", "o.gpkg", code=2).stderr
    run("vectorize", source, "-o", "o.gpkg", "--crs", "EPSG:32633")


def test_memory_is_kept_or_refused(run, make_raster):
    source = make_raster(np.full((1, 40, 60), 255, np.uint8), name="mask.tif")
    run("vectorize", source, "-o", "o.gpkg", "--max-memory", "4GB")
    result = run("vectorize", source, "-o", "p.gpkg", "--max-memory", "1MB", code=2)
    assert "mask.tif needs at least" in result.stderr


def test_a_crs_that_does_not_fit_is_refused_and_another_one_told(run, make_raster):
    source = make_raster(np.full((1, 40, 60), 255, np.uint8), name="mask.tif", crs=None)
    refused = run("vectorize", source, "-o", "o.gpkg", "--crs", "EPSG:4326", code=2)
    assert "is not a place in EPSG:4326" in refused.stderr
    placed = make_raster(np.full((1, 40, 60), 255, np.uint8), name="placed.tif")
    assert "says EPSG:32633" in run("vectorize", placed, "-o", "o.gpkg", "--crs", "EPSG:32634").stderr


def test_a_raster_of_predict_keeps_threshold_and_least_area(run, scene, model):
    """Tuning an outline must not bring back what the model's contract left out."""
    chosen = ["--threshold", "0.6", "--min-area-m2", "26"]
    run("predict", scene(), "-o", "o.gpkg", "--probability", "p.tif", "--mask", "m.tif", "--model", model, *chosen)
    for raster in ("p.tif", "m.tif"):
        run("vectorize", raster, "-o", "again.gpkg", "--overwrite")
        assert len(geopandas.read_file("again.gpkg", layer="objects")) == 0
        said = read_provenance(Path("again.gpkg"))
        assert json.loads(said["parameters"])["threshold"] == 0.6
        assert json.loads(said["origin"])["model"] == "bright"
        run("vectorize", raster, "-o", "again.gpkg", "--overwrite", "--min-area-m2", "0")
        assert len(geopandas.read_file("again.gpkg", layer="objects")) == 3


def test_two_runs_on_one_layer_refuse_each_other(run, make_raster, tmp_path):
    raster, layer = make_raster(), tmp_path / "o.gpkg"
    with lock_outputs([layer]):
        assert "another run is writing" in run("vectorize", raster, "-o", layer, code=2).stderr
    assert not layer.exists()
