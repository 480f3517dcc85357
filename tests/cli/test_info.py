import json

import numpy as np
import pytest
import rasterio

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
