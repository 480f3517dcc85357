import geopandas
import numpy as np
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from shapely import GeometryCollection, MultiPolygon, box

from weft_geo_cli.picture import FOUND, TRUE


def read(path):
    with pytest.warns(NotGeoreferencedWarning), rasterio.open(path) as picture:
        return picture.read()


@pytest.fixture
def square(tmp_path):
    """Pixels (30…40, 10…20) of the test scenes, as WGS 84."""
    frame = geopandas.GeoDataFrame(geometry=[box(500_005, 4_999_980, 500_010, 4_999_985)], crs="EPSG:32633")
    frame.to_crs(4326).to_file(tmp_path / "square.geojson")
    return "square.geojson"


def test_outlines_lie_where_the_objects_are(run, scene, square, tmp_path):
    run("preview", scene(), square, "-o", "picture.png")
    picture = read("picture.png")
    assert picture.shape == (3, 80, 120)
    outline = (picture == np.array(FOUND)[:, None, None]).all(axis=0)
    rows, columns = np.nonzero(outline)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (29, 40, 9, 20)
    assert not outline[33:37, 13:17].any()
    assert picture[1, 35, 15] < 220 == picture[1, 35, 55]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["picture.png", "scene.tif", "square.geojson"]


def test_polygons_of_a_collection_are_outlined_too(run, scene, square):
    source, plain = scene(), geopandas.read_file(square)
    run("preview", source, square, "-o", "plain.png")
    mixed = [GeometryCollection([MultiPolygon([shape]), shape.centroid]) for shape in plain.geometry]
    geopandas.GeoDataFrame(geometry=mixed, crs=plain.crs).to_file("mixed.geojson")
    run("preview", source, "mixed.geojson", "-o", "mixed.png")
    assert np.array_equal(read("mixed.png"), read("plain.png"))


def test_truth_is_drawn_in_another_colour(run, scene, square):
    source = scene()
    run("preview", source, square, "--truth", square, "-o", "both.png")
    assert not (read("both.png") == np.array(TRUE)[:, None, None]).all(axis=0).any()
    nothing = geopandas.GeoDataFrame(geometry=[], crs="EPSG:4326")
    nothing.to_file("nothing.gpkg")
    run("preview", source, "nothing.gpkg", "--truth", square, "-o", "truth.png")
    assert (read("truth.png") == np.array(TRUE)[:, None, None]).all(axis=0).any()


def test_large_and_deep_scenes_are_made_for_the_eye(run, make_raster, square):
    source = make_raster(dtype="uint16", bands=4, height=300, width=200)
    run("preview", source, square, "-o", "small.png", "--max-side", "64")
    picture = read("small.png")
    assert picture.shape == (3, 64, 42)
    assert picture.std() > 30


def test_one_band_is_grey(run, make_raster, square):
    run("preview", make_raster(bands=1), square, "-o", "grey.png")
    picture = read("grey.png")
    assert np.array_equal(picture[0, 60:], picture[1, 60:])


def test_refusals(run, scene, square, tmp_path):
    source = scene()
    assert ".png" in run("preview", source, square, "-o", "picture.jpg", code=2).stderr
    run("preview", source, square, "-o", "p.png")
    assert "--overwrite" in run("preview", source, square, "-o", "p.png", code=2).stderr
    elsewhere = geopandas.GeoDataFrame(geometry=[box(0, 0, 1, 1)], crs="EPSG:4326")
    elsewhere.to_file(tmp_path / "elsewhere.gpkg")
    assert "another scene" in run("preview", source, "elsewhere.gpkg", "-o", "q.png", code=2).stderr
