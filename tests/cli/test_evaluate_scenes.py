"""A model against polygons on one's own scenes, through the whole engine."""

import json
import subprocess
import sys

import geopandas
import onnx
import pytest
import rasterio
from affine import Affine
from onnx import helper
from shapely import box

from weft_geo.geo.contract import METADATA_KEY, ModelContract


def write_labels(path, *pixels, crs="EPSG:32633", **columns):
    """Squares of the scene, (left, top, right, bottom) in its pixels of half a metre."""
    shapes = [
        box(500_000 + left / 2, 5_000_000 - bottom / 2, 500_000 + right / 2, 5_000_000 - top / 2)
        for left, top, right, bottom in pixels
    ]
    geopandas.GeoDataFrame(columns, geometry=shapes, crs="EPSG:32633").to_crs(crs).to_file(path)


@pytest.fixture
def several(model, tmp_path):
    """The model of `model`, for bright and for pale things, of which it finds none."""
    graph = onnx.load(model)
    graph.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 2
    graph.graph.node[-1].output[0] = "bright"
    graph.graph.node.extend(
        [
            helper.make_node("Mul", ["bright", "half"], ["pale"]),
            helper.make_node("Concat", ["bright", "pale"], ["y"], axis=1),
        ]
    )
    graph.graph.initializer.append(helper.make_tensor("half", onnx.TensorProto.FLOAT, [], [0.25]))
    contract = ModelContract(classes=("bright", "pale"), window=64, overlap=16, multiple_of=16, gsd_m=0.5, name="two")
    del graph.metadata_props[:]
    helper.set_model_props(graph, {METADATA_KEY: contract.to_json()})
    onnx.save(graph, tmp_path / "two.onnx")
    return tmp_path / "two.onnx"


def test_pixels_and_objects_of_one_scene(run, model, scene):
    scene()  # bright at columns 10, 50 and 90, rows 30 to 40
    write_labels("true.gpkg", (10, 30, 20, 40), (50, 30, 60, 45), (200, 200, 210, 210), crs="EPSG:4326")
    words = [model, "--images", "scene.tif", "--labels", "true.gpkg"]
    scores = json.loads(run("evaluate", *words, "--json").stdout)
    pixels = scores["pixels"]["classes"]["bright"]
    assert scores["pixels"]["count"] == 80 * 120
    assert (pixels["found"], pixels["true"]) == (300, 250)
    assert pixels["iou"] == pytest.approx(200 / 350)
    assert (pixels["precision"], pixels["recall"]) == pytest.approx((2 / 3, 0.8))
    objects = scores["objects"]
    assert (objects["true_positives"], objects["false_positives"], objects["false_negatives"]) == (2, 1, 0)
    assert objects["mean_iou"] == pytest.approx((1 + 2 / 3) / 2, abs=1e-3)
    assert (scores["class_field"], scores["iou_threshold"]) == (None, 0.5)
    text = run("evaluate", *words).stdout
    assert f"{model} on scene.tif: 9,600 pixels" in text
    assert "bright      0.571      0.667      0.800      0.727        300        250" in text
    assert "2 of 3 found objects are true" in text


def test_several_scenes_count_together_and_errors_are_shown(run, model, scene, tmp_path):
    scene()
    scene(name="other.tif", transform=Affine(0.5, 0, 510_000, 0, -0.5, 5_000_000))
    write_labels("true.gpkg", (10, 30, 20, 40))
    write_labels("more.gpkg", (20_010, 30, 20_020, 40), (20_050, 30, 20_060, 40))
    words = [model, "--images", "scene.tif", "other.tif", "--labels", "true.gpkg", "--labels", "more.gpkg"]
    done = run("evaluate", *words, "--json", "--errors", "errors.gpkg")
    scores = json.loads(done.stdout)
    assert scores["pixels"]["count"] == 2 * 80 * 120
    assert (scores["objects"]["true_positives"], scores["objects"]["false_positives"]) == (3, 3)
    errors = geopandas.read_file("errors.gpkg", layer="objects")
    assert errors["result"].value_counts().to_dict() == {"true_positive": 6, "false_positive": 3}
    assert "is already there" in run("evaluate", *words, "--errors", "errors.gpkg", code=2).stderr
    twice = run("evaluate", model, "--images", "scene.tif", "scene.tif", "--labels", "true.gpkg")
    assert "some scenes overlap" in twice.stderr
    assert {item.name for item in tmp_path.iterdir()} == {
        "scene.tif", "other.tif", "true.gpkg", "more.gpkg", "errors.gpkg",
    }  # fmt: skip


def test_ground_without_an_image_takes_no_part(run, model, scene, tmp_path):
    path = scene(nodata=0)
    with rasterio.open(path, "r+") as raster:
        values = raster.read()
        values[:, :, :45] = 0
        raster.write(values)
    write_labels("true.gpkg", (10, 30, 20, 40), (50, 30, 60, 40), (90, 30, 100, 40))
    scores = json.loads(run("evaluate", model, "--images", path, "--labels", "true.gpkg", "--json").stdout)
    assert scores["pixels"]["count"] == 80 * 75
    assert scores["pixels"]["classes"]["bright"]["true"] == 200
    assert (scores["objects"]["true_positives"], scores["objects"]["false_negatives"]) == (2, 0)


