"""Areas and lengths on the ground in every kind of CRS, against pyproj's Geod on the polygons themselves."""

import numpy as np
import pyproj
import pytest
import shapely
from affine import Affine

from tests.vector.masks import discs
from weft_geo.errors import CrsError
from weft_geo.vector import polygonize
from weft_geo.vector.ground import Ground

ENGINEERING = 'ENGCRS["site",EDATUM["site"],CS[Cartesian,2],AXIS["x",east],AXIS["y",north],LENGTHUNIT["foot",0.3048]]'
CASES = {
    "degrees at 60° N": ("EPSG:4326", Affine(2e-5, 0, 25.0, 0, -1e-5, 60.0)),
    "degrees over 180°": ("EPSG:4326", Affine(2e-5, 0, 179.999, 0, -1e-5, -17.0)),
    "degrees at the pole": ("EPSG:4326", Affine(1e-3, 0, 10.0, 0, -1e-5, 89.999)),
    "web mercator at 60° N": ("EPSG:3857", Affine(1.0, 0, 2_782_987, 0, -1.0, 8_399_738)),
    "UTM": ("EPSG:32635", Affine(0.3, 0, 388_500, 0, -0.3, 6_653_000)),
    "UTM far out of its zone": ("EPSG:32635", Affine(10, 0, 1_000_000, 0, -10, 6_653_000)),
    "rotated": ("EPSG:32635", Affine(0.26, 0.15, 388_500, 0.15, -0.26, 6_653_000)),
    "south up": ("EPSG:32635", Affine(0.3, 0, 388_500, 0, 0.3, 6_653_000)),
    "oblong pixels": ("EPSG:32635", Affine(0.3, 0, 388_500, 0, -0.9, 6_653_000)),
    "polar stereographic": ("EPSG:3413", Affine(50, 0, -5_000, 0, -50, 5_000)),
    "feet": ("EPSG:2263", Affine(1, 0, 990_000, 0, -1, 200_000)),
    "grads": ("EPSG:4807", Affine(2e-5, 0, 1.0, 0, -1e-5, 54.0)),
    "kilometre pixels": ("EPSG:3035", Affine(1_000, 0, 4_000_000, 0, -1_000, 3_200_000)),
}


def geodesic(shape, crs):
    """Area and length of the shells by Geod, ring by ring."""
    crs = pyproj.CRS(crs)
    geographic = crs if crs.is_geographic else crs.geodetic_crs
    degrees = np.degrees(geographic.axis_info[0].unit_conversion_factor)
    to_geographic = pyproj.Transformer.from_crs(crs, geographic, always_xy=True)
    area = length = 0.0
    for ring in shapely.get_rings(shape):
        x, y = shapely.get_coordinates(ring).T
        lon, lat = (np.asarray(values) * degrees for values in to_geographic.transform(x, y))
        ring_area, ring_length = crs.get_geod().polygon_area_perimeter(lon, lat)
        shell = area == 0
        area += abs(ring_area) if shell else -abs(ring_area)
        length += ring_length if shell else 0
    return area, length


@pytest.mark.parametrize("outline", ["pixel", "subpixel"])
@pytest.mark.parametrize("name", CASES)
def test_measures_equal_geod(name, outline):
    crs, transform = CASES[name]
    mask = discs(150, 3, 20.0)
    mask[:, 149] = 0
    mask[70:80, 70:80] = 0  # a hole in the middle disc
    objects = polygonize(mask, transform, crs, outline=outline)
    assert len(objects) == 9
    for row in objects.itertuples():
        area, length = geodesic(row.geometry, crs)
        assert row.area_m2 == pytest.approx(area, rel=1e-4)
        assert row.perimeter_m == pytest.approx(length, rel=1e-4)


@pytest.mark.parametrize("name", CASES)
def test_shells_run_counter_clockwise(name):
    crs, transform = CASES[name]
    objects = polygonize(discs(60, 2, 10.0), transform, crs)
    assert objects.geometry.exterior.is_ccw.all()
    assert objects.is_valid.all()


def test_objects_as_long_as_a_country_are_measured_edge_by_edge():
    mask = np.ones((300, 400), np.uint8)
    crs, transform = "EPSG:4326", Affine(0.01, 0, 20.0, 0, -0.01, 62.0)
    (row,) = polygonize(mask, transform, crs).itertuples()
    area, length = geodesic(row.geometry, crs)
    assert row.area_m2 == pytest.approx(area, rel=1e-12)
    assert row.perimeter_m == pytest.approx(length, rel=1e-12)


def test_an_engineering_crs_is_measured_in_its_plane():
    objects = polygonize(np.ones((10, 20), np.uint8), Affine(2, 0, 0, 0, -2, 0), ENGINEERING)
    assert objects["area_m2"][0] == pytest.approx(800 * 0.3048**2)
    assert objects["perimeter_m"][0] == pytest.approx(120 * 0.3048)
    assert objects.crs.to_wkt() == pyproj.CRS(ENGINEERING).to_wkt()


