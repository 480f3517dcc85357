"""Objects are only right as what they are."""

import geopandas
import pytest
from shapely import box

from weft_geo.errors import VectorError
from weft_geo.vector import match_objects
from weft_geo.vector.object_classes import find_class_field


def layer(names, left=0, field="class"):
    """Squares of 10 m in a row, one a name."""
    squares = [box(500_000 + left + 20 * k, 0, 500_010 + left + 20 * k, 10) for k in range(len(names))]
    return geopandas.GeoDataFrame({field: list(names)}, geometry=squares, crs="EPSG:32636")


def test_renamed_everything_is_all_wrong_by_class_and_all_right_without():
    found, truth = layer(["a", "b", "c"]), layer(["x", "y", "z"])
    assert match_objects(found, truth).f1 == 1
    scores = match_objects(found, truth, by="class")
    assert (scores.true_positives, scores.false_positives, scores.false_negatives) == (0, 3, 3)
    assert scores.f1 == scores.area_iou == 0
    assert list(scores.classes) == ["a", "b", "c", "x", "y", "z"]


def test_each_class_by_hand_and_the_total():
    truth = layer(["house", "house", "tree", "tree"])
    found = layer(["house", "tree", "tree"], left=1)
    scores = match_objects(found, truth, by="class")
    house, tree = scores.classes["house"], scores.classes["tree"]
    assert (house.true_positives, house.false_positives, house.false_negatives) == (1, 0, 1)
    assert (tree.true_positives, tree.false_positives, tree.false_negatives) == (1, 1, 1)
    assert (scores.true_positives, scores.false_positives, scores.false_negatives) == (2, 1, 2)
    assert house.area_iou == pytest.approx(90 / (110 + 100), rel=1e-4)
    assert tree.area_iou == pytest.approx(90 / (110 + 100 + 100), rel=1e-4)
    assert scores.area_iou == pytest.approx(180 / 520, rel=1e-4)
    assert scores.mean_iou == pytest.approx(90 / 110, rel=1e-4)
    assert match_objects(found, truth).true_positives == 3
    assert match_objects(found, truth).classes == {}


def test_the_best_of_another_class_does_not_take_the_partner():
    truth = layer(["house"])
    found = geopandas.GeoDataFrame(
        {"class": ["tree", "house"]},
        geometry=[*layer(["tree"]).geometry, *layer(["house"], left=2).geometry],
        crs=truth.crs,
    )
    assert match_objects(found, truth, by="class").classes["house"].true_positives == 1


def test_one_shape_as_two_classes_is_two_objects():
    both = geopandas.GeoDataFrame({"class": ["house", "tree"]}, geometry=[box(500_000, 0, 500_010, 10)] * 2, crs=32636)
    assert match_objects(both, both, by="class").true_positives == 2
    assert match_objects(both, both).true_positives == 1


def test_an_attribute_of_another_name_and_numbers_of_another_type():
    found = layer(["1", "2"])
    assert match_objects(found, layer([1.0, 2.0], field="kind"), by="kind").f1 == 1
    assert (
        match_objects(
            layer([1, 2], field="kind").assign(**{"class": "x"}), layer([1.0, 2.0], field="kind"), by="kind"
        ).f1
        == 1
    )


def test_nothing_found_has_no_attributes():
    nothing = geopandas.GeoDataFrame(geometry=[], crs="EPSG:32636")
    scores = match_objects(nothing, layer(["house", "tree"]), by="class")
    assert [some.false_negatives for some in scores.classes.values()] == [1, 1]
    assert match_objects(nothing, nothing, by="class").f1 == 1


def test_refuses_what_tells_no_class():
    with pytest.raises(VectorError, match="true objects have no attribute 'kind' for the class; they have class"):
        match_objects(layer(["a"]), layer(["a"]), by="kind")
    with pytest.raises(VectorError, match=r"predicted objects have no attribute 'class' .* they have none"):
        match_objects(layer(["a"])[["geometry"]], layer(["a"]), by="class")
    with pytest.raises(VectorError, match="1 of 2 true objects have no 'class'; fill it in"):
        match_objects(layer(["a", "b"]), layer(["a", None]), by="class")


@pytest.mark.parametrize(
    ("found", "truth", "field", "says"),
    [
        (["a", "b"], ["a", "b"], "class", ""),
        (["a"], ["a", "b"], "class", ""),
        (["a", "b"], ["x", "y"], "class", ""),
        ([], ["a", "b"], "class", ""),
        (["a"], ["a"], None, ""),
        (["object"], ["a", "b"], None, "all predicted objects are 'object', which is no class of the other layer"),
        (["a", "b"], ["object"], None, "all true objects are 'object'"),
        (["a", "b"], ["a", None], None, "1 of 2 true objects have no class"),
    ],
)
def test_whether_classes_count_where_nobody_says(found, truth, field, says):
    chosen, why = find_class_field(layer(found), layer(truth))
    assert chosen == field
    assert says in why
    assert bool(says) == bool(why)


def test_a_layer_without_the_attribute_tells_no_classes():
    assert find_class_field(layer(["a", "b"]), layer(["a", "b"], field="kind")) == (None, "")
