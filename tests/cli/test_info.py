import json
import os
from pathlib import Path

import geopandas
import numpy as np
import pandas
import pytest
import rasterio
from shapely.geometry import Point

from weft_geo.geo.contract import ModelContract
from weft_geo.inference import load_predictor
from weft_geo_cli.contracts import read_contract


def test_a_scene_and_a_model_that_fit(run, scene, model):
    text = run("info", scene(), model).stdout
    assert "80 × 120 px" in text
    assert "EPSG:32633" in text
    assert "with the model" in text
    assert "    x " not in text


def test_facts_as_json(run, scene, model):
    source = scene()
    report = json.loads(run("info", source, "--model", model, "--json").stdout)[str(source)]
    assert report["kind"] == "scene"
    assert report["pixel"] == "0.5 m"
    assert {note["level"] for note in report["fit"]} == {"ok"}


def test_what_does_not_fit_is_said_and_exits_2(run, make_raster, model):
    result = run("info", make_raster(np.zeros((2, 40, 40), np.uint8)), "--model", model, code=2)
    assert "    x the model takes 3 bands" in result.stdout
    assert "do not fit" in result.stderr
    assert "no CRS" in run("info", make_raster(crs=None), "--model", model, code=2).stderr
    run("info", make_raster(crs=None), "--model", model, "--crs", "EPSG:32633")


def test_a_checkpoint_is_described_without_torch(run, tmp_path):
    contract = ModelContract(classes=("roof", "ship"), gsd_m=0.3, name="mine")
    header = json.dumps({"__metadata__": {"contract": contract.to_json()}}).encode()
    (tmp_path / "mine.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    assert "roof, ship" in run("info", "mine.safetensors").stdout
    header = json.dumps({"__metadata__": {"contract": contract.to_json(), "trunk_sha256": "ab" * 32}}).encode()
    (tmp_path / "part.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    assert "adapter of the trunk with SHA-256 abababababab…" in run("info", "part.safetensors").stdout
    report = json.loads(run("info", "part.safetensors", "--json").stdout)["part.safetensors"]
    assert (report["kind"], report["trunk_sha256"]) == ("adapter", "ab" * 32)
    (tmp_path / "run").mkdir()
    (tmp_path / "part.safetensors").rename(tmp_path / "run" / "adapter.safetensors")
    assert json.loads(run("info", "run", "--json").stdout)["run"] == report


def test_the_folder_of_a_run_stands_for_its_model(run, scene, model, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model.onnx").write_bytes(model.read_bytes())
    assert run("info", "run").stdout.splitlines()[1:] == run("info", model).stdout.splitlines()[1:]
    assert "with the model run" in run("info", scene(), "run").stdout
    (tmp_path / "run" / "model.onnx").unlink()
    assert "run is a folder, not a raster" in run("info", "run", code=2).stderr


def test_pixels_of_a_picture_are_not_resampled(run, make_raster, model):
    picture = make_raster(transform=rasterio.Affine.identity(), crs=None)
    text = run("info", picture, "--crs", "EPSG:32633", "--model", model).stdout
    assert "does not say where it lies; its pixels are taken as units of EPSG:32633" in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a safetensors file"),
        (b"\xff" * 40, "not a safetensors file"),
        ((2).to_bytes(8, "little") + b"{}", "no contract"),
        ((2).to_bytes(8, "little") + b"[]", "not a safetensors file"),
    ],
)
def test_files_that_are_no_checkpoint(run, tmp_path, content, message):
    (tmp_path / "other.safetensors").write_bytes(content)
    assert message in run("info", "other.safetensors", code=2).stderr


def test_an_onnx_file_says_the_same_read_and_run(model):
    assert read_contract(str(model)) == load_predictor(model).contract


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "does not say what it expects"),
        (b"this is no protobuf", "not an ONNX model"),
        (b"\x72\xff\xff\x7f", "not an ONNX model"),
        (b"\x0a\x05ab", "not an ONNX model"),
        (b"\x08\x0a", "does not say what it expects"),
    ],
)
def test_files_that_are_no_onnx_model(run, tmp_path, content, message):
    (tmp_path / "other.onnx").write_bytes(content)
    assert message in run("info", "other.onnx", code=2).stderr


