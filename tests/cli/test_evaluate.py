import json
import os
import subprocess
import sys

import geopandas
import pytest
from shapely import box


@pytest.fixture
def layers(tmp_path):
    """Four true squares; three are found, one of them poorly, and one square is found where there is none."""
    true = [box(x, 0, x + 10, 10) for x in (0, 20, 40, 60)]
    found = [box(0, 0, 10, 10), box(20, 0, 30, 9), box(46, 0, 56, 10), box(100, 0, 110, 10)]
    for name, shapes in {"true": true, "found": found}.items():
        frame = geopandas.GeoDataFrame(geometry=shapes, crs="EPSG:32633").translate(500_000, 5_000_000)
        geopandas.GeoDataFrame(geometry=frame).to_file(tmp_path / f"{name}.gpkg", layer=name)
    return ["--objects", "found.gpkg", "--truth", "true.gpkg"]


def test_scores_as_text(run, layers):
    text = run("evaluate", *layers).stdout
    assert "object F1  0.500   at IoU ≥ 0.5" in text
    assert "2 of 4 found objects are true" in text


def test_scores_as_json(run, layers):
    scores = json.loads(run("evaluate", *layers, "--json").stdout)
    assert scores["true_positives"] == scores["false_positives"] == scores["false_negatives"] == 2
    assert scores["mean_iou"] == pytest.approx(0.95, abs=1e-3)
    assert scores["area_iou"] == pytest.approx((100 + 90 + 40) / (800 - 10 - 230), abs=1e-3)
    assert json.loads(run("evaluate", *layers, "--json", "--iou", "0.95").stdout)["true_positives"] == 1


def test_layers_that_cannot_be_read(run, layers, tmp_path):
    assert "does not exist" in run("evaluate", "--objects", "gone.gpkg", "--truth", "true.gpkg", code=2).stderr
    (tmp_path / "text.gpkg").write_text("not a layer")
    assert "cannot be read" in run("evaluate", "--objects", "text.gpkg", "--truth", "true.gpkg", code=2).stderr
    first = geopandas.read_file("true.gpkg")
    first.to_file("true.gpkg", layer="second")
    assert "the layers true, second" in run("evaluate", *layers, code=2).stderr


def test_a_pipe_that_knows_not_every_letter_gets_the_rest(layers, tmp_path):
    """As on Windows, where what is piped is in the letters of the region."""
    words = [sys.executable, "-m", "weft_geo_cli.main", "evaluate", "--objects", "found.gpkg", "--truth", "true.gpkg"]
    done = subprocess.run(words, capture_output=True, cwd=tmp_path, env={**os.environ, "PYTHONIOENCODING": "cp1252"})
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"at IoU \\u2265 0.5" in done.stdout
