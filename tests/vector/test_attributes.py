"""What is told of each object besides its outline."""

import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from weft_geo.vector import polygonize

COLUMNS = ["id", "class", "score", "score_max", "area_m2", "perimeter_m", "touches_edge", "touches_nodata", "geometry"]
KINDS = ["int64", "str", "float64", "float64", "float64", "float64", "bool", "bool", "geometry"]


def test_columns_and_their_types():
    for mask in (np.eye(5, dtype=np.uint8), np.zeros((5, 5), np.uint8)):
        objects = polygonize(mask)
        assert list(objects.columns) == COLUMNS
        kinds = [str(kind) for kind in objects.dtypes]
        assert [kind.replace("object", "str") for kind in kinds] == KINDS


@pytest.mark.parametrize("rows", [1, 3, 100])
def test_scores(rows, strip_rows):
    probability = np.zeros((9, 12), np.float32)
    probability[1:8, 2:5] = 0.75
    probability[4, 3] = 0.95
    probability[2:4, 8:11] = 0.5
    strip_rows(rows, 12)
    objects = polygonize(probability)
    assert objects["score"].to_numpy() == pytest.approx([(20 * 0.75 + 0.95) / 21, 0.5])
    assert objects["score_max"].to_numpy() == pytest.approx([0.95, 0.5])


def test_scores_of_bytes_and_masks():
    values = np.zeros((6, 6), np.uint8)
    values[1:3, 1:5] = 204
    assert polygonize(values)["score"].to_numpy() == pytest.approx([0.8])
    assert polygonize(values > 0)["score"].tolist() == [1.0]


def test_classes_by_the_greatest_probability():
    probability = np.zeros((3, 4, 9), np.float32)
    probability[0, :, :3], probability[1, :, 3:6], probability[2, :, 6:] = 0.9, 0.8, 0.4
    probability[1, :, :3] = 0.85
    objects = polygonize(probability, classes=["roof", "road", "tree"])
    assert objects["class"].tolist() == ["roof", "road"]
    assert objects["score"].to_numpy() == pytest.approx([0.9, 0.8])


@pytest.mark.parametrize("rows", [1, 2, 100])
def test_edge(rows, strip_rows):
    mask = np.zeros((9, 13), np.uint8)
    mask[0, 2] = mask[4, 0] = mask[8, 5] = mask[3, 12] = mask[4, 5] = mask[1, 8] = 1
    strip_rows(rows, 13)
    objects = polygonize(mask)
    assert objects["touches_edge"].tolist() == [True, False, True, True, False, True]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 9999), rows=st.integers(1, 9), share=st.sampled_from([0.02, 0.2]))
def test_nodata_among_the_eight_neighbours(strip_rows, seed, rows, share):
    rng = np.random.default_rng(seed)
    mask = rng.random((9, 11)) < 0.3
    probability = np.where(rng.random((9, 11)) < share, np.nan, mask).astype(np.float32)
    near = np.pad(np.isnan(probability), 1)
    near = np.any([near[r : r + 9, c : c + 11] for r in range(3) for c in range(3)], axis=0)
    strip_rows(rows, 11)
    objects = polygonize(probability)
    for row in objects.itertuples():
        inside = [
            (r, c)
            for r in range(9)
            for c in range(11)
            if probability[r, c] == 1 and row.geometry.contains(shapely.Point(c + 0.5, r + 0.5))
        ]
        assert row.touches_nodata == any(near[r, c] for r, c in inside)
