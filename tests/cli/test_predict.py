import errno
import hashlib
import json
import os
import sys
from contextlib import ExitStack
from pathlib import Path

import geopandas
import pytest
import rasterio

from weft_geo.geo.lock import lock_outputs
from weft_geo.inference import ledger
from weft_geo.inference.provenance import read_provenance
from weft_geo_cli.jobs import as_one_scene


def predict(run, *words, model, code=0):
    return run("predict", *words, "--model", model, code=code)


def test_one_scene_to_one_layer(run, scene, model, tmp_path):
    result = predict(run, scene(), "-o", "objects.gpkg", model=model)
    objects = geopandas.read_file("objects.gpkg", layer="objects")
    assert len(objects) == 3
    assert objects["class"].unique().tolist() == ["bright"]
    assert objects.crs.to_epsg() == 32633
    assert objects.area.tolist() == pytest.approx([25.0] * 3)
    assert result.stdout == ""
    assert "3 objects → objects.gpkg" in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["objects.gpkg", "scene.tif"]


@pytest.mark.parametrize("suffix", [".gpkg", ".fgb", ".parquet", ".geojson", ".shp"])
def test_the_suffix_chooses_the_format(run, scene, model, suffix):
    predict(run, scene(), "-o", f"objects{suffix}", model=model)
    run("evaluate", "--objects", f"objects{suffix}", "--truth", f"objects{suffix}")


@pytest.mark.parametrize("place", [0, 1, 6])
def test_quiet_says_nothing(run, scene, model, place):
    words = ["predict", scene(), "-o", "o.gpkg", "--model", model]
    assert run(*words[:place], "-q", *words[place:]).output == ""


def test_mask_and_probability(run, scene, model):
    predict(run, scene(), "-o", "o.gpkg", "--mask", "mask.tif", "--probability", "p.tif", model=model)
    with rasterio.open("mask.tif") as mask, rasterio.open("p.tif") as probability:
        assert (mask.read(1) == 1).sum() == 300
        assert probability.read(1).max() == 255
    run("vectorize", "p.tif", "-o", "again.gpkg")
    assert len(geopandas.read_file("again.gpkg", layer="objects")) == 3


def test_vector_options_reach_the_objects(run, scene, model):
    source = scene()
    predict(run, source, "-o", "o.gpkg", "--min-area-m2", "26", model=model)
    assert len(geopandas.read_file("o.gpkg", layer="objects")) == 0
    predict(run, source, "-o", "o.gpkg", "--overwrite", "--threshold", "0.9999999", model=model)
    assert len(geopandas.read_file("o.gpkg", layer="objects")) == 0


def test_a_box_leaves_out_the_rest(run, scene, model):
    predict(run, scene(), "-o", "o.gpkg", "--aoi", "500000,4999960,500030,5000000", model=model)
    objects = geopandas.read_file("o.gpkg", layer="objects")
    assert objects.total_bounds[2] <= 500030
    assert len(objects) == 2


def test_a_scene_without_crs_says_what_to_do(run, scene, model):
    source = scene(crs=None)
    assert "--crs EPSG:" in predict(run, source, "-o", "o.gpkg", model=model, code=2).stderr
    predict(run, source, "-o", "o.gpkg", "--crs", "EPSG:32633", model=model)
    assert geopandas.read_file("o.gpkg", layer="objects").crs.to_epsg() == 32633


def test_outputs_are_not_replaced_unasked(run, scene, model):
    source = scene()
    predict(run, source, "-o", "o.gpkg", model=model)
    assert "--overwrite" in predict(run, source, "-o", "o.gpkg", model=model, code=2).stderr
    predict(run, source, "-o", "o.gpkg", "--overwrite", model=model)


def test_dry_run_prints_the_plan_and_writes_nothing(run, scene, model, tmp_path):
    text = predict(run, scene(), "-o", "o.gpkg", "--dry-run", model=model).stdout
    assert "80 × 120 px of 0.5 m in EPSG:32633" in text
    assert "windows of 64 × 64 px sharing 16" in text
    assert "MiB" in text
    assert [path.name for path in tmp_path.iterdir()] == ["scene.tif"]


def test_dry_run_refuses_what_the_run_would_refuse(run, scene, model):
    predict(run, scene(bands=3, crs=None), "-o", "o.gpkg", "--dry-run", model=model, code=2)


