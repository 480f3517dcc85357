"""Every object of two layers, marked right, wrong or missed."""

import json
import shutil
import sqlite3
import subprocess
import sys

import geopandas
import geoparquet_validator
import pytest
import shapely
from shapely import box

from weft_geo.errors import CrsError, InputError, OutputBusyError, OutputExistsError, RunError
from weft_geo.vector import export
from weft_geo.vector.errors_layer import SCHEMA, open_errors, write_errors
from weft_geo.vector.pairs import pair_objects

SUFFIXES = (".gpkg", ".fgb", ".parquet", ".geojson", ".shp")


def layer(*boxes, crs="EPSG:32636", **columns):
    shapes = [box(500_000 + a, 5_000_000 + b, 500_000 + c, 5_000_000 + d) for a, b, c, d in boxes]
    return geopandas.GeoDataFrame(columns, geometry=shapes, crs="EPSG:32636").to_crs(crs)


@pytest.fixture
def layers():
    """One right, one wrong, one missed; the true ones in degrees."""
    found = layer((0, 0, 10, 8), (50, 0, 60, 10), id=[4, 5], **{"class": ["house", "tree"]})
    return found, layer((0, 0, 10, 10), (20, 0, 30, 10), crs="EPSG:4326", osm_id=[796960072.0, None])


def write(path, found, true, by=None, aoi=None, **options):
    pairs = pair_objects(found, true, by=by, aoi=aoi)
    with open_errors(path, **options) as file:
        return write_errors(file, found, true, pairs, by, {"software": "weft-geo 0"})


