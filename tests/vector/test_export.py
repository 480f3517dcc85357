"""Five formats: what goes in comes out, and a file is there whole or not at all."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import textwrap
from xml.etree import ElementTree

import geopandas
import geoparquet_validator
import numpy as np
import pyarrow.parquet
import pyogrio
import pyproj
import pytest
import shapely
from affine import Affine

from tests.vector.masks import discs
from weft_geo.errors import CrsError, InputError, OutputBusyError, OutputExistsError, RunError, VectorError
from weft_geo.geo.lock import lock_outputs
from weft_geo.geo.vector_file import read_vector_file
from weft_geo.vector import ObjectStream, VectorOptions, export, layer_file, polygonize, vectorizer

SUFFIXES = (".gpkg", ".fgb", ".parquet", ".geojson", ".shp")
TRANSFORM, CRS = Affine(0.3, 0, 500_000.1, 0, -0.3, 5_000_000.7), "EPSG:32636"
PROVENANCE = {"software": "weft-geo 0", "model": "weft-tiny", "parameters": {"threshold": 0.5}}


def probability(seed=0, shape=(60, 80)):
    rng = np.random.default_rng(seed)
    blocks = rng.random((shape[0] // 4, shape[1] // 4)) < 0.35
    return (np.kron(blocks, np.ones((4, 4))) * rng.uniform(0.5, 1, shape)).astype(np.float32)


def write(path, values=None, **options):
    values = probability() if values is None else values
    height, width = values.shape[-2:]
    with ObjectStream(
        path, width=width, height=height, transform=TRANSFORM, crs=CRS, provenance=PROVENANCE, **options
    ) as stream:
        stream.push(values.reshape(-1, height, width))
    return stream.count


def read(path):
    if path.suffix == ".parquet":
        return geopandas.read_parquet(path)
    return geopandas.read_file(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("seed", [0, 1])
def test_round_trip(suffix, seed, tmp_path):
    values = probability(seed)
    if seed:  # corners that touch make MultiPolygons
        values[::2, 0] = 1
        values[1::2, 1] = 1
    expected = polygonize(values, TRANSFORM, CRS)
    path = tmp_path / f"objects{suffix}"
    assert write(path, values) == len(expected)
    objects = read(path)
    if suffix == ".shp":
        objects = objects.rename(columns={short: name for name, short in export.SHAPEFILE_FIELDS.items()})
    if suffix == ".fgb":
        objects = objects.sort_values("id", ignore_index=True)
    if suffix == ".geojson":
        expected = expected.to_crs("EPSG:4326")
        objects["id"] = objects["id"].astype("int64")
    assert objects.crs == expected.crs
    assert list(objects.columns) == list(expected.columns)
    assert [str(kind) for kind in objects.dtypes] == [str(kind) for kind in expected.dtypes]
    assert objects["id"].tolist() == list(range(1, len(expected) + 1))
    for name in ("class", "touches_edge", "touches_nodata"):
        assert objects[name].tolist() == expected[name].tolist()
    for name in ("score", "score_max", "area_m2", "perimeter_m"):
        assert objects[name].to_numpy() == pytest.approx(expected[name].to_numpy(), rel=1e-9)
    tolerance = 1e-6 if suffix == ".geojson" else 0.0
    assert objects.geometry.count_coordinates().tolist() == expected.geometry.count_coordinates().tolist()
    assert shapely.hausdorff_distance(objects.geometry.array, expected.geometry.array).max() <= tolerance
    assert objects.is_valid.all()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_nothing_found_is_an_empty_layer_with_all_columns(suffix, tmp_path):
    path = tmp_path / f"objects{suffix}"
    assert write(path, np.zeros((10, 12), np.float32)) == 0
    objects = read(path)
    assert len(objects) == 0
    assert objects.crs == ("EPSG:4326" if suffix == ".geojson" else CRS)
    if suffix not in (".geojson", ".shp"):  # GeoJSON has no schema without features
        assert list(objects.columns) == export.SCHEMA.names


def test_geopackage(tmp_path):
    path = tmp_path / "objects.gpkg"
    write(path)
    assert pyogrio.list_layers(path)[:, 0].tolist() == ["objects", "layer_styles"]
    with sqlite3.connect(path) as database:
        assert database.execute("pragma user_version").fetchone()[0] <= 10300
        assert database.execute("pragma application_id").fetchone()[0] == 0x47504B47
        assert database.execute("pragma integrity_check").fetchone()[0] == "ok"
        tables = {name for (name,) in database.execute("select name from sqlite_master where type = 'table'")}
        assert "rtree_objects_geom" in tables
        (metadata,) = database.execute("select metadata from gpkg_metadata").fetchone()
        kind, column = database.execute("select geometry_type_name, column_name from gpkg_geometry_columns").fetchone()
        ((styled, where, qml, default),) = database.execute(
            "select f_table_name, f_geometry_column, styleQML, useAsDefault from layer_styles"
        ).fetchall()
        registered = database.execute("select table_name, data_type from gpkg_contents").fetchall()
    database.close()
    assert "weft-tiny" in metadata
    assert kind in ("POLYGON", "MULTIPOLYGON")
    assert registered == [("objects", "features"), ("layer_styles", "attributes")]
    assert (styled, where, default) == ("objects", column, 1)
    assert "coalesce(&quot;score&quot;, 1)" in qml  # objects drawn by hand have none
    assert sorted(item.name for item in tmp_path.iterdir()) == ["objects.gpkg"]


def test_a_geopackage_of_several_classes_is_coloured_by_class(tmp_path):
    """By score they would all look alike; what is drawn by hand has no class yet."""
    classes = tuple(f"k{number}" for number in range(9))
    values = np.zeros((9, 10, 30), np.float32)
    for number in range(9):
        values[number, 2:8, 3 * number : 3 * number + 2] = 0.9
    path = tmp_path / "objects.gpkg"
    write(path, values, classes=classes)
    with sqlite3.connect(path) as database:
        ((name, qml),) = database.execute("select styleName, styleQML from layer_styles")
    database.close()
    renderer = ElementTree.fromstring(qml.partition("\n")[2]).find("renderer-v2")
    assert (name, renderer.get("type"), renderer.get("attr")) == ("class", "categorizedSymbol", "class")
    assert [category.get("value") for category in renderer.iter("category")] == [*classes, ""]
    colors = [option.get("value") for option in renderer.iter("Option") if option.get("name") == "outline_color"]
    assert len(set(colors)) == 10


@pytest.mark.skipif(shutil.which("ogrinfo") is None, reason="GDAL's own programs are not installed")
@pytest.mark.parametrize("suffix", [".gpkg", ".fgb", ".geojson", ".shp"])
def test_ogrinfo_opens_it_without_a_warning(suffix, tmp_path):
    path = tmp_path / f"objects{suffix}"
    count = write(path)
    done = subprocess.run(["ogrinfo", "-ro", "-al", "-so", path], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert f"Feature Count: {count}" in done.stdout


@pytest.mark.parametrize("values", [probability(), np.zeros((10, 12), np.float32)])
def test_geoparquet_is_valid(values, tmp_path):
    write(tmp_path / "objects.parquet", values)
    report = geoparquet_validator.check(str(tmp_path / "objects.parquet"))
    assert report["version"] == "1.1.0"
    assert geoparquet_validator.failed(report) == []
    passed = {outcome["id"] for outcome in report["outcomes"] if outcome["status"] == "pass"}
    assert {"/conf/core/geo-metadata", "/conf/covering/bbox-column-structure"} <= passed


def test_geoparquet(tmp_path):
    path = tmp_path / "objects.parquet"
    write(path)
    file = pyarrow.parquet.ParquetFile(path)
    meta = json.loads(file.metadata.metadata[b"geo"])
    assert meta["version"] == "1.1.0"
    column = meta["columns"]["geometry"]
    assert column["covering"]["bbox"]["xmin"] == ["bbox", "xmin"]
    assert column["crs"]["id"] == {"authority": "EPSG", "code": 32636}
    table = file.read().to_pydict()
    bounds = shapely.bounds(shapely.from_wkb(table["geometry"]))
    assert np.array([list(box.values()) for box in table["bbox"]]) == pytest.approx(bounds)
    assert column["bbox"] == pytest.approx([*bounds[:, :2].min(axis=0), *bounds[:, 2:].max(axis=0)])
    assert column["orientation"] == "counterclockwise"
    assert json.loads(file.schema_arrow.metadata[b"weft_geo.provenance"])["model"] == "weft-tiny"
    kinds = set(geopandas.read_parquet(path).geom_type)
    assert set(column["geometry_types"]) == kinds
    file.close()


def test_geojson_is_rfc_7946(tmp_path):
    path = tmp_path / "objects.geojson"
    write(path)
    layer = json.loads(path.read_text())
    assert layer["type"] == "FeatureCollection"
    assert "crs" not in layer
    properties = layer["features"][0]["properties"]
    assert list(properties) == [name for name in export.SCHEMA.names if name != "geometry"]
    for feature in layer["features"]:
        shape = shapely.geometry.shape(feature["geometry"])
        assert all(part.exterior.is_ccw for part in shapely.get_parts(shape))
        assert shapely.get_coordinates(shape) == pytest.approx(np.round(shapely.get_coordinates(shape), 7), abs=1e-12)
        assert 32 < shape.centroid.x < 34


def test_pixels_of_a_centimetre_stay_valid_in_geojson(tmp_path):
    mask = discs(60, 3, 8.0, value=1).astype(np.float32)
    path = tmp_path / "objects.geojson"
    with ObjectStream(
        path, width=60, height=60, transform=Affine(0.004, 0, 500_000, 0, -0.004, 5_000_000), crs=CRS
    ) as stream:
        stream.push(mask[None])
    objects = read(path)
    assert len(objects) == 9
    assert objects.is_valid.all()
    assert not objects.is_empty.any()


@pytest.mark.parametrize("suffix", [".fgb", ".geojson", ".shp"])
def test_provenance_beside(suffix, tmp_path):
    write(tmp_path / f"objects{suffix}")
    assert json.loads((tmp_path / f"objects{suffix}.json").read_text()) == PROVENANCE


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_many_batches(suffix, tmp_path, monkeypatch):
    monkeypatch.setattr("weft_geo.vector.spool.BATCH_BYTES", 3000)
    expected = polygonize(probability(), TRANSFORM, CRS)
    write(tmp_path / f"objects{suffix}")
    objects = read(tmp_path / f"objects{suffix}").sort_values("id")
    assert objects["area_m2"].tolist() == pytest.approx(expected["area_m2"].tolist())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_exception_leaves_nothing_behind(suffix, tmp_path):
    stream = ObjectStream(tmp_path / f"o{suffix}", width=80, height=60, transform=TRANSFORM, crs=CRS)

    def break_off():
        with stream:
            stream.push(probability()[None, :30])
            raise KeyError

    with pytest.raises(KeyError):
        break_off()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_exception_keeps_what_was_there(suffix, tmp_path):
    path = tmp_path / f"o{suffix}"
    write(path)
    before = {item.name: item.read_bytes() for item in tmp_path.iterdir()}
    with (
        pytest.raises(InputError, match="30 rows came and 60"),
        ObjectStream(path, width=80, height=60, transform=TRANSFORM, crs=CRS, overwrite=True) as stream,
    ):
        stream.push(probability()[None, :30])
    assert {item.name: item.read_bytes() for item in tmp_path.iterdir()} == before


def test_a_driver_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise pyogrio.errors.DataSourceError("disk full")

    monkeypatch.setattr(pyogrio, "write_arrow", fail)
    with pytest.raises(RunError, match="disk full"):
        write(tmp_path / "o.gpkg")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("lost", [1, 4_096])
def test_a_flatgeobuf_that_the_disk_did_not_take_to_its_end_is_a_failure(lost, tmp_path, monkeypatch):
    whole = pyogrio.write_arrow

    def cut_short(reader, path, **options):  # what GDAL leaves, without an error, where the disk fills as it closes
        whole(reader, path, **options)
        os.truncate(path, path.stat().st_size - lost)

    monkeypatch.setattr(pyogrio, "write_arrow", cut_short)
    with pytest.raises(RunError, match=r"o\.fgb could not be written"):
        write(tmp_path / "o.fgb")
    assert list(tmp_path.iterdir()) == []


def test_a_failure_while_outlining_fails_the_run(tmp_path, monkeypatch):
    def fail(*_):
        raise RunError("out of paper")

    monkeypatch.setattr(vectorizer, "describe", fail)  # runs in a thread of its own
    with pytest.raises(RunError, match="out of paper"):
        write(tmp_path / "o.gpkg")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_failure_in_a_batch_says_why(suffix, tmp_path, monkeypatch):
    """GDAL calls it "Error while accessing batch"."""

    def fail(*_):
        raise RunError("out of ink")
        yield

    monkeypatch.setattr(vectorizer.Vectorizer, "ordered", fail)
    with pytest.raises(RunError, match="out of ink"):
        write(tmp_path / f"o{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_is_cleared_by_the_next(tmp_path):
    script = textwrap.dedent(
        f"""
        import os, signal, numpy as np
        from affine import Affine
        from weft_geo.vector import ObjectStream
        out = {str(tmp_path / "o.gpkg")!r}
        with ObjectStream(out, width=8, height=8, transform=Affine(1, 0, 0, 0, 1, 0), crs=None) as s:
            s.push(np.ones((1, 4, 8), np.float32))
            os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    subprocess.run([sys.executable, "-c", script], check=False)
    assert not (tmp_path / "o.gpkg").exists()
    write(tmp_path / "o.gpkg")
    assert [item.name for item in tmp_path.iterdir()] == ["o.gpkg"]


