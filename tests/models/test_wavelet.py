"""Haar's fast path, and every other wavelet."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from weft_geo.models.wavelet import FilterBankTransform, HaarTransform, wavelet_transform  # noqa: E402
from weft_geo.models.wavelet_conv import WaveletConv  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


def test_haar_equals_pytorch_wavelets() -> None:
    pytest.importorskip("pytorch_wavelets", reason="needs the train extra")
    x = torch.randn(2, 3, 16, 10)
    haar, bank = HaarTransform(3), FilterBankTransform("haar")
    torch.testing.assert_close(haar(x), bank(x))
    torch.testing.assert_close(haar.inverse(haar(x)), bank.inverse(bank(x)))


@pytest.mark.parametrize("wavelet", ["haar", "db1", "db2", "sym4", "bior2.2"])
def test_the_inverse_undoes_the_transform(wavelet: str) -> None:
    if wavelet not in ("haar", "db1"):
        pytest.importorskip("pytorch_wavelets", reason="needs the train extra")
    transform = wavelet_transform(wavelet, 4)
    x = torch.randn(2, 4, 16, 24)
    bands = transform(x)
    assert bands.shape == (2, 16, 8, 12)
    torch.testing.assert_close(transform.inverse(bands), x, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (5, 8), (13, 11)])
def test_the_convolution_keeps_any_size(size: tuple[int, int]) -> None:
    assert WaveletConv(4, 13)(torch.randn(1, 4, *size)).shape == (1, 4, *size)


@pytest.mark.parametrize("wavelet", ["haar", "db2"])
def test_half_precision_around_it_reaches_the_gradients(wavelet: str) -> None:
    transform, before = wavelet_transform(wavelet, 4), torch.nn.Conv2d(4, 4, 1)
    with torch.autocast("cpu", torch.bfloat16):
        out = transform.inverse(transform(before(torch.randn(1, 4, 16, 16))))
    out.float().sum().backward()
    assert before.weight.grad is not None
