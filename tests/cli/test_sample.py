import json
import os
import sys

import geopandas
import numpy as np
import pytest
import rasterio
from rasterio.features import rasterize

from weft_geo.datasets.synthetic import draw_scene


def test_a_sample_is_the_drawn_scene_with_its_truth(run):
    result = run("sample", "-o", "new/folder", "--size", "128x192", "--seed", "4", "--gsd", "0.5")
    scene = draw_scene(128, 192, 4, 0.5)
    truth = geopandas.read_file("new/folder/truth.gpkg", layer="objects")
    with rasterio.open("new/folder/scene.tif") as source:
        assert np.array_equal(source.read(), scene.image)
        assert source.crs.to_epsg() == 32645
        assert np.array_equal(
            rasterize(truth.geometry, out_shape=source.shape, transform=source.transform) > 0, scene.mask() > 0
        )
    assert f"{len(scene.polygons)} objects" in result.stderr


def test_a_sample_cannot_go_to_standard_output(run, tmp_path):
    assert "give a folder" in run("sample", "-o", "-", code=2).stderr
    assert not list(tmp_path.iterdir())


def test_the_way_round_the_house(run, model):
    """Sample, predict, vectorize, evaluate, preview: each takes what the one before has made."""
    run("sample", "-o", "s", "--size", "256", "--seed", "2")
    run("predict", "s/scene.tif", "-o", "o.gpkg", "--model", model, "--mask", "mask.tif")
    run("vectorize", "mask.tif", "-o", "again.gpkg")
    same = json.loads(run("evaluate", "--objects", "again.gpkg", "--truth", "o.gpkg", "--json").stdout)
    assert same["f1"] == 1
    assert same["area_iou"] > 0.999
    assert "area IoU" in run("evaluate", "--objects", "o.gpkg", "--truth", "s/truth.geojson").stdout
    run("preview", "s/scene.tif", "o.gpkg", "--truth", "s/truth.gpkg", "-o", "picture.png")


def test_refusals(run):
    run("sample", "-o", "s", "--size", "32")
    assert "--overwrite" in run("sample", "-o", "s", "--size", "32", code=2).stderr
    run("sample", "-o", "s", "--size", "32", "--overwrite")
    assert "EPSG:32645" in run("sample", "-o", "t", "--size", "32", "--crs", "EPSG:1", code=2).stderr


@pytest.mark.skipif(sys.platform == "win32", reason="its folders have other rights")
def test_files_that_another_user_alone_may_replace_are_all_left_alone(run, tmp_path, monkeypatch):
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "scene.tif").write_text("theirs")
    shared.chmod(0o1777)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    said = run("sample", "-o", "shared", "--size", "64", "--overwrite", code=2).stderr
    assert "shared/scene.tif is another user's, who alone may replace it" in said
    assert [path.name for path in shared.iterdir()] == ["scene.tif"]