def test_two_streams_into_one_layer_refuse_each_other(tmp_path):
    path, place = tmp_path / "o.gpkg", {"width": 80, "height": 60, "transform": TRANSFORM, "crs": CRS}
    with ObjectStream(path, **place) as stream:
        with pytest.raises(OutputBusyError, match=r"another run is writing .*o\.gpkg now"):
            write(path)
        stream.push(probability()[None])
    assert [item.name for item in tmp_path.iterdir()] == ["o.gpkg"]
    with ObjectStream(path, overwrite=True, **place) as stream:
        with pytest.raises(OutputExistsError):  # and takes nothing of the other one away
            ObjectStream(path, **place)
        stream.push(probability()[None])
    assert [item.name for item in tmp_path.iterdir()] == ["o.gpkg"]


def test_a_layer_that_another_run_made_before_ours_had_its_lock_is_not_replaced(tmp_path, monkeypatch):
    path = tmp_path / "o.gpkg"

    def lock_late(paths):
        path.write_text("another run's")
        return lock_outputs(paths)

    monkeypatch.setattr(layer_file, "lock_outputs", lock_late)
    with pytest.raises(OutputExistsError):
        write(path)
    assert path.read_text() == "another run's"
    assert [item.name for item in tmp_path.iterdir()] == ["o.gpkg"]