def test_dry_run_looks_at_the_outputs(run, scene, model, tmp_path):
    several = [scene(name="a.tif"), scene(name="b.tif")]
    words = (several[0], "-o", "o.gpkg", "--dry-run")
    assert (
        "the folder no does not exist"
        in predict(run, several[0], "-o", "no/o.gpkg", "--dry-run", model=model, code=2).stderr
    )
    assert "must end in .tif" in predict(run, *words, "--mask", "m.png", model=model, code=2).stderr
    assert "the run reads" in predict(run, *words, "--mask", several[0], model=model, code=2).stderr
    said = predict(run, several[0], "-o", "o!.gpkg", "--dry-run", model=model, code=2).stderr
    assert "'o!.gpkg' would be taken for another file" in said
    (tmp_path / "o.gpkg").touch()
    (tmp_path / ".o.gpkg.lock").touch()
    assert "already there" in predict(run, *words, model=model, code=2).stderr
    predict(run, *words, "--overwrite", model=model)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "b.gpkg").touch()
    assert "already there" in predict(run, *several, "-o", "out", "--dry-run", model=model, code=2).stderr
    predict(run, *several, "-o", "out", "--dry-run", "--overwrite", model=model)
    assert (tmp_path / ".o.gpkg.lock").exists()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.gpkg"]


def test_a_folder_that_gdal_takes_for_another_is_refused_before_any_scene(run, scene, model, tmp_path):
    scenes = [scene(name="a.tif"), scene(name="b.tif")]
    assert "would be taken for another file" in predict(run, *scenes, "-o", "out!", model=model, code=2).stderr
    assert not (tmp_path / "out!").exists()
    predict(run, *scenes, "-o", "out!", "--format", "parquet", model=model)


def test_json_progress_is_one_object_a_line(run, scene, model):
    result = predict(run, scene(squares=20), "-o", "o.gpkg", "--progress", "json", model=model)
    events = [json.loads(line) for line in result.stderr.splitlines()]
    assert all(list(event) == ["event", "stage", "done", "total", "message"] for event in events)
    assert events[0]["event"] == "start"
    assert events[-1]["event"] == "done"
    windows = [event for event in events if event["event"] == "progress" and event["stage"] == "predict"]
    assert windows[-1]["done"] == windows[-1]["total"] > 1
    assert [event["done"] for event in windows] == sorted(event["done"] for event in windows)


def test_json_progress_holds_errors_and_warnings_too(run, scene, model):
    result = predict(run, "missing.tif", "-o", "o.gpkg", "--progress", "json", model=model, code=2)
    assert json.loads(result.stderr)["event"] == "error"
    coarse = scene(transform=rasterio.Affine(2, 0, 500_000, 0, -2, 5_000_000))
    result = predict(run, coarse, "-o", "o.gpkg", "--progress", "json", model=model)
    events = [json.loads(line) for line in result.stderr.splitlines()]
    assert any(event["event"] == "warning" and "resampled" in event["message"] for event in events)


def test_programs_hear_which_scene_a_warning_is_of_and_that_a_folder_is_done(run, scene, model):
    coarse = scene(3, name="b.tif", transform=rasterio.Affine(2, 0, 500_000, 0, -2, 5_000_000))
    words = [scene(2, name="a.tif"), coarse, "-o", "out", "--progress", "json"]
    events = [json.loads(line) for line in predict(run, *words, model=model).stderr.splitlines()]
    (warning,) = [event for event in events if event["event"] == "warning"]
    assert warning["message"].startswith(f"{coarse}: ")
    assert "resampled" in warning["message"]
    assert (events[-1]["event"], events[-1]["done"]) == ("done", 2)
    objects = events[-1]["message"].split()[0]
    ledger = json.loads(Path("out/ledger.json").read_text())
    assert ["warnings" in entry for entry in ledger] == [False, True]
    again = [json.loads(line) for line in predict(run, *words, model=model).stderr.splitlines()]
    assert again[-1]["event"] == "done"
    assert again[-1]["message"].split()[0] == objects


def test_several_scenes_go_to_a_folder_with_a_ledger(run, scene, model, tmp_path):
    scenes = [scene(squares=2, name="a.tif"), scene(squares=3, name="b.tif")]
    predict(run, *scenes, "-o", "out", "--mask", "masks", model=model)
    ledger = json.loads((tmp_path / "out" / "ledger.json").read_text())
    assert [(entry["status"], entry["objects"]) for entry in ledger] == [("done", 2), ("done", 3)]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.gpkg", "b.gpkg", "ledger.json"]
    assert sorted(path.name for path in (tmp_path / "masks").iterdir()) == ["a_mask.tif", "b_mask.tif"]
    again = predict(run, *scenes, "-o", "out", "--mask", "masks", model=model).stderr
    assert "2 of 2 scenes were done already" in again
    other = predict(run, *scenes, "-o", "out", "--min-area-m2", "1", model=model, code=2).stderr
    assert f"{Path('out/a.gpkg')} and 1 more are already there" in other
    (tmp_path / "out" / "b.gpkg").unlink()
    again = predict(run, *scenes, "-o", "out", model=model).stderr
    assert "1 of 2 scenes were done already" in again
    assert f"2/2 {scenes[1]}: 3 objects" in again
    assert (tmp_path / "out" / "b.gpkg").exists()


