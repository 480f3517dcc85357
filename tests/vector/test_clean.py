"""Holes, area filter, simplification and right angles, on whole objects and in metres."""

import geopandas
import numpy as np
import pyarrow as pa
import pytest
import shapely
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.vector.masks import class_maps, discs
from weft_geo.errors import InputError
from weft_geo.vector import VectorOptions, polygonize
from weft_geo.vector.overlaps import without_overlaps

METRE = {"transform": Affine(1, 0, 500_000, 0, -1, 5_000_000), "crs": "EPSG:32636"}


@pytest.mark.parametrize("rows", [7, 64, 1000])
@pytest.mark.parametrize(
    "options",
    [{}, {"simplify_m": 15.0}, {"min_area_m2": 40.0}, {"simplify_m": 5.0, "min_area_m2": 500.0}, {"regularize": True}],
)
def test_64_discs_stay_64(rows, options, strip_rows):
    mask = discs(512, 8, 20.0)
    strip_rows(rows, 512)
    for outline in ("pixel", "subpixel"):
        objects = polygonize(mask, outline=outline, **METRE, **options)
        assert len(objects) == 64
        assert objects.is_valid.all()
        assert not objects.is_empty.any()
        # 15 m leave three corners of a disc of 40 m; it is still one disc.
        tolerance = 0.65 if options.get("simplify_m", 0) > 10 else 0.1
        assert objects["area_m2"].to_numpy() == pytest.approx(np.pi * 400, rel=tolerance)


def test_small_holes_are_filled_before_the_area_filter():
    mask = np.zeros((30, 30), np.uint8)
    mask[2:8, 2:8] = 1
    mask[4:6, 4:6] = 0  # a hole of 4 m² in 32 m²
    mask[15:17, 15:17] = 1
    assert polygonize(mask, **METRE, min_area_m2=34)["area_m2"].tolist() == []
    filled = polygonize(mask, **METRE, min_area_m2=34, min_hole_m2=5)
    assert filled["area_m2"].to_numpy() == pytest.approx([36], rel=2e-3)
    kept = polygonize(mask, **METRE, min_hole_m2=3)
    assert [len(shape.interiors) for shape in kept.geometry] == [1, 0]


def test_an_object_over_many_strips_is_whole_before_it_is_filtered(strip_rows):
    mask = np.zeros((100, 6), np.uint8)
    mask[:, 2] = 1
    strip_rows(3, 6)
    assert polygonize(mask, **METRE, min_area_m2=90)["area_m2"].to_numpy() == pytest.approx([100], rel=2e-3)


@pytest.mark.parametrize("outline", ["pixel", "subpixel"])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    classes=class_maps(side=20), simplify_m=st.sampled_from([0.5, 1.0, 2.5, 6.0]), connectivity=st.sampled_from([4, 8])
)
def test_neighbours_share_their_edges_after_simplification(outline, classes, simplify_m, connectivity):
    probability = np.stack([(classes == k) for k in (1, 2, 3)]).astype(np.float32)
    plain = polygonize(probability, outline=outline, connectivity=connectivity, **METRE)
    slim = polygonize(probability, outline=outline, connectivity=connectivity, simplify_m=simplify_m, **METRE)
    assert len(slim) == len(plain)
    assert slim.is_valid.all()
    assert not slim.is_empty.any()
    assert set(slim["id"]) == set(plain["id"])
    if len(slim):
        assert shapely.coverage_is_valid(slim.geometry.array)
        assert slim.area.sum() == pytest.approx(slim.union_all().area)


@pytest.mark.parametrize(
    "where",
    [
        METRE,
        {"transform": Affine(1.8e-5, 0, 25, 0, -9e-6, 60), "crs": "EPSG:4326"},
        {"transform": Affine(0.8, 0.6, 388_500, 0.6, -0.8, 6_653_000), "crs": "EPSG:32635"},
    ],
    ids=["UTM", "degrees at 60° N", "rotated"],
)
@pytest.mark.parametrize("outline", ["pixel", "subpixel"])
def test_a_mosaic_has_neither_gaps_nor_overlaps_after_simplification(where, outline):
    rng = np.random.default_rng(3)
    seeds = rng.uniform(0, 120, (15, 2))
    rows, cols = np.indices((120, 120))
    nearest = ((rows[..., None] - seeds[:, 0]) ** 2 + (cols[..., None] - seeds[:, 1]) ** 2).argmin(axis=-1)
    classes = (nearest % 4 + 1).astype(np.uint8)
    plain = polygonize(classes, outline=outline, **where)
    slim = polygonize(classes, outline=outline, simplify_m=4.0, **where)
    assert shapely.coverage_is_valid(slim.geometry.array)
    assert slim.count_coordinates().sum() < 0.3 * plain.count_coordinates().sum()
    # The rim may lose corners; inside it no gap opens.
    holes = [ring for part in shapely.get_parts(slim.union_all()) for ring in part.interiors]
    assert holes == []