def test_several_classes(run, several, scene):
    scene()
    squares = (10, 30, 20, 40), (50, 30, 60, 40), (90, 30, 100, 40)
    write_labels("true.gpkg", *squares, kind=["bright", "pale", "dark"])
    words = [several, "--images", "scene.tif", "--labels", "true.gpkg"]
    refused = run("evaluate", *words, code=2).stderr
    assert "the model tells 2 classes (bright, pale), and true.gpkg does not say" in refused
    scores = json.loads(run("evaluate", *words, "--class-field", "kind", "--json").stdout)
    pixels, objects = scores["pixels"]["classes"], scores["objects"]
    assert list(pixels) == ["bright", "pale", "dark"]
    assert (pixels["bright"]["iou"], pixels["pale"]["recall"], pixels["dark"]["true"]) == (pytest.approx(1 / 3), 0, 100)
    assert (objects["true_positives"], objects["false_positives"], objects["false_negatives"]) == (1, 2, 2)
    assert objects["classes"]["bright"]["precision"] == pytest.approx(1 / 3)
    assert scores["class_field"] == "kind"
    write_labels("named.gpkg", *squares, **{"class": ["bright", "bright", "pale"]})
    text = run("evaluate", several, "--images", "scene.tif", "--labels", "named.gpkg").stdout
    assert "mean        0.333" in text
    assert "object F1  0.667   at IoU ≥ 0.5, of one class" in text


def test_options_of_the_engine(run, model, scene, tmp_path):
    scene()
    write_labels("true.gpkg", (10, 30, 20, 40), (50, 30, 60, 40))
    words = [model, "--images", "scene.tif", "--labels", "true.gpkg", "--json"]
    west = json.loads(run("evaluate", *words, "--aoi", "500000,4999960,500022.5,5000000").stdout)
    assert west["pixels"]["count"] == 80 * 45
    assert west["pixels"]["classes"]["bright"]["true"] == 100
    assert (west["objects"]["true_positives"], west["objects"]["false_negatives"]) == (1, 0)
    assert west["aoi"] == "500000,4999960,500022.5,5000000"
    write_labels("west.gpkg", (0, 0, 45, 80), crs="EPSG:4326")
    same = json.loads(run("evaluate", *words, "--aoi", "west.gpkg").stdout)
    assert same["objects"]["true_positives"] == west["objects"]["true_positives"]
    assert (
        "west.gpkg is one of" in run("evaluate", *words, "--aoi", "west.gpkg", "--errors", "west.gpkg", code=2).stderr
    )
    none = json.loads(run("evaluate", *words, "--min-area-m2", "30", "--tta", "flips").stdout)
    assert none["objects"]["true_positives"] == 0
    assert (none["min_area_m2"], none["threshold"], none["tta"]) == (30, None, "flips")
    dim = json.loads(run("evaluate", *words, "--threshold", "1").stdout)
    assert dim["pixels"]["classes"]["bright"]["found"] == 0


def test_what_is_missing_or_wrong_is_said(run, model, scene):
    scene()
    write_labels("far.gpkg", (9000, 30, 9020, 40))
    for words, says in [
        ([model, "--images", "scene.tif"], "--labels is missing: give MODEL --images A.tif --labels X.gpkg"),
        (["--images", "scene.tif", "--labels", "far.gpkg"], "MODEL is missing"),
        ([model, "--labels", "far.gpkg"], "--images is missing"),
        ([model, "--images", "scene.tif", "--labels", "gone.gpkg"], "gone.gpkg does not exist"),
        ([model, "--images", "gone.tif", "--labels", "far.gpkg"], "gone.tif"),
        ([model, "--images", "scene.tif", "--labels", "far.gpkg"], "no polygon of far.gpkg lies on scene.tif"),
        ([model, "--images", "scene.tif", "--labels", "far.gpkg", "--class-field", "x"], "no attribute 'x'"),
        ([model, "--images", "scene.tif", "--labels", "far.gpkg", "--aoi", "0,0,1,1"], "does not overlap"),
        ([model, "--dataset", "ecssd", "--data-root", ".", "--tta", "d4"], "--tta goes with MODEL --images"),
        (["--objects", "far.gpkg", "--truth", "far.gpkg", "--threshold", "0.4"], "--threshold goes with MODEL"),
        (["--objects", "far.gpkg", "--truth", "far.gpkg", "--min-area-m2", "4"], "--min-area-m2 goes with MODEL"),
        (
            [model, "--images", "scene.tif", "--labels", "far.gpkg", "--errors", "far.gpkg", "--overwrite"],
            "far.gpkg is",
        ),
        ([model, "--images", "scene.tif", "--dataset", "ecssd"], "give one of"),
    ]:
        assert says in run("evaluate", *words, code=2).stderr


def test_it_needs_no_torch(model, scene, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scene()
    write_labels("true.gpkg", (10, 30, 20, 40))
    without = "import sys; sys.modules.update(torch=None, torchgeo=None, py_sod_metrics=None, cv2=None); "
    code = without + "from weft_geo_cli.main import main; main()"
    words = ["evaluate", str(model), "--images", "scene.tif", "--labels", "true.gpkg"]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "object F1  0.500" in done.stdout
