"""Pixels of a mask against polygons."""

import numpy as np
import pytest
from shapely import affinity, box

from tests.conftest import UTM
from weft_geo.metrics import pixels
from weft_geo.metrics.pixels import count_pixels, score_pixels


def on_grid(*boxes):
    """Boxes in pixels (left, top, right, bottom) as polygons in the CRS of the raster."""
    return [affinity.affine_transform(box(*some), [UTM.a, 0, 0, UTM.e, UTM.c, UTM.f]) for some in boxes]


def test_two_classes_by_hand(make_raster):
    mask = np.zeros((20, 30), np.uint8)
    mask[0:10, 0:10], mask[0:10, 20:30], mask[15:, :] = 1, 2, 255
    path = make_raster(mask, nodata=255, bands=1)
    table = count_pixels(path, on_grid((0, 5, 10, 20), (20, 0, 25, 10)), np.array([1, 2], np.uint8), 2)
    assert table.sum() == 15 * 30
    scores = score_pixels(table, ["house", "tree"])
    house = scores["house"]
    assert (house.found, house.true) == (100, 100)  # what lies on nodata is not known
    assert (house.iou, house.precision, house.recall, house.f1) == pytest.approx((50 / 150, 0.5, 0.5, 0.5))
    assert (scores["tree"].iou, scores["tree"].recall) == (0.5, 1)


def test_where_nothing_is_and_nothing_was_found_all_is_right(make_raster):
    table = count_pixels(make_raster(np.zeros((9, 9), np.uint8)), [], np.zeros(0, np.uint8), 1)
    assert score_pixels(table, ["house"])["house"].iou == 1
    table = count_pixels(make_raster(np.ones((9, 9), np.uint8)), [], np.zeros(0, np.uint8), 1)
    assert score_pixels(table, ["house"])["house"].precision == 0


def test_one_class_for_another_is_wrong_in_both(make_raster):
    path = make_raster(np.full((10, 10), 2, np.uint8))
    table = count_pixels(path, on_grid((0, 0, 10, 10)), np.array([1], np.uint8), 2)
    assert [some.iou for some in score_pixels(table, ["a", "b"]).values()] == [0, 0]


@pytest.mark.parametrize("rows", [1, 3, 7])
def test_strips_are_of_no_consequence(rows, make_raster, monkeypatch):
    """Not even where two objects touch, whose common border is background as in training."""
    rng = np.random.default_rng(0)
    path = make_raster(rng.integers(0, 3, (24, 40)).astype(np.uint8))
    shapes = on_grid((0, 0, 20, 12), (20, 0, 40, 12), (0, 12, 40, 21))
    numbers = np.array([1, 2, 1], np.uint8)
    whole = count_pixels(path, shapes, numbers, 2)
    assert whole[1:].sum() == 40 * 21 - 2 * 40 - 2 * 12 + 2
    monkeypatch.setattr(pixels, "STRIP_PIXELS", rows * 40)
    np.testing.assert_array_equal(count_pixels(path, shapes, numbers, 2), whole)