def test_tolerances_are_metres_in_degrees_and_in_mercator():
    mask = discs(200, 2, 40.0)
    pixel_m = 0.5
    lat = 60.0
    degree = pixel_m / 111_412.0
    geographic = {"transform": Affine(degree * 2, 0, 25, 0, -degree, lat), "crs": "EPSG:4326"}
    stretch = 1 / np.cos(np.radians(lat))
    mercator = {
        "transform": Affine(pixel_m * stretch, 0, 2_782_987, 0, -pixel_m * stretch, 8_399_738),
        "crs": "EPSG:3857",
    }
    utm = {"transform": Affine(pixel_m, 0, 388_500, 0, -pixel_m, 6_653_000), "crs": "EPSG:32635"}
    counts = [
        polygonize(mask, simplify_m=2.0, **where).count_coordinates().tolist() for where in (geographic, mercator, utm)
    ]
    assert counts[0] == pytest.approx(counts[2], abs=4)
    assert counts[1] == pytest.approx(counts[2], abs=4)
    plain = polygonize(mask, **utm).count_coordinates().sum()
    assert sum(counts[2]) < 0.3 * plain
    for where in (geographic, mercator, utm):
        assert len(polygonize(mask, min_area_m2=np.pi * 400 * 0.97, **where)) == 4
        assert len(polygonize(mask, min_area_m2=np.pi * 400 * 1.03, **where)) == 0


def draw_polygon(shape, side=200):
    """A mask of a shapely polygon in pixel coordinates."""
    import rasterio.features

    return rasterio.features.rasterize([shape], (side, side), default_value=255, dtype="uint8")


@pytest.mark.parametrize("angle", [0, 7, 30, 45, 71])
def test_right_angles_for_a_turned_l(angle):
    corner = shapely.Polygon([(50, 50), (150, 50), (150, 90), (95, 90), (95, 150), (50, 150)])
    true = shapely.affinity.rotate(corner, angle, origin=(100, 100))
    objects = polygonize(draw_polygon(true), regularize=True)
    (shape,) = objects.geometry
    points = shapely.get_coordinates(shape)
    assert len(points) == 7
    walls = np.diff(points, axis=0)
    cosine = (
        (walls * np.roll(walls, 1, axis=0)).sum(axis=1) / np.hypot(*walls.T) / np.hypot(*np.roll(walls, 1, axis=0).T)
    )
    assert np.abs(cosine).max() < 1e-5  # corners are rounded to a ten-thousandth of a pixel
    iou = shape.intersection(true).area / shape.union(true).area
    assert iou > 0.97


def angles(shape):
    """At the corners of a polygon's shell, degrees modulo 90, within ±45."""
    walls = np.diff(shapely.get_coordinates(shape.exterior), axis=0)
    heading = np.degrees(np.arctan2(walls[:, 1], walls[:, 0]))
    return (heading - np.roll(heading, 1) + 45) % 90 - 45


def test_a_building_at_a_bend_keeps_both_its_directions():
    wing = shapely.box(40, 60, 110, 90)
    true = shapely.union_all([wing, shapely.affinity.rotate(shapely.box(98, 60, 170, 90), 30, origin=(110, 60))])
    (shape,) = polygonize(draw_polygon(true), regularize=True).geometry
    assert shapely.get_num_coordinates(shape) <= shapely.get_num_coordinates(true)
    assert shape.intersection(true).area / shape.union(true).area > 0.97
    off = np.abs(angles(shape))
    assert (off < 0.01).sum() >= 4  # the ends of the wings
    assert off.max() == pytest.approx(30, abs=1.5)


@pytest.mark.parametrize("skew", [0.0, 0.04, 0.3])
def test_a_plot_that_is_no_rectangle(skew):
    """Within what the pixels can be blamed for, angles are made right; beyond, walls run as they do."""
    true = shapely.Polygon([(50, 50), (120, 50), (120 + 60 * skew, 110), (50, 110)])
    (shape,) = polygonize(draw_polygon(true), regularize=True).geometry
    assert shapely.get_num_coordinates(shape) == 5
    assert shape.intersection(true).area / shape.union(true).area > 0.97
    assert (np.abs(angles(shape)).max() < 0.01) == (skew < 0.1)


