import json
import os
import subprocess
import sys

import geopandas
import pytest
from shapely import box

from weft_geo.geo.lock import lock_outputs


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


def name_classes(**names):
    """Give the layers of `layers` a class an object."""
    for name, (field, classes) in names.items():
        frame = geopandas.read_file(f"{name}.gpkg")
        frame.assign(**{field: classes}).to_file(f"{name}.gpkg", layer=name)


def test_classes_count_where_both_layers_tell_them(run, layers):
    name_classes(true=("class", ["house", "house", "tree", "tree"]), found=("class", ["house", "tree", "tree", "tree"]))
    scores = json.loads(run("evaluate", *layers, "--json").stdout)
    assert scores["class_field"] == "class"
    assert (scores["true_positives"], scores["false_positives"], scores["false_negatives"]) == (1, 3, 3)
    assert scores["classes"]["house"]["f1"] == pytest.approx(2 / 3)
    assert scores["classes"]["tree"] == {
        "true_positives": 0, "false_positives": 3, "false_negatives": 2, "precision": 0, "recall": 0, "f1": 0,
        "mean_iou": 0, "area_iou": pytest.approx(40 / (200 + 290 - 40), abs=1e-3),
    }  # fmt: skip
    text = run("evaluate", *layers).stdout
    assert "object F1  0.250   at IoU ≥ 0.5, of one class" in text
    assert [line.split()[0] for line in text.splitlines()[-3:]] == ["class", "house", "tree"]
    assert text.splitlines()[-2].split()[-3:] == ["1", "1", "2"]


def test_the_class_field_of_the_truth_may_have_another_name(run, layers):
    name_classes(true=("kind", ["house", "house", "tree", "tree"]), found=("class", ["house", "tree", "tree", "tree"]))
    plain = run("evaluate", *layers, "--json")
    assert json.loads(plain.stdout)["class_field"] is None
    assert json.loads(plain.stdout)["true_positives"] == 2
    scores = json.loads(run("evaluate", *layers, "--json", "--class-field", "kind").stdout)
    assert (scores["true_positives"], sorted(scores["classes"])) == (1, ["house", "tree"])
    gone = run("evaluate", *layers, "--class-field", "type", code=2).stderr
    assert "the true objects have no attribute 'type' for the class; they have kind" in gone


def test_classes_with_other_words_are_no_silent_success(run, layers):
    name_classes(true=("class", ["house", "house", "tree", "tree"]), found=("class", ["object"] * 4))
    aside = run("evaluate", *layers)
    assert "object F1  0.500" in aside.stdout
    assert "all predicted objects are 'object', which is no class of the other layer" in aside.stderr
    name_classes(found=("class", ["a", "a", "b", "b"]))
    strangers = run("evaluate", *layers)
    assert "object F1  0.000" in strangers.stdout
    assert "no class is in both layers: a, b among the found objects, house, tree among the true" in strangers.stderr


def test_only_a_part_counts(run, layers):
    box_there = "499990,4999990,500035,5000015"
    scores = json.loads(run("evaluate", *layers, "--json", "--aoi", box_there).stdout)
    assert (scores["true_positives"], scores["false_positives"], scores["false_negatives"]) == (2, 0, 0)
    assert scores["aoi"] == box_there
    area = geopandas.GeoDataFrame(geometry=[box(499_990, 4_999_990, 500_035, 5_000_015)], crs="EPSG:32633")
    area.to_crs("EPSG:4326").to_file("area.geojson")
    assert "2 of 2 true objects are found" in run("evaluate", *layers, "--aoi", "area.geojson").stdout
    assert "does not overlap the objects" in run("evaluate", *layers, "--aoi", "0,0,1,1", code=2).stderr
    assert "gone.gpkg" in run("evaluate", *layers, "--aoi", "gone.gpkg", code=2).stderr


def test_errors_as_a_layer(run, layers, tmp_path):
    name_classes(found=("id", [7, 8, 9, 10]))
    assert "8 objects of both layers → errors.gpkg" in run("evaluate", *layers, "--errors", "errors.gpkg").stderr
    errors = geopandas.read_file("errors.gpkg", layer="objects")
    assert errors["result"].value_counts().to_dict() == {"true_positive": 4, "false_positive": 2, "false_negative": 2}
    there = run("evaluate", *layers, "--errors", "errors.gpkg", code=2).stderr
    assert "errors.gpkg is already there; overwrite it (--overwrite) or give another name" in there
    run("evaluate", *layers, "--errors", "errors.gpkg", "--overwrite", "--iou", "0.95")
    errors = geopandas.read_file("errors.gpkg", layer="objects")
    assert errors["id"].dropna().tolist() == ["7", "8", "9", "10"]
    assert errors["result"].tolist()[:4] == ["true_positive"] + ["false_positive"] * 3
    own = run("evaluate", *layers, "--errors", "true.gpkg", "--overwrite", code=2).stderr
    assert "true.gpkg is one of the files to compare" in own
    assert "no known vector format" in run("evaluate", *layers, "--errors", "errors.txt", code=2).stderr
    assert sorted(item.name for item in tmp_path.iterdir()) == ["errors.gpkg", "found.gpkg", "true.gpkg"]


def test_two_runs_on_one_layer_of_errors_refuse_each_other(run, layers, tmp_path):
    with lock_outputs([tmp_path / "errors.gpkg"]):
        said = run("evaluate", *layers, "--errors", "errors.gpkg", code=2).stderr
        run("evaluate", *layers)
    assert said == "weft-geo: another run is writing errors.gpkg now; wait for it to end, or give another output\n"
    assert sorted(item.name for item in tmp_path.iterdir()) == ["found.gpkg", "true.gpkg"]


def test_options_of_objects_go_with_objects(run):
    words = ["--predictions", "maps", "--truth", "masks", "--class-field", "kind"]
    assert "--class-field goes with --objects A --truth B" in run("evaluate", *words, code=2).stderr


def test_layers_that_cannot_be_read(run, layers, tmp_path):
    assert "does not exist" in run("evaluate", "--objects", "gone.gpkg", "--truth", "true.gpkg", code=2).stderr
    (tmp_path / "text.gpkg").write_text("not a layer")
    assert "cannot be read" in run("evaluate", "--objects", "text.gpkg", "--truth", "true.gpkg", code=2).stderr
    (tmp_path / "surface.csv").write_text('id,WKT\n1,"TIN Z (((0 0 0, 0 1 0, 1 1 0, 0 0 0)))"\n')
    refused = run("evaluate", "--objects", "surface.csv", "--truth", "true.gpkg", code=2).stderr
    assert "surface.csv cannot be read as a vector layer" in refused
    first = geopandas.read_file("true.gpkg")
    first.to_file("true.gpkg", layer="second")
    assert "weft-geo: true.gpkg holds the layers true, second" in run("evaluate", *layers, code=2).stderr


def test_a_pipe_that_knows_not_every_letter_gets_the_rest(layers, tmp_path):
    """As on Windows, where what is piped is in the letters of the region."""
    words = [sys.executable, "-m", "weft_geo_cli.main", "evaluate", "--objects", "found.gpkg", "--truth", "true.gpkg"]
    done = subprocess.run(words, capture_output=True, cwd=tmp_path, env={**os.environ, "PYTHONIOENCODING": "cp1252"})
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"at IoU \\u2265 0.5" in done.stdout