@pytest.mark.parametrize("moved", [1, 5])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_shapefile_killed_on_its_way_into_place_is_no_mix_and_is_replaced_by_the_next(moved, overwrite, tmp_path):
    if overwrite:
        write(tmp_path / "o.shp", probability(1))
    script = textwrap.dedent(
        f"""
        import os, signal
        from pathlib import Path
        from tests.vector.test_export import write
        from weft_geo.vector import layer_file
        move, moved = layer_file.move_into_place, []

        def die(made, place):
            if len(moved) == {moved}:
                os.kill(os.getpid(), signal.SIGKILL)
            moved.append(move(made, place))

        layer_file.move_into_place = die
        write(Path({str(tmp_path / "o.shp")!r}), overwrite={overwrite})
        """
    )
    subprocess.run([sys.executable, "-c", script], check=False)
    assert not (tmp_path / "o.shp").exists()
    sooner = "layer_file.write_layer = lambda *_: os.kill(os.getpid(), signal.SIGKILL)"
    subprocess.run([sys.executable, "-c", script.replace("layer_file.move_into_place = die", sooner)], check=False)
    write(tmp_path / "o.shp", overwrite=overwrite)
    assert {item.suffix for item in tmp_path.iterdir()} == {".shp", ".shx", ".dbf", ".prj", ".cpg", ".json"}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_a_run_left_that_was_killed_at_its_very_end_is_cleared_where_the_next_is_refused(suffix, tmp_path):
    path = tmp_path / f"o{suffix}"
    write(path)
    there = set(tmp_path.iterdir())
    (tmp_path / f".{path.name}.part" / "made").mkdir(parents=True)
    (tmp_path / f".{path.name}.lock").touch()
    with pytest.raises(OutputExistsError):
        write(path)
    assert set(tmp_path.iterdir()) == there


