"""The command lines of the plugin are those that weft-geo knows."""

from __future__ import annotations

from pathlib import Path

from weft_geo_qgis.arguments import Evaluate, Outlines, Predict, Train, Vectorize


def test_what_is_left_alone_is_left_to_weft_geo():
    words = Predict("/a b/scene.tif", Path("/out/o.gpkg")).words()
    assert words == [
        "predict", "/a b/scene.tif", "--output=/out/o.gpkg", "--model=embedded", "--overwrite", "--progress=json",
    ]  # fmt: skip


def test_every_choice_becomes_an_option():
    outlines = Outlines(0.4, 10, 2, 0.5, True, True)
    words = Predict(
        "s", Path("o.gpkg"), "m.onnx", outlines, "-1,-2,3,4", "EPSG:3857", "3,2,1", "cpu", "--tta flips --window 256"
    ).words()
    assert words[4:-2] == [
        "--threshold=0.4", "--min-area-m2=10", "--min-hole-m2=2", "--simplify=0.5", "--regularize",
        "--outline=subpixel",
        "--aoi=-1,-2,3,4", "--crs=EPSG:3857", "--bands=3,2,1", "--device=cpu", "--tta", "flips", "--window", "256",
    ]  # fmt: skip


def test_the_other_commands():
    assert Vectorize("m.tif", Path("o.gpkg"), classes="a,b", crs="EPSG:1").words() == [
        "vectorize", "m.tif", "--output=o.gpkg", "--classes=a,b", "--crs=EPSG:1", "--overwrite", "--progress=json",
    ]  # fmt: skip
    assert Train(Path("run"), "s.tif", Path("l.gpkg"), 3, "--seed 5").words() == [
        "train", "--images=s.tif", "--labels=l.gpkg", "--output=run", "--max-steps=3", "--seed", "5", "--progress=json",
    ]  # fmt: skip
    assert Train(Path("run")).words() == ["train", "--output=run", "--progress=json"]
    assert Evaluate(Path("a.gpkg"), Path("b.gpkg"), 0.5).words() == [
        "evaluate", "--objects=a.gpkg", "--truth=b.gpkg", "--iou=0.5", "--json", "--progress=json",
    ]  # fmt: skip
    assert Evaluate(Path("a.gpkg"), Path("b.gpkg"), 0.5, "kind", "-1,-2,3,4", "e.gpkg").words()[4:-2] == [
        "--class-field=kind", "--aoi=-1,-2,3,4", "--errors=e.gpkg", "--overwrite",
    ]  # fmt: skip