def test_without_a_crs_units_count_as_metres():
    objects = polygonize(np.ones((10, 20), np.uint8))
    assert objects["area_m2"].tolist() == [200.0]
    assert objects.crs is None


@pytest.mark.parametrize(
    ("options", "digits"),
    [({}, 7), ({"outline": "subpixel"}, 5), ({"simplify_m": 0.5}, 5), ({"regularize": True}, 5)],
)
def test_coordinates_carry_no_more_digits_than_the_pixel_deserves(options, digits):
    mask = discs(150, 3, 20.0)
    objects = polygonize(mask, Affine(0.3, 0, 388_500.1, 0, -0.3, 6_653_000.7), "EPSG:32635", **options)
    points = shapely.get_coordinates(objects.geometry.array)
    assert np.array_equal(points, np.round(points, digits))
    assert objects.is_valid.all()
    plain = polygonize(np.eye(1, 8, 7, np.uint8), Affine(0.3, 0, 388_500.1, 0, -0.3, 6_653_000.7))
    assert 388_500.1 + 0.3 * 7 != 388_502.2  # the noise of the last bits, which rounding takes away
    assert plain.bounds.minx.tolist() == [388_502.2]


def test_a_crs_that_is_none():
    with pytest.raises(CrsError, match="EPSG:N"):
        Ground(Affine.identity(), "EPSG:999999")


def test_a_raster_beyond_its_crs():
    with pytest.raises(CrsError, match="area of use"):
        polygonize(np.ones((4, 4), np.uint8), Affine(1e12, 0, 0, 0, -1e12, 0), "EPSG:32635")


WORLD = Affine(1, 0, -180, 0, -1, 90)
SPHERE_M2 = 510_065_621_724_088.0


@pytest.mark.parametrize("options", [{}, {"min_area_m2": 1e12}, {"min_hole_m2": 1.0}, {"simplify_m": 100.0}])
def test_an_object_around_the_earth(options):
    mask = np.ones((180, 360), np.uint8)
    mask[100, 100] = 0
    (row,) = polygonize(mask, WORLD, "EPSG:4326", **options).itertuples()
    assert row.area_m2 == pytest.approx(SPHERE_M2, rel=1e-4)
    assert len(row.geometry.interiors) == 1
    assert shapely.Polygon(row.geometry.exterior).area == 180 * 360


@pytest.mark.parametrize("columns", [180, 300, 360])
def test_long_edges_are_straight_in_the_crs(columns):
    mask = np.zeros((180, 360), np.uint8)
    mask[20:60, :columns] = 1
    (row,) = polygonize(mask, WORLD, "EPSG:4326").itertuples()
    (narrow,) = polygonize(mask[:, :1], WORLD, "EPSG:4326").itertuples()
    assert row.area_m2 == pytest.approx(columns * narrow.area_m2, rel=1e-3)


@pytest.mark.parametrize(("crs", "half"), [("EPSG:3857", (20037508.3, 20037508.3)), ("EPSG:6933", (17367530.4, 7.3e6))])
@pytest.mark.parametrize("columns", [90, 150, 180, 200])
def test_the_inside_of_an_object_around_the_earth_is_the_larger_side_in_other_crs_too(crs, half, columns):
    (x, y), mask = half, np.zeros((100, 200), np.uint8)
    mask[:, :columns] = 1
    grid = Affine(x / 100, 0, -x, 0, -y / 50, y)
    (row,) = polygonize(mask, grid, crs).itertuples()
    (narrow,) = polygonize(mask[:, :10], grid, crs).itertuples()
    assert row.area_m2 == pytest.approx(columns / 10 * narrow.area_m2, rel=1e-3)


def test_a_grid_that_reaches_half_a_pixel_over_the_poles():
    mask = np.ones((73, 144), np.uint8)
    (row,) = polygonize(mask, Affine(2.5, 0, -1.25, 0, -2.5, 91.25), "EPSG:4326").itertuples()
    assert row.area_m2 == pytest.approx(SPHERE_M2, rel=1e-4)


def test_holes_are_measured_where_they_lie():
    mask = np.ones((6000, 100), np.uint8)
    mask[100, 50] = mask[5900, 50] = 0  # 0.64 km² at 59° N and 1.23 km² at 1° N
    (row,) = polygonize(mask, Affine(0.01, 0, 20, 0, -0.01, 60), "EPSG:4326", min_hole_m2=1.2e6).itertuples()
    assert [hole.bounds[1] for hole in row.geometry.interiors] == [0.99]


def test_a_long_object_is_not_looked_for_beyond_its_crs():
    objects = polygonize(np.ones((1, 3000), np.uint8), Affine(1e4, 0, -15e6, 0, -1e4, 0), "ESRI:54009")
    assert objects["area_m2"][0] == pytest.approx(3000 * 1e8, rel=0.01)
