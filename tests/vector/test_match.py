"""Predicted objects against true ones."""

import tracemalloc
from pathlib import Path

import geopandas
import pandas
import pytest
import shapely
from shapely.geometry import box

from weft_geo.errors import CrsError, InputError
from weft_geo.vector import match_objects, polygonize

UTM = "EPSG:32636"
X, Y = 500_000, 5_000_000


def layer(*shapes, crs=UTM):
    return geopandas.GeoDataFrame(geometry=[shapely.affinity.translate(shape, X, Y) for shape in shapes], crs=crs)


def test_a_layer_against_itself():
    squares = layer(*(box(20 * k, 0, 20 * k + 10, 10) for k in range(5)))
    scores = match_objects(squares, squares)
    assert (scores.true_positives, scores.false_positives, scores.false_negatives) == (5, 0, 0)
    assert (scores.precision, scores.recall, scores.f1) == (1, 1, 1)
    assert scores.mean_iou == pytest.approx(1)
    assert scores.area_iou == pytest.approx(1)


def test_counts_and_areas_by_hand():
    truth = layer(box(0, 0, 10, 10), box(20, 0, 30, 10), box(40, 0, 50, 10))
    found = layer(box(0, 0, 10, 8), box(20, 0, 24, 10), box(70, 0, 80, 10))
    scores = match_objects(found, truth)
    assert (scores.true_positives, scores.false_positives, scores.false_negatives) == (1, 2, 2)
    assert scores.precision == scores.recall == scores.f1 == pytest.approx(1 / 3)
    assert scores.mean_iou == pytest.approx(0.8, rel=1e-6)
    assert scores.area_iou == pytest.approx(120 / 400, rel=1e-6)
    looser = match_objects(found, truth, iou=0.4)
    assert looser.true_positives == 2


def test_one_to_one_the_best_first():
    truth = layer(box(0, 0, 10, 10))
    found = layer(box(0, 0, 10, 6), box(0, 0, 10, 9))
    scores = match_objects(found, truth)
    assert (scores.true_positives, scores.false_positives) == (1, 1)
    assert scores.mean_iou == pytest.approx(0.9, rel=1e-6)


def test_one_that_covers_two_finds_one():
    truth = layer(box(0, 0, 10, 10), box(10, 0, 16, 10))
    scores = match_objects(layer(box(0, 0, 16, 10)), truth)
    assert (scores.true_positives, scores.false_positives, scores.false_negatives) == (1, 0, 1)
    assert scores.area_iou == pytest.approx(1)


def test_touching_is_not_overlapping():
    scores = match_objects(layer(box(0, 0, 10, 10)), layer(box(10, 0, 20, 10)))
    assert scores.true_positives == 0
    assert scores.area_iou == 0


def test_exact_duplicates_count_once():
    truth = layer(box(0, 0, 10, 10), box(0, 0, 10, 10), box(10, 10, 0, 0))
    assert match_objects(layer(box(0, 0, 10, 10)), truth).false_negatives == 0


def test_overlapping_truth_is_no_double_area():
    truth = layer(box(0, 0, 10, 10), box(5, 0, 15, 10))
    assert match_objects(layer(box(0, 0, 15, 10)), truth).area_iou == pytest.approx(1)


def test_different_crs():
    found = layer(box(0, 0, 10, 10), box(20, 0, 30, 10))
    for crs in ("EPSG:4326", "EPSG:3857", "EPSG:32637"):
        scores = match_objects(found, found.to_crs(crs))
        assert scores.true_positives == 2
        assert scores.mean_iou == pytest.approx(1, abs=1e-5)


def test_equal_area_far_from_the_equator():
    truth = geopandas.GeoDataFrame(
        geometry=[box(20, 69.00, 20.02, 69.01), box(20, 69.02, 20.02, 69.03)], crs="EPSG:4326"
    )
    found = geopandas.GeoDataFrame(geometry=[box(20, 69.00, 20.02, 69.03)], crs="EPSG:4326")
    assert match_objects(found, truth, iou=0.9).area_iou == pytest.approx(2 / 3, rel=1e-3)


def test_over_the_date_line():
    shape = box(179.999, -17, 180.001, -16.998)
    one = geopandas.GeoDataFrame(geometry=[shape], crs="EPSG:4326")
    assert match_objects(one, one.to_crs("EPSG:32760")).true_positives == 1


def test_broken_geometries_are_repaired():
    bow = shapely.Polygon([(0, 0), (10, 10), (10, 0), (0, 10)])
    parts = shapely.GeometryCollection([box(0, 0, 10, 10), shapely.LineString([(0, 0), (20, 20)])])
    truth = layer(bow, parts, shapely.Point(3, 3), shapely.Polygon())
    truth = geopandas.GeoDataFrame(geometry=[*truth.geometry, None], crs=UTM)
    scores = match_objects(layer(box(0, 0, 10, 10)), truth)
    assert (scores.true_positives, scores.false_negatives) == (1, 1)


def test_empty_layers():
    some, none = layer(box(0, 0, 10, 10)), layer()
    assert match_objects(none, none).f1 == match_objects(none, none).area_iou == 1
    missed, invented = match_objects(none, some), match_objects(some, none)
    assert (missed.false_negatives, missed.recall, missed.f1, missed.area_iou) == (1, 0, 0, 0)
    assert (invented.false_positives, invented.precision, invented.f1, invented.area_iou) == (1, 0, 0, 0)
    assert match_objects(some, layer(crs=None)).false_positives == 1


def test_layers_without_a_crs():
    plain = layer(box(0, 0, 10, 10), crs=None)
    assert match_objects(plain, plain).true_positives == 1
    with pytest.raises(CrsError, match="true layer has no CRS"):
        match_objects(layer(box(0, 0, 1, 1)), plain)
    with pytest.raises(InputError, match="iou"):
        match_objects(plain, plain, iou=0)


def test_masks_of_real_scenes_give_back_their_polygons(real_data):
    for name in ("nepal_banepa/scene_01", "tanzania_zanzibar/scene_01"):
        truth = geopandas.read_file(real_data(f"buildings/{name}.geojson"))
        mask = real_data(f"buildings/{name}_mask.tif")
        plain = polygonize(mask)
        best = match_objects(plain, truth)
        for options in ({}, {"outline": "subpixel"}, {"simplify_m": 0.3}, {"regularize": True}):
            objects = polygonize(mask, **options)
            scores = match_objects(objects, truth)
            assert scores.f1 > 0.95
            assert scores.area_iou > 0.98
            assert scores.mean_iou > best.mean_iou - 0.005
        assert objects.count_coordinates().sum() < 0.4 * plain.count_coordinates().sum()


def test_one_large_shape_does_not_make_all_others_large():
    squares = layer(
        box(0, 0, 9, 9).buffer(1000, quad_segs=4000), *(box(5000 + 9 * k, 0, 5005 + 9 * k, 5) for k in range(500))
    )
    tracemalloc.start()
    assert match_objects(squares, squares).true_positives == 501
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50 << 20


@pytest.mark.parametrize("layer", ["truth.gpkg", Path("truth.gpkg"), pandas.DataFrame({"a": [1]}), None])
def test_what_is_no_layer_is_refused(layer):
    squares = geopandas.GeoDataFrame(geometry=[box(0, 0, 1, 1)])
    for pair in ((layer, squares), (squares, layer)):
        with pytest.raises(InputError, match="a layer is a GeoDataFrame with geometries, not an object of type"):
            match_objects(*pair)
