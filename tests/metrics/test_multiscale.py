"""Four passes for six, and windows that cover the picture."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("py_sod_metrics", reason="needs the metrics extra")

from dataclasses import replace  # noqa: E402
from itertools import pairwise  # noqa: E402

from weft_geo.metrics.multiscale import OWN, RESEARCH, SIX_PASSES, _starts, object_probability  # noqa: E402
from weft_geo.models import build_model  # noqa: E402


def test_four_passes_equal_six() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = build_model("weft-tiny").eval()
    image = torch.rand(3, 50, 70) * 255
    small = {"window": 64, "stride": 53}
    four = replace(RESEARCH, short_sides=(64, 96), **small)
    six = replace(SIX_PASSES, short_sides=(64, 64, 96), **small)
    one, other = (object_probability(model, image, (120.0,) * 3, (60.0,) * 3, passes) for passes in (four, six))
    assert one.shape == (50, 70)
    assert one == pytest.approx(other, abs=1e-6)
    alone = object_probability(model, image, (120.0,) * 3, (60.0,) * 3, four, batch_size=1)
    assert one == pytest.approx(alone, abs=1e-5)


def test_a_picture_in_its_own_size_is_seen_as_while_training() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = build_model("weft-tiny").eval()
    image = torch.rand(3, 64, 96) * 255
    with torch.no_grad():
        scores = model.semantic_scores(((image - 120) / 60)[None])
    background, objects = torch.nn.functional.interpolate(scores, scale_factor=4, mode="bilinear")[0]
    found = object_probability(model, image, (120.0,) * 3, (60.0,) * 3, OWN)
    assert found == pytest.approx(((1 + objects - background) / 2).clamp(0, 1).numpy(), abs=1e-5)


@pytest.mark.parametrize("side", [512, 513, 683, 938, 939, 2048])
def test_windows_cover_everything(side: int) -> None:
    starts = _starts(side, 512, 426)
    assert starts[0] == 0
    assert starts[-1] == side - 512
    assert all(0 < b - a <= 426 for a, b in pairwise(starts))