def test_files_that_are_missing(run):
    assert "does not exist" in run("info", "gone.safetensors", code=2).stderr
    assert "does not exist" in run("info", "gone.onnx", code=2).stderr
    assert "does not exist" in run("info", "gone.tif", code=2).stderr


def test_what_can_be_told_is_told_beside_what_cannot(run, scene, model, tmp_path):
    source = scene()
    (tmp_path / "broken.tif").write_text("no raster")
    result = run("info", source, "broken.tif", "gone.onnx", "--model", model, code=2)
    assert "80 × 120 px" in result.stdout
    assert "broken.tif: unreadable\n  error        broken.tif cannot be opened as a raster" in result.stdout
    assert result.stderr.startswith("weft-geo: 2 of 3 paths cannot be read: broken.tif cannot be opened as a raster")
    report = json.loads(run("info", "broken.tif", source, "--model", model, "--json", code=2).stdout)
    assert report["broken.tif"]["kind"] == "unreadable"
    assert report["broken.tif"]["error"].startswith("broken.tif cannot be opened as a raster")
    assert {note["level"] for note in report[str(source)]["fit"]} == {"ok"}
    alone = run("info", "broken.tif", code=2)
    assert alone.stdout == ""
    assert alone.stderr.count("\n") == 1


def test_a_scene_is_not_held_against_another_model_where_the_one_given_cannot_be_read(run, scene, tmp_path):
    (tmp_path / "broken.onnx").write_bytes(b"this is no protobuf")
    source = scene()
    report = json.loads(run("info", source, "broken.onnx", "--json", code=2).stdout)
    assert (report[str(source)]["model"], report[str(source)]["fit"]) == (None, [])


def test_programs_hear_numbers(run, make_raster, model):
    rotated = rasterio.Affine(0.3, 0.1, 500_000, 0.1, -0.3, 5_000_000)
    path = make_raster(np.full((3, 40, 60), np.nan, np.float32), dtype="float32", transform=rotated, nodata=np.nan)
    text = run("info", path, "--model", model, "--json").stdout
    assert "NaN" not in text
    facts = json.loads(text)[str(path)]
    assert (facts["height"], facts["width"], facts["band_count"], facts["dtype"]) == (40, 60, 3, "float32")
    assert facts["epsg"] == 32633
    assert rasterio.CRS.from_wkt(facts["crs_wkt"]).to_epsg() == 32633
    assert facts["transform"] == list(rotated)[:6]
    assert facts["bounds"] == pytest.approx([500_000, 4_999_988, 500_022, 5_000_006])
    assert facts["pixel_m"] == pytest.approx([0.3162, 0.3162], abs=1e-3)
    assert facts["nodata"] == "nan"
    bare = make_raster(crs=None, name="bare.tif")
    facts = json.loads(run("info", bare, "--model", model, "--json", code=2).stdout)[str(bare)]
    assert [facts[key] for key in ("epsg", "crs_wkt", "pixel_m")] == [None, None, None]


@pytest.mark.parametrize("suffix", [".gpkg", ".fgb", ".parquet", ".geojson", ".shp"])
def test_objects_say_how_they_came_about(run, scene, model, suffix):
    source = scene()
    run("predict", source, "-o", f"o{suffix}", "--model", model, "--simplify", 0.1)
    facts = json.loads(run("info", f"o{suffix}", "--json").stdout)[f"o{suffix}"]
    assert (facts["kind"], facts["count"], facts["classes"]) == ("objects", 3, {"bright": 3})
    assert facts["epsg"] == (4326 if suffix == ".geojson" else 32633)
    assert len(facts["bounds"]) == 4
    assert facts["software"].startswith("weft-geo ")
    assert (facts["model"], facts["model_sha256"]) == ("bright", load_predictor(model).sha256)
    assert facts["parameters"]["simplify_m"] == 0.1
    assert (facts["scene"], facts["warnings"]) == (str(source), [])
    text = run("info", f"o{suffix}").stdout
    assert "  classes      bright 3\n" in text
    assert "simplify_m 0.1" in text


