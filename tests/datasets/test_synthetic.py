import contextlib
import json
import sqlite3

import geopandas
import numpy as np
import pytest
import rasterio
import rasterio.features
from pyproj import CRS
from shapely.geometry import box

from weft_geo.datasets.synthetic import CLASSES, draw_scene, write_scene
from weft_geo.datasets.synthetic.layout import SETTLEMENTS
from weft_geo.datasets.synthetic.noise import fractal_noise
from weft_geo.datasets.synthetic.palette import COUNTRIES
from weft_geo.errors import CrsError, OutputBusyError, OutputExistsError, RunError
from weft_geo.geo.lock import lock_outputs

# Layouts with and without water, at the range of resolutions that the truth must survive.
SCENES = [
    (3, 0.3, None),
    (7, 0.15, None),
    (39, 0.5, "informal"),
    (4, 0.3, "industry"),
    (62, 0.5, "town"),
    (80, 0.5, None),
]


@pytest.fixture(scope="module", params=SCENES, ids=str)
def scene(request):
    seed, gsd_m, settlement = request.param
    return draw_scene(384, 512, seed, gsd_m, settlement=settlement)


def test_a_scene_is_an_image_with_named_polygons(scene):
    assert scene.image.shape == (3, 384, 512)
    assert scene.image.dtype == np.uint8
    assert len(scene.polygons) == len(scene.classes) > 0
    assert set(scene.classes) <= set(CLASSES)
    assert 10 < scene.image.mean() < 245
    assert scene.image.std() > 10


def test_polygons_are_valid_and_inside(scene):
    frame = box(0, 0, 512, 384)
    for polygon in scene.polygons:
        assert polygon.is_valid
        assert polygon.geom_type == "Polygon"
        assert frame.covers(polygon)


def test_every_polygon_is_one_object_of_the_mask(scene):
    mask = scene.mask()
    objects = list(rasterio.features.shapes(mask, mask=mask > 0, connectivity=8))
    assert len(objects) == len(scene.polygons)


def test_mask_by_class_adds_up():
    scene = draw_scene(512, 512, 3)
    assert {"building", "ship"} == set(scene.classes)
    assert np.array_equal(scene.mask("building") + scene.mask("ship"), scene.mask())
    assert not scene.mask("none of these").any()


def test_the_truth_is_what_was_drawn():
    """A roof differs from the ground beside it far more than ground from ground at the same distance."""
    inner, outer = [], []
    for seed in range(6):
        scene = draw_scene(256, 256, seed, 0.3, settlement="suburb")
        for polygon in scene.polygons:
            edges = [
                rasterio.features.rasterize([band], out_shape=(256, 256), dtype="uint8").astype(bool)
                for band in (
                    polygon.buffer(-1).difference(polygon.buffer(-4)),
                    polygon.buffer(4).difference(polygon.buffer(1)),
                )
                if not band.is_empty
            ]
            further = polygon.buffer(7).difference(polygon.buffer(4))
            beyond = rasterio.features.rasterize([further], out_shape=(256, 256), dtype="uint8").astype(bool)
            if len(edges) == 2 and all(edge.any() for edge in (*edges, beyond)):
                roof, ground, land = (np.median(scene.image[:, m], axis=1) for m in (*edges, beyond))
                inner.append(np.abs(roof - ground).sum())
                outer.append(np.abs(land - ground).sum())
    assert len(inner) > 30
    assert np.median(inner) > 2 * np.median(outer)


def test_the_seed_decides_everything():
    first, again, other = draw_scene(96, 128, 5), draw_scene(96, 128, 5), draw_scene(96, 128, 6)
    assert np.array_equal(first.image, again.image)
    assert [p.wkb for p in first.polygons] == [p.wkb for p in again.polygons]
    assert not np.array_equal(first.image, other.image)


@pytest.mark.parametrize("settlement", SETTLEMENTS)
@pytest.mark.parametrize("country", COUNTRIES)
def test_every_place_in_every_country(settlement, country):
    assert draw_scene(64, 64, 1, 0.5, settlement=settlement, country=country).image.any()


@pytest.mark.parametrize(("height", "width", "gsd_m"), [(16, 16, 0.3), (16, 200, 0.05), (33, 47, 2.0)])
def test_small_and_odd_scenes(height, width, gsd_m):
    assert draw_scene(height, width, 0, gsd_m).image.shape == (3, height, width)


@pytest.mark.parametrize(("arguments", "message"), [((8, 64, 0), "at least 16"), ((64, 64, 0, 5.0), "0.05 … 2")])
def test_impossible_scenes_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        draw_scene(*arguments)


@pytest.mark.parametrize("coarsest", [2, 7, 64])
def test_noise_is_standardised(coarsest):
    field = fractal_noise(np.random.default_rng(0), 50, 70, coarsest)
    assert field.shape == (50, 70)
    assert abs(float(field.mean())) < 1e-3
    assert float(field.std()) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("crs", ["EPSG:32645", "EPSG:3857", "EPSG:4326", "EPSG:2263"])
def test_files_agree_with_each_other(tmp_path, crs):
    scene = draw_scene(128, 160, 2)
    files = write_scene(scene, tmp_path / "sample", crs)
    with rasterio.open(files.scene) as source:
        assert source.profile["tiled"]
        assert CRS(source.crs) == CRS(crs)
        assert np.array_equal(source.read(), scene.image)
        truth = geopandas.read_file(files.truth)
        mask = rasterio.features.rasterize(truth.geometry, out_shape=source.shape, transform=source.transform)
        assert source.res[0] == pytest.approx(source.res[1])
    assert np.array_equal(mask > 0, scene.mask() > 0)
    assert truth["class"].tolist() == scene.classes
    assert files.objects == len(truth) == len(geopandas.read_file(files.truth_geojson))
    assert "crs" not in json.loads(files.truth_geojson.read_text())
    with contextlib.closing(sqlite3.connect(files.truth)) as database:
        assert database.execute("pragma user_version").fetchone()[0] <= 10300  # QGIS 3.22 warns of later ones


def test_files_are_not_overwritten_unasked(tmp_path):
    scene = draw_scene(64, 64, 2)
    write_scene(scene, tmp_path)
    with pytest.raises(OutputExistsError, match="--overwrite"):
        write_scene(scene, tmp_path)
    assert write_scene(scene, tmp_path, overwrite=True).scene.exists()


def test_two_runs_into_one_folder_refuse_each_other(tmp_path):
    (tmp_path / ".sample.part").mkdir()
    with lock_outputs([tmp_path / "truth.gpkg"]), pytest.raises(OutputBusyError, match="another run is writing"):
        write_scene(draw_scene(64, 64, 2), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".sample.part"]  # which is the other one's
    write_scene(draw_scene(64, 64, 2), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scene.tif", "truth.geojson", "truth.gpkg"]


@pytest.mark.parametrize("most_bytes", [4096, 60_000])  # it ends in the image, and in the truth
def test_on_a_full_disk_what_was_there_stays(tmp_path, most_bytes):
    resource = pytest.importorskip("resource", reason="Windows has no such limit")
    write_scene(draw_scene(128, 128, 2), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, limits[1]))
    try:
        with pytest.raises(RunError, match="could not be written"):
            write_scene(draw_scene(128, 128, 3), tmp_path, overwrite=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("crs", ["EPSG:999999", "no crs at all"])
def test_unknown_crs(tmp_path, crs):
    with pytest.raises(CrsError, match="EPSG:32645"):
        write_scene(draw_scene(64, 64, 2), tmp_path, crs)
