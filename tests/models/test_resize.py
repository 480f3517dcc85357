"""The matrices that an exported graph resizes by do what PyTorch does."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

import torch.nn.functional as F  # noqa: E402

from weft_geo.models.resize import Mode, resize, resize_matrix  # noqa: E402

SIZES = [((16, 16), (32, 48)), ((14, 14), (5, 9)), ((7, 12), (28, 48)), ((5, 3), (5, 3)), ((2, 2), (4, 8))]


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("old", "new"), SIZES)
def test_products_of_matrices_are_what_interpolate_does(mode: Mode, old: tuple[int, int], new: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *old, generator=torch.Generator().manual_seed(0))
    rows, cols = (resize_matrix(a, b, mode, x) for a, b in zip(old, new, strict=True))
    expected = F.interpolate(x, size=new, mode=mode, align_corners=False)
    torch.testing.assert_close(rows @ x @ cols.T, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(rows.sum(dim=1), torch.ones(new[0]))


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_an_exported_graph_resizes_by_products_at_any_size(mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(1, 4, 6, 8, generator=torch.Generator().manual_seed(1))
    expected = resize(x, (12, 16), mode)
    monkeypatch.setattr(torch.onnx, "is_in_onnx_export", lambda: True)
    monkeypatch.setattr(F, "interpolate", None)  # would be called, and fail
    torch.testing.assert_close(resize(x, (12, 16), mode), expected, atol=1e-5, rtol=1e-5)