def test_rasters_of_ours_say_where_they_are_from_and_are_held_against_no_model(run, scene, model):
    run("predict", scene(), "--mask", "m.tif", "--probability", "p.tif", "-o", "o.gpkg", "--model", model)
    report = json.loads(run("info", "m.tif", "p.tif", "--json").stdout)
    assert [facts["kind"] for facts in report.values()] == ["mask", "probability"]
    assert all(facts["origin"]["model"] == "bright" and "fit" not in facts for facts in report.values())
    run("vectorize", "p.tif", "-o", "v.fgb")
    facts = json.loads(run("info", "v.fgb", "--json").stdout)["v.fgb"]
    assert (facts["kind"], facts["count"], facts["origin"]["model"]) == ("objects", 3, "bright")


@pytest.mark.parametrize("name", ["points.gpkg", "points.parquet", "points.kml"])
def test_other_layers_are_told_apart(run, name):
    layer = geopandas.GeoDataFrame({"Name": ["a", "b"]}, geometry=[Point(1, 2), Point(3, 4)], crs=4326)
    layer.to_parquet(name) if name.endswith("parquet") else layer.to_file(name)
    facts = json.loads(run("info", name, "--json").stdout)[name]
    assert (facts["kind"], facts["count"], facts["geometry"], facts["epsg"]) == ("layer", 2, "Point", 4326)
    assert "Name" in facts["fields"]
    assert facts["bounds"] == [1, 2, 3, 4]
    assert "nothing in or beside it says that weft-geo made it" in run("info", name).stdout


def test_a_geopackage_of_tiles_is_a_scene(run, make_raster, model):
    tiles = make_raster(bands=3, height=256, width=256, name="tiles.gpkg", driver="GPKG", tile_format="PNG")
    assert json.loads(run("info", tiles, "--model", model, "--json").stdout)[str(tiles)]["kind"] == "scene"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x.gpkg", "x.gpkg cannot be read as a vector layer"),
        ("x.parquet", "x.parquet cannot be read as GeoParquet"),
        ("gone.gpkg", "gone.gpkg does not exist"),
    ],
)
def test_files_that_are_no_layer(run, name, message):
    Path("x.gpkg").write_text("no layer")
    pandas.DataFrame({"a": [1]}).to_parquet("x.parquet")
    assert message in run("info", name, code=2).stderr


@pytest.mark.parametrize("name", ["embedded", "weft-tiny"])
def test_a_model_that_comes_with_the_package_is_told_by_its_name(run, tmp_path, name):
    assert run("info", name).stdout.splitlines()[0] == f"{name}: model"
    (tmp_path / name).mkdir()
    (tmp_path / name / "adapter.safetensors").touch()  # what predict --model NAME does not take either
    assert json.loads(run("info", name, "--json").stdout)[name]["contract"]["name"] == "weft-tiny"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no pipes")
def test_a_pipe_is_not_waited_for(run, tmp_path):
    for name in ("pipe", "pipe.gpkg"):
        os.mkfifo(tmp_path / name)
        assert f"{name} is a device or a pipe" in run("info", name, code=2).stderr
    assert "pipe is a device or a pipe" in run("vectorize", "pipe", "-o", "o.gpkg", code=2).stderr
    run("sample", "-o", "s", "--size", "64")
    words = ("predict", "s/scene.tif", "-o", "o.gpkg", "--aoi", "pipe")
    assert "pipe is a device or a pipe" in run(*words, code=2).stderr