@pytest.mark.parametrize("suffix", [".shp", ".fgb"])
@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_file_that_does_not_get_to_its_place_takes_the_others_along(suffix, failure, tmp_path, monkeypatch):
    path, move = tmp_path / f"o{suffix}", layer_file.move_into_place

    def fail(made, place):
        if place == path:
            raise failure
        move(made, place)

    with monkeypatch.context() as patch:
        patch.setattr(layer_file, "move_into_place", fail)
        with pytest.raises(RunError if isinstance(failure, OSError) else KeyboardInterrupt):
            write(path)
    assert not list(tmp_path.iterdir())
    write(path)


@pytest.mark.parametrize(("number", "expected"), [(28, RunError), (13, InputError)])
def test_a_folder_that_takes_nothing_is_one_line_and_left_as_it_was(number, expected, tmp_path, monkeypatch):
    mkdir = layer_file.Path.mkdir

    def fail(self, *rest, **more):
        if self.name == "made":
            mkdir(self.parent)
            raise OSError(number, os.strerror(number))
        mkdir(self, *rest, **more)

    monkeypatch.setattr(layer_file.Path, "mkdir", fail)
    with pytest.raises(expected, match=os.strerror(number)):
        write(tmp_path / "o.gpkg")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_output_that_is_there_is_found_before_any_work(suffix, tmp_path):
    path = tmp_path / f"o{suffix}"
    write(path)
    with pytest.raises(OutputExistsError, match="already there"):
        ObjectStream(path, width=8, height=8, transform=TRANSFORM, crs=CRS)
    assert write(path, np.zeros((8, 8), np.float32), overwrite=True) == 0
    assert len(read(path)) == 0


