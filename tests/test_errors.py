"""Errors come out of other processes as they went in."""

import pickle

import pytest

from weft_geo.errors import CheckpointError, MissingExtraError, RasterError, UnknownNameError


@pytest.mark.parametrize(
    "error",
    [
        RasterError("scene.tif has no CRS"),
        CheckpointError("no model"),
        UnknownNameError("model", "weft-huge", ["weft-tiny", "weft-large"]),
        MissingExtraError("training", "train"),
        MissingExtraError("scores", "metrics", "install a C compiler first"),
    ],
)
def test_errors_survive_pickle(error):
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (type(error), str(error))