def read(path):
    return geopandas.read_parquet(path) if path.suffix == ".parquet" else geopandas.read_file(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_in_it(suffix, layers, tmp_path):
    found, true = layers
    path = tmp_path / f"errors{suffix}"
    assert write(path, found, true) == 4
    errors = read(path)
    if suffix == ".fgb":  # in the order of its index
        errors = errors.sort_values(["source", "result"], ascending=[True, False], ignore_index=True)
    rows = errors[["result", "source", "class", "id"]].astype(object).where(lambda cells: cells.notna(), None)
    expected = [
        ["true_positive", "objects", "house", "4"],
        ["false_positive", "objects", "tree", "5"],
        ["true_positive", "truth", None, "796960072"],
        ["false_negative", "truth", None, None],
    ]
    assert sorted(rows.to_numpy().tolist(), key=str) == sorted(expected, key=str)
    assert sorted(errors["iou"].dropna()) == pytest.approx([0.8, 0.8], rel=1e-4)
    assert (errors["iou"].notna() == (errors["result"] == "true_positive")).all()
    assert errors.crs == ("EPSG:4326" if suffix == ".geojson" else found.crs)
    pair = errors[errors["result"] == "true_positive"].to_crs(found.crs)
    assert sorted(pair.area) == pytest.approx([80, 100], rel=1e-3)


def test_classes_and_areas_are_heeded(layers, tmp_path):
    found, true = layers
    true = true.assign(kind=["tree", "house"])
    write(tmp_path / "errors.gpkg", found, true, by="kind", aoi=(499_990, 4_999_990, 500_035, 5_000_015))
    errors = geopandas.read_file(tmp_path / "errors.gpkg", layer="objects")
    assert errors[["result", "class"]].to_numpy().tolist() == [
        ["false_positive", "house"],
        ["false_negative", "tree"],
        ["false_negative", "house"],
    ]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_nothing_at_all_is_an_empty_layer(suffix, tmp_path):
    nothing = layer()
    assert write(tmp_path / f"errors{suffix}", nothing, nothing) == 0
    assert len(read(tmp_path / f"errors{suffix}")) == 0


def test_both_kinds_of_polygons(tmp_path):
    two = shapely.union_all(layer((0, 0, 9, 9), (20, 0, 30, 9)).geometry)
    found = geopandas.GeoDataFrame(geometry=[two, *layer((50, 0, 60, 10)).geometry], crs="EPSG:32636")
    for suffix in SUFFIXES:
        path = tmp_path / f"errors{suffix}"
        assert write(path, found, found) == 4
        assert sorted(read(path).to_crs(found.crs).area.round()) == [100, 100, 171, 171]


@pytest.mark.skipif(shutil.which("ogrinfo") is None, reason="GDAL's own programs are not installed")
@pytest.mark.parametrize("suffix", [".gpkg", ".fgb", ".geojson", ".shp"])
def test_ogrinfo_opens_it_without_a_warning(suffix, layers, tmp_path):
    path = tmp_path / f"errors{suffix}"
    write(path, *layers)
    done = subprocess.run(["ogrinfo", "-ro", "-al", "-so", path], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "Feature Count: 4" in done.stdout


def test_qgis_colours_it_by_what_was_right(layers, tmp_path):
    write(tmp_path / "errors.gpkg", *layers)
    with sqlite3.connect(tmp_path / "errors.gpkg") as database:
        assert database.execute("pragma user_version").fetchone()[0] <= 10300
        ((name, qml, default),) = database.execute("select styleName, styleQML, useAsDefault from layer_styles")
    database.close()
    assert (name, default) == ("result", 1)
    for result in ("true_positive", "false_positive", "false_negative"):
        assert f'value="{result}"' in qml


def test_geoparquet_is_valid_and_tells_where_it_comes_from(layers, tmp_path):
    write(tmp_path / "errors.parquet", *layers)
    assert geoparquet_validator.failed(geoparquet_validator.check(str(tmp_path / "errors.parquet"))) == []
    write(tmp_path / "errors.fgb", *layers)
    assert json.loads((tmp_path / "errors.fgb.json").read_text())["software"] == "weft-geo 0"


def test_the_order_of_the_attributes(layers, tmp_path):
    write(tmp_path / "errors.parquet", *layers)
    assert list(read(tmp_path / "errors.parquet").columns) == SCHEMA.names


def test_whole_or_not_at_all(layers, tmp_path, monkeypatch):
    path = tmp_path / "errors.gpkg"
    path.write_text("older")
    with pytest.raises(OutputExistsError, match="is already there; overwrite it"), open_errors(path):
        pass
    inputs = [None, str(path)]
    with pytest.raises(InputError, match="one of the files"), open_errors(path, overwrite=True, inputs=inputs):
        pass

    def fail(*args, **options):
        raise OSError("no more room")

    monkeypatch.setattr(export, "_write_arrow", fail)
    with pytest.raises(RunError, match="could not be written"):
        write(path, *layers, overwrite=True)
    assert path.read_text() == "older"
    assert [item.name for item in tmp_path.iterdir()] == ["errors.gpkg"]


def test_no_other_run_may_write_it_while_this_one_compares(layers, tmp_path):
    path = tmp_path / "errors.gpkg"
    with open_errors(path), pytest.raises(OutputBusyError, match="another run is writing"):
        write(path, *layers)
    assert not list(tmp_path.iterdir())


def test_what_a_killed_run_left_is_cleared_by_the_next(layers, tmp_path):
    path = tmp_path / "errors.gpkg"
    script = (
        "import os, sys; from weft_geo.vector.errors_layer import open_errors\n"
        "with open_errors(sys.argv[1]): os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert sorted(item.name for item in tmp_path.iterdir()) == [".errors.gpkg.lock", ".errors.gpkg.part"]
    write(path, *layers)
    assert [item.name for item in tmp_path.iterdir()] == ["errors.gpkg"]


def test_layers_without_a_crs(layers, tmp_path):
    plain = layers[0].set_crs(None, allow_override=True)
    assert write(tmp_path / "errors.gpkg", plain, plain) == 4
    with pytest.raises(CrsError, match=r"write \.gpkg instead"):
        write(tmp_path / "errors.geojson", plain, plain)