def test_a_shapefile_takes_its_stale_parts_along(tmp_path):
    write(tmp_path / "o.shp")
    (tmp_path / "o.qix").write_bytes(b"stale")
    write(tmp_path / "o.shp", overwrite=True)
    assert not (tmp_path / "o.qix").exists()
    assert {item.suffix for item in tmp_path.iterdir()} == {".shp", ".shx", ".dbf", ".prj", ".cpg", ".json"}


def test_names_that_cannot_be_written(tmp_path):
    wrong = {"o.kml": r"\.gpkg", "o": r"\.gpkg", "missing/o.gpkg": "does not exist", "a\nb.gpkg": "line break or a tab"}
    for name, told in wrong.items():
        with pytest.raises(InputError, match=told):
            ObjectStream(tmp_path / name, width=8, height=8, transform=TRANSFORM, crs=CRS)
    (tmp_path / "folder.gpkg").mkdir()
    with pytest.raises(InputError, match="folder"):
        ObjectStream(tmp_path / "folder.gpkg", width=8, height=8, transform=TRANSFORM, crs=CRS, overwrite=True)


@pytest.mark.skipif(sys.platform == "win32", reason="pyogrio takes names that begin with a drive as they are")
def test_names_that_would_be_taken_for_others(tmp_path):
    (tmp_path / "!first").mkdir()
    for name in ("!first/o.gpkg", "now!.fgb"):
        with pytest.raises(InputError, match=rf"{name}' would be taken for another file, for it .* has a !"):
            ObjectStream(tmp_path / name, width=8, height=8, transform=TRANSFORM, crs=CRS)
    assert [path.name for path in tmp_path.rglob("*")] == ["!first"]


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".GPKG", ".SHP"])
@pytest.mark.parametrize("name", ["semi;colon", "a.b", "brack[1]", "q?u#o%20te'", "objects", "日本 été"])
def test_any_other_name_can(name, suffix, tmp_path):
    if sys.platform == "win32":
        name = name.replace("?", "")
    path = tmp_path / f"{name}{suffix}"
    count = write(path)
    if ";" in name and suffix != ".parquet" and sys.platform != "win32":
        with pytest.raises(VectorError, match=r"would be taken for another file.* a ; or a line break; rename it"):
            read_vector_file(path)
    else:
        assert len(read_vector_file(path)) == count
    for item in list(tmp_path.iterdir()):
        assert item.name.startswith(name)
        item.rename(tmp_path / item.name.replace(name, "plain"))  # readers have troubles of their own
    assert len(read(tmp_path / f"plain{suffix}")) == count


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right there")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_where_the_output_is_a_link_the_file_it_leads_to_is_written(suffix, tmp_path):
    link, real = tmp_path / f"link{suffix}", tmp_path / "far" / f"real{suffix}"
    real.parent.mkdir()
    link.symlink_to(real)
    count = write(link)
    assert link.is_symlink()
    assert [item.name for item in tmp_path.iterdir() if item.is_file()] == [link.name]
    assert len(read(real)) == count
    with pytest.raises(OutputExistsError):
        write(link)


