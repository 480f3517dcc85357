"""Where a model runs."""

from __future__ import annotations

import re

import torch

from weft_geo.errors import InputError


def choose_device(device: str) -> str:
    """`cpu`, `cuda` or `cuda:N`; for `auto`, a GPU if torch finds one.

    Raises:
        InputError: it cannot be had.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu":
        return device
    if not re.fullmatch(r"cuda(:\d+)?", device):
        raise InputError(f"device must be auto, cpu, cuda or cuda:N, got {device!r}")
    if not torch.cuda.is_available():
        raise InputError(f"device {device} was asked for, but torch finds no GPU; give --device cpu")
    last = torch.cuda.device_count() - 1
    if (torch.device(device).index or 0) > last:
        raise InputError(f"device {device} was asked for, but the last one that torch finds is cuda:{last}")
    return device