def test_a_folder_of_another_format(run, scene, model, tmp_path):
    words = [scene(squares=2, name="a.tif"), scene(squares=3, name="b.tif"), "-o", "out"]
    predict(run, *words, model=model)
    predict(run, *words, "--format", "parquet", model=model)
    assert len(geopandas.read_parquet(tmp_path / "out" / "b.parquet")) == 3
    for also in ([], ["--format", "parquet"], ["--format", "gpkg"]):
        assert "2 of 2 scenes were done already" in predict(run, *words, *also, model=model).stderr


def test_a_scene_that_fails_does_not_stop_the_others(run, scene, model, tmp_path):
    (tmp_path / "broken.tif").write_bytes(b"II*\0 this is no raster")
    result = predict(run, "broken.tif", scene(name="good.tif"), "missing.tif", "-o", "out", model=model, code=3)
    ledger = json.loads((tmp_path / "out" / "ledger.json").read_text())
    assert [entry["status"] for entry in ledger] == ["failed", "done", "failed"]
    assert "missing.tif does not exist" in ledger[2]["error"]
    assert result.stderr.splitlines()[-1] == f"weft-geo: 2 of 3 scenes failed; {Path('out/ledger.json')} says why"
    assert (tmp_path / "out" / "good.gpkg").exists()


def test_all_scenes_failing_is_a_failure(run, model):
    predict(run, "missing.tif", "gone.tif", "-o", "out", model=model, code=1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a.tif", "b.tif", "-o", "o.gpkg"], "give a folder"),
        (["a.tif", "-o", "o.kml"], "no known vector format"),
        (["a.tif", "-o", "o.gpkg", "--format", "fgb"], "the suffix of o.gpkg says its format"),
        (["a.tif", "-o", "-"], "- is no name of an output"),
        (["a.tif", "-o", ".gpkg"], ".gpkg is no name of an output"),
        (["x/a.tif", "x/a.jp2", "-o", "out"], "x/a.tif and x/a.jp2 would both become a; run them apart"),
        (["x_y/a.tif", "x/y/a.tif", "-o", "out"], "would both become x_y_a"),
    ],
)
def test_outputs_that_do_not_suit_the_scenes(run, model, words, message):
    assert message in predict(run, *words, model=model, code=2).stderr