ENGINEERING = 'ENGCRS["site",EDATUM["site"],CS[Cartesian,2],AXIS["x",east],AXIS["y",north],LENGTHUNIT["metre",1]]'


@pytest.mark.parametrize("suffix", [".gpkg", ".fgb", ".parquet", ".shp"])
def test_an_engineering_crs_is_kept(suffix, tmp_path):
    path = tmp_path / f"o{suffix}"
    with ObjectStream(path, width=4, height=4, transform=TRANSFORM, crs=ENGINEERING) as stream:
        stream.push(np.ones((1, 4, 4), np.float32))
    assert read(path).crs.name == "site"


def test_geojson_needs_a_place_on_earth(tmp_path):
    for crs, told in ((None, "no CRS"), (ENGINEERING, "the CRS site")):
        with pytest.raises(CrsError, match=told):
            ObjectStream(tmp_path / "o.geojson", width=4, height=4, transform=TRANSFORM, crs=crs)
    assert list(tmp_path.iterdir()) == []


def test_a_layer_without_a_crs(tmp_path):
    path = tmp_path / "o.gpkg"
    with ObjectStream(path, width=4, height=4, transform=Affine.identity(), crs=None) as stream:
        stream.push(np.ones((1, 4, 4), np.float32))
    assert len(read(path)) == 1


def test_strips_that_do_not_fit(tmp_path):
    with (
        pytest.raises(InputError, match=r"\[1, rows, 8\]"),
        ObjectStream(tmp_path / "o.gpkg", width=8, height=8, transform=TRANSFORM, crs=CRS) as stream,
    ):
        stream.push(np.ones((1, 4, 9), np.float32))
    with (
        pytest.raises(InputError, match="9 rows came and 8"),
        ObjectStream(tmp_path / "o.gpkg", width=8, height=8, transform=TRANSFORM, crs=CRS) as stream,
    ):
        stream.push(np.ones((1, 9, 8), np.float32))
    assert list(tmp_path.iterdir()) == []


def test_regularised_layers(tmp_path):
    path = tmp_path / "o.gpkg"
    values = probability()
    count = write(path, values, options=VectorOptions(regularize=True, connectivity=4))
    objects = read(path)
    assert count == len(objects)
    expected = polygonize(values, TRANSFORM, CRS, regularize=True, connectivity=4)
    assert objects.geometry.geom_equals(expected.geometry).all()
    assert list(objects.columns) == export.SCHEMA.names


def equal_area(shape):
    """The area in m² of a shape in longitude and latitude, its edges straight in a cylindrical equal-area map."""
    change = pyproj.Transformer.from_crs("EPSG:4326", "+proj=cea +datum=WGS84", always_xy=True)
    return shapely.transform(shape, lambda xy: np.column_stack(change.transform(xy[:, 0], xy[:, 1]))).area


