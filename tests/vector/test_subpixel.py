"""Sub-pixel outlines: marching squares, whole, valid, and as many objects as pixel outlines have."""

from itertools import pairwise

import contourpy
import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.vector.masks import PATTERNS, class_maps, discs
from weft_geo.vector import polygonize


def bumps(side=120, number=12, seed=0):
    """Smooth hills of several heights."""
    rng = np.random.default_rng(seed)
    rows, cols = np.indices((side, side)) + 0.5
    field = np.zeros((side, side))
    for _ in range(number):
        r, c = rng.uniform(0.12 * side, 0.88 * side, 2)
        field = np.maximum(
            field, rng.uniform(0.6, 1) * np.exp(-((rows - r) ** 2 + (cols - c) ** 2) / 2 / rng.uniform(3, 9) ** 2)
        )
    return field.astype(np.float32)


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.58])
def test_smooth_fields_equal_contourpy(threshold):
    field = bumps()
    centres = np.arange(len(field)) + 0.5
    lines = contourpy.contour_generator(centres, centres, field, fill_type="OuterOffset")
    points, offsets = lines.filled(threshold, 2)
    expected = [
        shapely.Polygon(p[o[0] : o[1]], [p[a:b] for a, b in pairwise(o[1:])])
        for p, o in zip(points, offsets, strict=True)
    ]
    objects = polygonize(field, threshold=threshold, outline="subpixel")
    assert len(objects) == len(expected)
    difference = shapely.union_all(expected).symmetric_difference(objects.union_all())
    assert difference.area < 1e-5 * objects.area.sum()


@pytest.mark.parametrize("radius", [6, 10, 20])
def test_area_of_discs(radius):
    rng = np.random.default_rng(radius)
    rows, cols = np.indices((64, 64)) + 0.5
    for _ in range(10):
        r, c = rng.uniform(30, 34, 2)
        probability = 1 / (1 + np.exp((np.hypot(rows - r, cols - c) - radius) / 0.5))
        (area,) = polygonize(probability.astype(np.float32), outline="subpixel").area
        assert area == pytest.approx(np.pi * radius**2, rel=0.01)


def traced(mask):
    """Area of the outline through the centres of the border pixels, which is what OpenCV's findContours traces."""
    points, offsets = contourpy.contour_generator(z=mask.astype(np.float32), fill_type="OuterOffset").filled(
        1 - 1e-6, 2
    )
    return sum(shapely.Polygon(p[: o[1]]).area for p, o in zip(points, offsets, strict=True))


@pytest.mark.parametrize(("radius", "steps"), [(6, 0.05), (12, 0.02), (25, 0.01)])
def test_area_of_discs_beside_other_outlines(radius, steps):
    """Marching squares beat the pixel edges, and both beat a trace from pixel centre to pixel centre by far."""
    rng = np.random.default_rng(radius)
    rows, cols = np.indices((64, 64)) + 0.5
    errors = []
    for _ in range(20):
        distance = np.hypot(rows - rng.uniform(30, 34), cols - rng.uniform(30, 34)) - radius
        probability = (1 / (1 + np.exp(distance / 0.5))).astype(np.float32)
        areas = [polygonize(probability, outline=outline).area.sum() for outline in ("subpixel", "pixel")]
        errors.append([abs(area / (np.pi * radius**2) - 1) for area in (*areas, traced(probability >= 0.5))])
    subpixel, pixel, centres = np.max(errors, axis=0)
    assert subpixel < min(0.01, pixel)
    assert pixel < steps < centres


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(classes=class_maps(), seed=st.integers(0, 999), connectivity=st.sampled_from([4, 8]), holes=st.booleans())
def test_valid_without_overlap_and_none_lost(classes, seed, connectivity, holes):
    rng = np.random.default_rng(seed)
    k = int(max(classes.max(), 1))
    low, high = rng.uniform(0, 0.5, (k, *classes.shape)), rng.uniform(0.5, 1, (k, *classes.shape))
    probability = np.stack([np.where(classes == i + 1, high[i], low[i]) for i in range(k)]).astype(np.float32)
    if holes:
        probability[:, rng.random(classes.shape) < 0.1] = np.nan
    objects = polygonize(probability, outline="subpixel", connectivity=connectivity)
    assert len(objects) == len(polygonize(probability, connectivity=connectivity))
    assert objects.is_valid.all()
    assert (objects.area > 0).all()
    assert objects.area.sum() == pytest.approx(objects.union_all().area, abs=1e-9)
    if k > 1 and len(objects):
        assert shapely.coverage_is_valid(objects.geometry.array)


def test_a_single_pixel_at_the_threshold_does_not_vanish():
    probability = np.zeros((5, 5), np.float32)
    probability[2, 2] = 0.5
    (shape,) = polygonize(probability, outline="subpixel").geometry
    assert shape.is_valid
    assert shape.area > 0


@pytest.mark.parametrize("name", ["nested rings", "hole of two diagonal pixels", "pinched shell"])
def test_holes_are_kept(name):
    mask = PATTERNS[name]
    pixel, subpixel = polygonize(mask), polygonize(mask, outline="subpixel")
    assert len(pixel) == len(subpixel)
    assert subpixel.geometry.apply(lambda shape: len(shape.interiors)).sum() > 0


def test_objects_end_at_the_rim_of_the_raster_and_at_nodata():
    (whole,) = polygonize(np.ones((6, 9), np.float32), outline="subpixel").geometry
    assert whole.symmetric_difference(shapely.box(0, 0, 9, 6)).area == 0
    probability = np.ones((6, 9), np.float32)
    probability[:, 6:] = np.nan
    (left,) = polygonize(probability, outline="subpixel").geometry
    assert left.symmetric_difference(shapely.box(0, 0, 6, 6)).area == 0


def test_no_stair_steps():
    mask = discs(100, 1, 40)
    pixel, subpixel = polygonize(mask), polygonize(mask, outline="subpixel")
    circle = 2 * np.pi * 40
    assert pixel.length[0] > 1.2 * circle
    assert subpixel.length[0] < 1.08 * circle
