"""The model that ships: small, complete, and better than nothing on a scene it has never seen."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import geopandas as gpd

from weft_geo.datasets.synthetic import draw_scene, write_scene
from weft_geo.inference import load_predictor, predict_scene
from weft_geo.vector import match_objects


def test_it_is_small_and_has_a_card() -> None:
    folder = files("weft_geo.weights")
    with (folder / "weft-tiny.onnx").open("rb") as file:
        assert len(file.read()) <= 20_000_000
    card = (folder / "weft-tiny.md").read_text(encoding="utf-8")
    assert all(source in card for source in ("OpenAerialMap", "CC-BY 4.0", "OpenStreetMap", "ODbL"))


def test_it_says_what_it_expects() -> None:
    contract = load_predictor("embedded").contract
    assert (contract.bands, contract.classes, contract.gsd_m, contract.window) == (3, ("building",), 0.3, 512)


def test_it_finds_buildings(tmp_path: Path) -> None:
    sample = write_scene(draw_scene(512, 512, seed=7, gsd_m=0.3), tmp_path)
    report = predict_scene(sample.scene, load_predictor("embedded"), objects=tmp_path / "objects.gpkg")
    truth = gpd.read_file(sample.truth)
    scores = match_objects(gpd.read_file(tmp_path / "objects.gpkg"), truth[truth["class"] == "building"])
    assert report.objects
    assert scores.area_iou > 0.3
