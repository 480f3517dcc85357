"""Small models train as fast on one thread as on two, and do not stall where the other core is busy."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

torch.set_num_threads(1)
