"""Pixel outlines are GDAL's, at any strip height."""

import numpy as np
import pandas.testing
import pytest
import rasterio.features
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.vector.masks import PATTERNS, class_maps, gdal_objects, patterned_maps
from weft_geo.vector import polygonize

NAMES = ["1", "2", "3"]
FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def assert_equal_to_gdal(objects, classes, connectivity):
    expected = gdal_objects(classes, connectivity)
    assert len(objects) == len(expected)
    assert objects.is_valid.all()
    found = sorted(zip(objects["class"].astype(int), objects.area, strict=True))
    assert found == sorted((value, shape.area) for value, shape in expected)
    tree = shapely.STRtree([shape for _, shape in expected])
    for value, shape in zip(objects["class"].astype(int), objects.geometry, strict=True):
        near = tree.query(shape.representative_point(), predicate="intersects")
        assert any(expected[k][0] == value and shape.symmetric_difference(expected[k][1]).area == 0 for k in near)


@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize("rows", [1, 2, 5, 100])
@pytest.mark.parametrize("name", PATTERNS)
def test_patterns(name, rows, connectivity, strip_rows):
    classes = PATTERNS[name]
    strip_rows(rows, classes.shape[1])
    objects = polygonize(classes, connectivity=connectivity, classes=NAMES)
    assert_equal_to_gdal(objects, classes, connectivity)


@FEW
@given(classes=patterned_maps(), connectivity=st.sampled_from([4, 8]), rows=st.integers(1, 25))
def test_patterns_of_any_size(strip_rows, classes, connectivity, rows):
    strip_rows(rows, classes.shape[1])
    assert_equal_to_gdal(polygonize(classes, connectivity=connectivity, classes=NAMES), classes, connectivity)


@FEW
@given(classes=class_maps(), connectivity=st.sampled_from([4, 8]), rows=st.integers(1, 15))
def test_any_class_map(strip_rows, classes, connectivity, rows):
    strip_rows(rows, classes.shape[1])
    assert_equal_to_gdal(polygonize(classes, connectivity=connectivity, classes=NAMES), classes, connectivity)


@FEW
@given(
    classes=class_maps(),
    seed=st.integers(0, 99),
    connectivity=st.sampled_from([4, 8]),
    rows=st.integers(1, 15),
    outline=st.sampled_from(["pixel", "subpixel"]),
    clean=st.sampled_from([{}, {"simplify_m": 1.5}, {"min_area_m2": 3.0, "min_hole_m2": 2.0}, {"regularize": True}]),
)
def test_the_strips_do_not_show(strip_rows, classes, seed, connectivity, rows, outline, clean):
    """Same rows, same order, same points, whatever the strips."""
    width = classes.shape[1]
    rng = np.random.default_rng(seed)
    probability = np.stack([(classes == k + 1) * rng.uniform(0.5, 1, classes.shape) for k in range(3)])
    probability = (
        np.where(rng.random(classes.shape) < 0.05, np.nan, probability + 0.01).clip(None, 1).astype(np.float32)
    )
    strip_rows(1000, width)
    whole = polygonize(probability, outline=outline, connectivity=connectivity, **clean)
    strip_rows(rows, width)
    striped = polygonize(probability, outline=outline, connectivity=connectivity, **clean)
    assert list(shapely.to_wkb(whole.geometry.array)) == list(shapely.to_wkb(striped.geometry.array))
    pandas.testing.assert_frame_equal(whole.drop(columns="geometry"), striped.drop(columns="geometry"), rtol=1e-12)


@FEW
@given(classes=class_maps(), seed=st.integers(0, 99), rows=st.integers(1, 15))
def test_scores_of_rounded_probabilities_are_the_same_to_the_bit(strip_rows, classes, seed, rows):
    probability = np.random.default_rng(seed).integers(128, 255, classes.shape, np.uint8) * (classes > 0)
    probability[0, 0] = 255  # so that it is no class map
    strip_rows(1000, classes.shape[1])
    whole = polygonize(probability)
    strip_rows(rows, classes.shape[1])
    striped = polygonize(probability)
    assert whole["score"].tolist() == striped["score"].tolist()
    assert whole["score_max"].tolist() == striped["score_max"].tolist()


def test_ids_follow_the_first_pixels():
    classes = np.zeros((6, 8), np.uint8)
    classes[:, 7] = 1  # begins first, ends last
    classes[1:3, 1:3] = 1
    classes[1:2, 4:6] = 1
    classes[4, 0] = 1
    objects = polygonize(classes)
    assert objects["id"].tolist() == [1, 2, 3, 4]
    assert objects.area.tolist() == [6.0, 4.0, 2.0, 1.0]


def test_pixels_at_a_corner_are_one_object_of_two_polygons():
    objects = polygonize(PATTERNS["figure of eight"])
    assert objects.geom_type.tolist() == ["MultiPolygon"]
    assert objects.area.tolist() == [2.0]
    assert len(polygonize(PATTERNS["figure of eight"], connectivity=4)) == 2


def test_a_shell_that_pinches_has_a_hole_that_touches_it():
    (shape,) = polygonize(PATTERNS["pinched shell"]).geometry
    assert shape.is_valid
    assert shape.geom_type == "Polygon"
    assert len(shape.interiors) == 1


def test_outlines_have_corners_only_and_run_one_way():
    objects = polygonize(np.pad(np.ones((30, 40), np.uint8), 2))
    (shape,) = objects.geometry
    assert shapely.get_num_coordinates(shape) == 5
    assert shape.exterior.is_ccw


@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize("place", ["nepal_banepa/scene_01", "kenya_nairobi/scene_01", "tanzania_zanzibar/scene_01"])
def test_real_masks(real_data, place, connectivity):
    path = real_data(f"buildings/{place}_mask.tif")
    with rasterio.open(path) as source:
        mask = source.read(1)
    assert_equal_to_gdal(
        polygonize((mask > 0).astype(np.uint8), connectivity=connectivity, classes=NAMES),
        (mask > 0).astype(np.uint8),
        connectivity,
    )
    assert len(polygonize(path, connectivity=connectivity)) == len(
        gdal_objects((mask > 0).astype(np.uint8), connectivity)
    )
