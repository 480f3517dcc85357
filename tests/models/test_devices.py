"""Where a model runs."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from weft_geo.errors import InputError  # noqa: E402
from weft_geo.models.devices import choose_device  # noqa: E402


def test_what_is_there_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert [choose_device(asked) for asked in ("auto", "cpu")] == ["cpu", "cpu"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [choose_device(asked) for asked in ("auto", "cpu", "cuda", "cuda:1")] == ["cuda", "cpu", "cuda", "cuda:1"]
    with pytest.raises(InputError, match="the last one that torch finds is cuda:1"):
        choose_device("cuda:2")
    with pytest.raises(InputError, match="must be auto, cpu, cuda or cuda:N, got 'gpu'"):
        choose_device("gpu")