RING = np.zeros((60, 60), np.uint8)
RING[5:55, 5:55] = 1
RING[25:35, 25:35] = RING[10:14, 28:33] = 0


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        ("EPSG:4326", Affine(0.01, 0, 359.7, 0, -0.01, 10)),
        ("EPSG:4326", Affine(0.01, 0, 179.7, 0, -0.01, 10)),
        ("EPSG:3857", Affine(10, 0, 20_037_508.34 - 300, 0, -10, 1e6)),
        ("EPSG:3832", Affine(1000, 0, 3_339_584.7 - 30_000, 0, -1000, -1.9e6)),
        ("EPSG:3413", Affine(10_000, 0, -300_000, 0, -10_000, 300_000)),
        ("EPSG:3031", Affine(10_000, 0, -300_000, 0, -10_000, 300_000)),
    ],
)
def test_geojson_over_180_degrees_and_around_a_pole(crs, transform, tmp_path):
    path = tmp_path / "objects.geojson"
    with ObjectStream(path, width=60, height=60, transform=transform, crs=crs) as stream:
        stream.push(RING[None].astype(np.float32))
    (feature,) = json.loads(path.read_text())["features"]
    shape = shapely.geometry.shape(feature["geometry"])
    assert shape.is_valid
    assert -180 <= shape.bounds[0] <= shape.bounds[2] <= 180
    assert equal_area(shape) == pytest.approx(feature["properties"]["area_m2"], rel=2e-3)


@pytest.mark.parametrize("outline", ["pixel", "subpixel"])
def test_nan_counts_as_0(outline, tmp_path):
    values = np.full((1, 9, 9), 0.0, np.float32)
    values[0, 2:6, 2:6] = 0.9
    found = []
    for name, nothing in (("a.gpkg", 0.0), ("b.gpkg", np.nan)):
        values[0, 3, 3] = values[0, 6] = nothing
        write(tmp_path / name, values, options=VectorOptions(outline=outline))
        found.append(geopandas.read_file(tmp_path / name, layer="objects"))
    assert found[0].geometry.geom_equals(found[1].geometry).all()


def test_parts_of_a_shapefile_are_not_replaced_unasked(tmp_path):
    (tmp_path / "o.dbf").write_text("a table of somebody")
    with pytest.raises(OutputExistsError, match=r"o\.dbf is already there"):
        layer_file.LayerFile(tmp_path / "o.shp")
    layer_file.LayerFile(tmp_path / "o.shp", overwrite=True)


HOOK = np.zeros((20, 20), np.uint8)
HOOK[7:13, 7:13] = HOOK[2, 4:17] = HOOK[2:11, 16] = HOOK[10, 12:17] = 1


@pytest.mark.parametrize("crs", ["EPSG:3413", "EPSG:3031"])
@pytest.mark.parametrize("pixel", [100, 1_000, 10_000])
@pytest.mark.parametrize("turns", range(4))
def test_geojson_around_a_pole_of_an_object_that_lies_behind_itself(crs, pixel, turns, tmp_path):
    path = tmp_path / "objects.geojson"
    transform = Affine(pixel, 0, -10 * pixel, 0, -pixel, 10 * pixel)
    with ObjectStream(path, width=20, height=20, transform=transform, crs=crs) as stream:
        stream.push(np.rot90(HOOK, turns)[None].astype(np.float32))
    (feature,) = json.loads(path.read_text())["features"]
    shape = shapely.geometry.shape(feature["geometry"])
    assert shape.is_valid
    assert equal_area(shape) == pytest.approx(feature["properties"]["area_m2"], rel=2e-3)


def test_geojson_of_a_long_object_beside_a_pole(tmp_path):
    """Straight in degrees, its edges cross each other."""
    path = tmp_path / "objects.geojson"
    transform = Affine(4648.57, -1841.42, -70393.27, -1841.42, -4648.57, 10259.49)
    mask = np.ones((1, 5, 52), np.float32)
    mask[0, 3:, 26:29] = 0
    with ObjectStream(path, width=52, height=5, transform=transform, crs="EPSG:3995") as stream:
        stream.push(mask)
    (feature,) = json.loads(path.read_text())["features"]
    shape = shapely.geometry.shape(feature["geometry"])
    assert shape.is_valid
    assert equal_area(shape) == pytest.approx(feature["properties"]["area_m2"], rel=2e-2)