def test_small_round_things_stay_as_they_are():
    for radius in (6, 9, 14, 20, 30):
        mask = discs(80, 1, radius)
        assert polygonize(mask, regularize=True).geometry[0].equals(polygonize(mask).geometry[0])


def test_a_court_keeps_its_hole():
    outer = shapely.affinity.rotate(shapely.box(40, 40, 160, 160), 20)
    court = outer.difference(shapely.affinity.rotate(shapely.box(80, 80, 120, 120), 20))
    (shape,) = polygonize(draw_polygon(court), regularize=True).geometry
    assert len(shape.interiors) == 1
    assert shapely.get_num_coordinates(shape) == 10


def test_a_circle_stays_as_it_is():
    mask = discs(120, 1, 45)
    assert polygonize(mask, regularize=True).geometry[0].equals(polygonize(mask).geometry[0])


def test_right_angles_stay_inside_the_raster():
    mask = draw_polygon(shapely.affinity.rotate(shapely.box(-40, 60, 60, 120), 12))
    (shape,) = polygonize(mask, regularize=True).geometry
    assert shapely.box(0, 0, 200, 200).covers(shape)
    assert shape.is_valid


def test_right_angles_never_overlap():
    rng = np.random.default_rng(5)
    shapes = []
    for _ in range(300):
        c, r = rng.uniform(20, 380, 2)
        w, h = rng.uniform(10, 45, 2)
        shapes.append(shapely.affinity.rotate(shapely.box(c, r, c + w, r + h), rng.uniform(0, 90)))
    mask = np.zeros((420, 420), np.uint8)
    for shape in shapes:
        drawn = draw_polygon(shape, 420) > 0
        wide = drawn | np.roll(drawn, 1, 0) | np.roll(drawn, -1, 0) | np.roll(drawn, 1, 1) | np.roll(drawn, -1, 1)
        if not (mask[wide] > 0).any():
            mask[drawn] = 255
    plain, new = polygonize(mask), polygonize(mask, regularize=True)
    assert len(new) == len(plain) > 50
    assert new.is_valid.all()
    assert new.area.sum() == pytest.approx(new.union_all().area, rel=1e-12)
    changed = ~new.geometry.geom_equals(plain.geometry)
    assert changed.sum() > 40
    assert (new.area[changed] / plain.area[changed]).between(0.85, 1.18).all()


def test_an_outline_that_would_overlap_gives_way():
    rows = geopandas.GeoSeries([shapely.box(0, 0, 4, 4), shapely.box(5, 0, 10, 4), shapely.box(20, 0, 24, 4)])
    new = geopandas.GeoSeries([shapely.box(0, 0, 5.5, 4), shapely.box(5, 0, 10, 4.2), shapely.box(20, 0, 24, 4.4)])
    batch = pa.record_batch(
        {
            "geometry": pa.array(list(shapely.to_wkb(rows.array)), pa.binary()),
            "simple_geometry": pa.array(list(shapely.to_wkb(rows.array)), pa.binary()),
            "square_geometry": pa.array(list(shapely.to_wkb(new.array)), pa.binary()),
            "area_m2": rows.area.to_numpy(),
            "group": [0, 5, 20],
            "top": [0.0, 0.0, 0.0],
            "bottom": [4.0, 4.2, 4.4],
        }
    )
    assert without_overlaps([batch], 1.0).tolist() == [[True, False], [True, True], [True, True]]


@pytest.mark.parametrize(
    "options", [{"simplify_m": 4.0}, {"simplify_m": 12.0}, {"simplify_m": 4.0, "regularize": True}]
)
def test_an_island_in_a_notch_is_not_run_over(options):
    mask = np.zeros((40, 40), np.uint8)
    mask[5:35, 5:35] = 1
    mask[8:32, 8:12] = mask[12:28, 20:35] = 0
    mask[17:21, 24:30] = mask[10:14, 9:11] = 1
    objects = polygonize(mask, **METRE, **options)
    assert len(objects) == 3
    assert objects.area.sum() == pytest.approx(objects.union_all().area, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("threshold", 0.0),
        ("threshold", 1.2),
        ("outline", "smooth"),
        ("min_area_m2", -1.0),
        ("min_hole_m2", float("nan")),
        ("simplify_m", float("inf")),
        ("connectivity", 6),
    ],
)
def test_options_are_checked(name, value):
    with pytest.raises(InputError, match=name):
        VectorOptions(**{name: value})
