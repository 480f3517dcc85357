"""Scores of a part of two layers."""

import geopandas
import numpy as np
import pytest
import shapely
from shapely import box

from weft_geo.errors import CrsError, InputError, VectorError
from weft_geo.vector import match_objects, polygonize

UTM = "EPSG:32636"
X, Y = 500_000, 5_000_000


def layer(*shapes, crs=UTM):
    return geopandas.GeoDataFrame(geometry=[shapely.affinity.translate(shape, X, Y) for shape in shapes], crs=crs)


def counts(scores):
    return scores.true_positives, scores.false_positives, scores.false_negatives


@pytest.fixture
def row():
    """Ten true squares of 10 m, 20 m from one to the next."""
    return layer(*(box(20 * k, 0, 20 * k + 10, 10) for k in range(10)))


def test_only_what_is_inside_counts(row):
    found = row.iloc[[0, 1, 8]]
    assert counts(match_objects(found, row, aoi=(X - 5, Y - 5, X + 55, Y + 15))) == (2, 0, 1)
    assert counts(match_objects(found, row)) == (3, 0, 7)


@pytest.mark.parametrize("crs", [UTM, "EPSG:4326", "EPSG:3857"])
def test_areas_in_any_crs_say_the_same(row, crs, tmp_path):
    area = layer(box(-5, -5, 55, 15)).to_crs(crs)
    area.to_file(tmp_path / "area.gpkg")
    scores = match_objects(row.iloc[[0, 1, 8]].to_crs(3857), row, aoi=tmp_path / "area.gpkg")
    assert counts(scores) == (2, 0, 1)
    assert scores.area_iou == pytest.approx(2 / 3, rel=1e-4)
    west, south, east, north = area.total_bounds
    assert counts(match_objects(row, row, aoi=f"{west},{south},{east},{north},{crs}")) == (3, 0, 0)


def test_objects_count_whole_from_half_of_their_area_on(row):
    for share, inside in ((0.4, 0), (0.6, 1)):
        area = (X - 5, Y - 5, X + 10 * share, Y + 15)
        assert counts(match_objects(row, row, aoi=area)) == (inside, 0, 0)
        assert counts(match_objects(row.iloc[5:], row, aoi=area)) == (0, 0, inside)
        assert counts(match_objects(row, row.iloc[5:], aoi=area)) == (0, inside, 0)


def test_the_border_parts_no_pair(row):
    """A pair counts where its true object does, whichever side most of the found one is on."""
    found = layer(box(3, 0, 13, 10))
    assert counts(match_objects(found, row.iloc[:1], aoi=(X - 5, Y - 5, X + 6, Y + 15))) == (1, 0, 0)
    assert counts(match_objects(found, row.iloc[:1], aoi=(X + 7, Y - 5, X + 40, Y + 15))) == (0, 0, 0)


def test_what_a_prediction_within_the_area_leaves_of_objects_at_its_border_is_not_wrong(row):
    area = box(X - 5, Y - 5, X + 24, Y + 15)  # 4 m of the second square
    cut = row.clip(area)
    assert counts(match_objects(cut, row, aoi=area.bounds)) == (1, 0, 0)
    assert counts(match_objects(cut, row.iloc[[0]], aoi=area.bounds)) == (1, 1, 0)


def test_areas_are_divided_without_doubt(row):
    """Whatever the borders, every object counts once in adjoining areas."""
    for border in np.linspace(X + 20.5, X + 29.5, 7):
        one = match_objects(row, row, aoi=(X - 9, Y - 9, border, Y + 19))
        two = match_objects(row, row, aoi=(border, Y - 9, X + 999, Y + 19))
        assert one.true_positives + two.true_positives == 10


def test_the_area_iou_is_that_of_the_ground_inside(row):
    found = layer(box(0, 0, 10, 5))
    scores = match_objects(found, row, aoi=(X, Y - 5, X + 24, Y + 15))
    assert scores.area_iou == pytest.approx(50 / (100 + 40), rel=1e-4)
    scores = match_objects(found, row, aoi=(X + 11, Y, X + 19, Y + 9))
    assert (counts(scores), scores.f1, scores.area_iou) == ((0, 0, 0), 1, 1)


def test_classes_that_are_not_there_have_no_row(row):
    named = row.assign(**{"class": ["a"] * 5 + ["b"] * 5})
    assert list(match_objects(named, named, by="class", aoi=(X, Y, X + 50, Y + 10)).classes) == ["a"]


def test_layers_without_a_crs_have_boxes_in_their_own_numbers(row, tmp_path):
    plain = row.set_crs(None, allow_override=True)
    assert counts(match_objects(plain, plain, aoi=(X, Y, X + 50, Y + 10))) == (3, 0, 0)
    with pytest.raises(CrsError, match="the layers have no CRS"):
        match_objects(plain, plain, aoi=f"{X},{Y},{X + 50},{Y + 10},{UTM}")


def test_refuses_what_is_no_area_of_these_layers(row, tmp_path):
    with pytest.raises(InputError, match="does not overlap the objects; is it in the right CRS"):
        match_objects(row, row, aoi="39.2,-6.1,39.3,-6.0")
    with pytest.raises(InputError, match=r"minx,miny,maxx,maxy in the predicted layer's CRS"):
        match_objects(row, row, aoi="1,2,3,x")
    with pytest.raises(VectorError, match="cannot be read as a vector layer"):
        match_objects(row, row, aoi="gone.geojson")


def test_an_area_as_large_as_the_world(row):
    assert counts(match_objects(row, row, aoi="-180,-90,180,90,EPSG:4326")) == (10, 0, 0)


def test_a_part_of_a_real_scene_against_itself(real_data):
    truth = geopandas.read_file(real_data("buildings/tanzania_zanzibar/scene_00.geojson"))
    objects = polygonize(real_data("buildings/tanzania_zanzibar/scene_00_mask.tif"))
    west, south, east, north = truth.total_bounds
    middle = (west + east) / 2
    whole = match_objects(truth, truth)
    parts = [match_objects(truth, truth, aoi=(a, south, b, north)) for a, b in ((west, middle), (middle, east))]
    assert sum(part.true_positives for part in parts) == whole.true_positives
    part = match_objects(objects, truth, aoi=f"{west},{south},{middle},{north},EPSG:4326")
    assert part.f1 > 0.95
    assert part.area_iou > 0.98
