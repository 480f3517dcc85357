"""What `explain` shows is what the model does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: E402

from weft_geo.models import build_model  # noqa: E402
from weft_geo.models.explain import draw_explanation, explain  # noqa: E402


def test_experts_boundaries_and_probability_of_an_image() -> None:
    torch.manual_seed(0)
    model = build_model("weft-tiny").eval()
    image = torch.randn(1, 3, 70, 100)
    found = explain(model, image)
    assert found.probability.shape == (70, 100)
    torch.testing.assert_close(found.probability, model.probabilities(image)[0, 1].detach())
    assert [mask.shape for mask in found.boundaries] == [(6, 8)] * 4  # padded to 96 × 128
    assert len(found.routings) == 4
    stem = model.expert_extractor.stem(torch.nn.functional.pad(image, (0, 28, 0, 26), mode="replicate"))
    expected = model.expert_extractor.mixture.router(stem)
    torch.testing.assert_close(found.routings[0].weights, expected.weights.detach())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    figure = draw_explanation(found, torch.zeros(70, 100, 3, dtype=torch.uint8).numpy())
    assert sum(len(part.axes) for part in figure.subfigs) == 11  # six pictures, their scale, four scales of experts


@pytest.mark.parametrize(("height", "width", "columns"), [(200, 50, 6), (64, 64, 3), (40, 200, 2)])
def test_pictures_of_any_shape_leave_room_for_what_is_said(height: int, width: int, columns: int) -> None:
    found = explain(build_model("weft-tiny").eval(), torch.randn(1, 3, height, width))
    figure = draw_explanation(found, torch.zeros(height, width, 3, dtype=torch.uint8).numpy())
    FigureCanvasAgg(figure).draw()
    *pictures, bar = figure.subfigs[0].axes
    assert len({round(picture.get_window_extent().x0) for picture in pictures}) == columns
    label = bar.yaxis.label.get_window_extent()
    assert figure.bbox.y0 <= label.y0 < label.y1 <= figure.bbox.y1


def test_the_line_is_drawn_where_predict_draws_it() -> None:
    model = build_model("weft-tiny").eval()
    model.contract = replace(model.contract, threshold=0.625)
    figure = draw_explanation(explain(model, torch.randn(1, 3, 64, 64)), np.zeros((64, 64, 3), np.uint8))
    assert figure.subfigs[0].axes[1].get_title() == "objects: line at 0.625"


def test_without_twe_and_esto_there_is_less_to_show() -> None:
    model = build_model("weft-tiny", twe=False, esto=False).eval()
    found = explain(model, torch.randn(1, 3, 64, 64))
    assert (found.routings, found.boundaries, found.experts()) == ((), (), [])