def test_tiles_as_one_scene(run, scene, model, tmp_path):
    left = scene(squares=2, name="left.tif")
    with rasterio.open(left) as dataset:
        place = dataset.transform @ rasterio.Affine.translation(dataset.width, 0)
    right = scene(squares=3, name="right.tif", transform=place)
    predict(run, left, right, "--mosaic", "-o", "o.gpkg", "--mask", "m.tif", model=model)
    assert len(geopandas.read_file(tmp_path / "o.gpkg")) == 5
    with rasterio.open(tmp_path / "m.tif") as mask, rasterio.open(left) as one, rasterio.open(right) as two:
        assert mask.width == one.width + two.width
        assert json.loads(mask.tags()["WEFT_GEO_PROVENANCE"])["tiles"] == [str(left), str(right)]
    assert not list(tmp_path.glob(".*"))
    assert "give a file with -o" in predict(run, left, right, "--mosaic", "-o", "out", model=model, code=2).stderr
    content = right.read_bytes()
    right.write_bytes(content[: len(content) // 2])
    said = predict(run, left, right, "--mosaic", "-o", "again.gpkg", model=model, code=1).stderr
    assert "right.tif, band 1: IReadBlock failed" in said
    assert said.count("\n") == 1
    assert not list(tmp_path.glob(".*"))


def test_averaging_and_limits_of_memory(run, scene, model, tmp_path):
    options = ("--tta", "d4", "--workers", 1, "--max-memory", "4GB", "--no-resume")
    predict(run, scene(squares=2), "-o", "o.gpkg", *options, model=model)
    assert len(geopandas.read_file(tmp_path / "o.gpkg")) == 2
    assert "needs at least" in predict(run, scene(), "-o", "p.gpkg", "--max-memory", "1MB", model=model, code=2).stderr
    refused = predict(run, scene(), "-o", "p.gpkg", "--engine", "ray", "--device", "cuda:1", model=model, code=2).stderr
    assert "give --device cuda in place of cuda:1" in refused
    assert "such as 4GB" in predict(run, scene(), "-o", "p.gpkg", "--max-memory", "big", model=model, code=2).stderr


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_ray_shares_out_one_scene_and_takes_several_one_by_one(run, scene, model, tmp_path, two_workers):
    predict(run, scene(), "-o", "here.gpkg", model=model)
    predict(run, scene(), "-o", "o.gpkg", "--engine", "ray", model=model)
    here, there = (geopandas.read_file(path, layer="objects") for path in ("here.gpkg", "o.gpkg"))
    assert there.equals(here)
    predict(run, scene(), scene(name="other.tif"), "-o", "out", "--engine", "ray", model=model)
    assert [entry["objects"] for entry in json.loads((tmp_path / "out/ledger.json").read_text())] == [3, 3]


@pytest.mark.parametrize(
    "words",
    [("--bands", "a"), ("--gsd", "x"), ("--crs", "x"), ("--max-memory", "x"), ("--aoi", "x"), ("--threshold", "nan")],
)
def test_what_is_wrong_for_every_scene_is_said_once(run, scene, model, tmp_path, words):
    result = predict(run, scene(name="a.tif"), scene(name="b.tif"), "-o", "out", *words, model=model, code=2)
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_dry_run_leaves_the_mosaic_of_another_run_alone(run, scene, model, tmp_path):
    (tmp_path / ".o.gpkg.mosaic.vrt").write_text("of a run under way")
    predict(run, scene(), "--mosaic", "-o", "o.gpkg", "--dry-run", model=model)
    assert (tmp_path / ".o.gpkg.mosaic.vrt").read_text() == "of a run under way"


def test_the_mosaic_that_another_run_has_made_its_own_stays(scene, tmp_path):
    output = tmp_path / "o.gpkg"
    with ExitStack() as other:
        with as_one_scene([str(scene())], output) as (mosaic,):
            other.enter_context(lock_outputs([output]))
        assert Path(mosaic).exists()
    with as_one_scene([str(scene())], output):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["scene.tif"]


def test_provenance_names_area_and_averaging(run, scene, model):
    predict(run, scene(), "-o", "o.gpkg", "--aoi", "500000,4999960,500030,5000000", "--tta", "flips", model=model)
    said = read_provenance(Path("o.gpkg"))
    assert json.loads(said["parameters"])["aoi"] == "500000,4999960,500030,5000000"
    assert json.loads(said["parameters"])["tta"] == "flips"
    assert said["model_sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()


def test_a_dry_run_names_every_scene_that_would_fail(run, scene, model, tmp_path):
    (tmp_path / "broken.tif").write_text("no raster")
    scenes = [scene(2, name="a.tif"), "broken.tif", "missing.tif", scene(3, name="b.tif")]
    result = predict(run, *scenes, "-o", "out", "--dry-run", model=model, code=3)
    assert [line for line in result.stdout.splitlines() if " px of " in line][1].startswith(f"{scenes[3]}: ")
    assert result.stderr.count("would fail: ") == 2
    assert result.stderr.splitlines()[-1] == "weft-geo: 2 of 4 scenes would fail"
    assert not (tmp_path / "out").exists()


def test_a_scene_that_may_not_be_read_does_not_stop_the_others(run, scene, model, tmp_path, monkeypatch):
    predict_scene = ledger.predict_scene

    def denied(given, *arguments, **options):
        if given.endswith("a.tif"):
            raise PermissionError(errno.EACCES, "Permission denied", given)
        return predict_scene(given, *arguments, **options)

    monkeypatch.setattr(ledger, "predict_scene", denied)
    result = run("predict", scene(name="a.tif"), scene(name="b.tif"), "-o", "out", "--model", model, code=3)
    assert "a.tif failed: [Errno 13] Permission denied" in result.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"b.gpkg", "ledger.json"}


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right there")
@pytest.mark.parametrize(("output", "said"), [("file/new", "file is no folder"), ("link", "link is a link to gone")])
def test_a_folder_that_cannot_be_made_is_refused_before_the_model_is_loaded(run, scene, tmp_path, output, said):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("gone")
    words = ("predict", scene(name="a.tif"), scene(name="b.tif"), "--model", "no model", "-o")
    assert said in run(*words, output, code=2).stderr
    assert said in run(*words, "out", "--mask", output, code=2).stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="its folders have other rights")
def test_another_users_ledger_is_refused_before_any_work(run, scene, tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "ledger.json").write_text("[]")
    (tmp_path / "out").chmod(0o1777)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    said = run("predict", scene(name="a.tif"), scene(name="b.tif"), "-o", "out", "--model", "no model", code=2).stderr
    assert "out/ledger.json is another user's, who alone may replace it" in said
