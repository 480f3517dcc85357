"""Sub-pixel outlines: marching squares, whole, valid, and as many objects as pixel outlines have."""

from itertools import pairwise

import contourpy
import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.vector.masks import PATTERNS, class_maps, discs
from weft_geo.vector import crossings, polygonize


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
def test_smooth_fields_equal_contourpy_but_for_the_area_they_lose(threshold, monkeypatch):
    field = bumps()
    centres = np.arange(len(field)) + 0.5
    lines = contourpy.contour_generator(centres, centres, field, fill_type="OuterOffset")
    points, offsets = lines.filled(threshold, 2)
    expected = [
        shapely.Polygon(p[o[0] : o[1]], [p[a:b] for a, b in pairwise(o[1:])])
        for p, o in zip(points, offsets, strict=True)
    ]
    whole = polygonize(field, threshold=threshold, outline="subpixel")
    for name in ("LOST_MASK", "LOST_SMOOTH", "LOST_COVERED"):
        monkeypatch.setattr(crossings, name, 0.0)
    objects = polygonize(field, threshold=threshold, outline="subpixel")
    assert len(objects) == len(expected)
    difference = shapely.union_all(expected).symmetric_difference(objects.union_all())
    assert difference.area < 1e-5 * objects.area.sum()
    assert (whole.area - objects.area).to_numpy() == pytest.approx(2 / 3, abs=0.03)
    assert shapely.hausdorff_distance(whole.geometry.array, objects.geometry.array).max() < 0.05


def covered(row, col, radius, side, parts=16):
    """How much of each pixel a disc covers."""
    place = (np.arange(side * parts) + 0.5) / parts
    inside = np.hypot(place[:, None] - row, place[None] - col) <= radius
    return inside.reshape(side, parts, side, parts).mean(axis=(1, 3))


def soft(width):
    """A disc with an edge that is so many pixels wide."""

    def draw(row, col, radius, side):
        place = np.arange(side) + 0.5
        return 1 / (1 + np.exp((np.hypot(place[:, None] - row, place[None] - col) - radius) / width))

    return draw


DRAWN = {
    "soft 0.3": soft(0.3),
    "soft 0.5": soft(0.5),
    "soft 1": soft(1.0),
    "covered": covered,
    "covered, uint8": lambda *disc: np.rint(covered(*disc) * 255).astype(np.uint8),
}


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize(("radius", "worst", "bias"), [(3, 0.01, 0.005), (6, 0.006, 0.0025), (12, 0.003, 0.001)])
def test_area_of_discs(name, radius, worst, bias):
    """From 6 pixels across the area is right to 1 % wherever the disc lies between the pixels."""
    rng = np.random.default_rng(radius)
    side = 2 * radius + 8
    errors = []
    for _ in range(25):
        field = DRAWN[name](*rng.uniform(side / 2, side / 2 + 1, 2), radius, side)
        (area,) = polygonize(field if field.dtype == np.uint8 else field.astype(np.float32), outline="subpixel").area
        errors.append(area / (np.pi * radius**2) - 1)
    # Sampled at points, an edge that steep falls between them, which costs another tenth of a percent.
    assert np.abs(errors).max() < (worst if name != "soft 0.3" else 1.2 * worst)
    assert abs(np.mean(errors)) < bias


@settings(max_examples=60, deadline=None)
@given(classes=class_maps(classes=1), connectivity=st.sampled_from([4, 8]))
def test_a_mask_keeps_the_area_of_its_pixels(classes, connectivity):
    """Better is not to be had: where a disc of 6 pixels across lies, changes the number of its pixels by up to 13 %."""
    mask = np.pad(classes, 1) * np.uint8(255)
    pixel = polygonize(mask, connectivity=connectivity)
    subpixel = polygonize(mask, connectivity=connectivity, outline="subpixel")
    assert subpixel.area.to_numpy() == pytest.approx(pixel.area.to_numpy(), rel=5e-4)


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
