"""Everything but CUDA itself: there is no GPU here, so streams and page-locked memory are stood in for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from weft_geo.inference import gpu_lanes  # noqa: E402
from weft_geo.inference.stages import several  # noqa: E402

said: list[str] = []


class Stream:
    """Notes what is asked of it."""

    def __init__(self, name: str = "copies") -> None:
        self.name = name

    def wait_stream(self, other: Stream) -> None:
        said.append(f"{self.name} wait for {other.name}")

    def wait_event(self, event: str) -> None:
        said.append(f"{self.name} wait for {event}")

    def record_event(self) -> str:
        return f"what {self.name} have so far"

    def synchronize(self) -> None:
        said.append(f"the caller waits for {self.name}")


@contextmanager
def within(stream: Stream) -> Iterator[None]:
    said.append(f"into {stream.name}")
    yield


@pytest.fixture
def lanes(monkeypatch: pytest.MonkeyPatch) -> gpu_lanes.GpuLanes:
    empty = torch.empty

    def ordinary(size: int, dtype: Any, pin_memory: bool = False) -> Any:
        if pin_memory:
            said.append(f"page-locked: {size}")
        return empty(size, dtype=dtype)

    said.clear()
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: Stream())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: Stream("kernels"))
    monkeypatch.setattr(torch.cuda, "stream", within)
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda tensor, stream: said.append(f"kept for {stream.name}"))
    monkeypatch.setattr(gpu_lanes.torch, "empty", ordinary)
    return gpu_lanes.GpuLanes(torch.device("cpu"))


def test_a_batch_waits_for_its_copy_and_its_answer_for_its_kernels(lanes: gpu_lanes.GpuLanes) -> None:
    def ask(values: Any, valid: Any) -> Any:
        said.append("the model")
        return values[:, :1] * valid, valid.sum(1)

    said.clear()
    rng = np.random.default_rng(0)
    values, valid = rng.integers(0, 200, (2, 3, 4, 5), np.uint8), rng.random((2, 1, 4, 5)) > 0.5
    doubled, counted = lanes.run([values, valid], ask)
    np.testing.assert_array_equal(doubled, values[:, :1] * valid)
    np.testing.assert_array_equal(counted, valid.sum(1))
    assert said == [
        "page-locked: 120",
        "page-locked: 40",
        "into copies",
        "kernels wait for copies",
        "the model",
        "kept for kernels",
        "kept for kernels",
        "page-locked: 40",
        "page-locked: 320",
        "copies wait for what kernels have so far",
        "into copies",
        "kept for copies",
        "kept for copies",
        "the caller waits for copies",
    ]


def test_page_locked_memory_is_used_again(lanes: gpu_lanes.GpuLanes) -> None:
    rng = np.random.default_rng(0)
    said.clear()
    kept = []
    for height in (8, 4, 8, 2, 16):
        for _ in range(gpu_lanes.LANES):
            images = rng.random((1, 1, height, 1), np.float32)
            kept.append((images, lanes.run([images], lambda given: [given + 1])))
    for images, (answer,) in kept:  # none was overwritten by a later batch
        np.testing.assert_array_equal(answer, images + 1)
    assert [line for line in said if line.startswith("page")] == ["page-locked: 32"] * 4 + ["page-locked: 64"] * 4


def test_several_threads_ask_one_model_one_at_a_time(lanes: gpu_lanes.GpuLanes) -> None:
    inside = threading.Lock()

    def ask(given: Any) -> Any:
        assert inside.acquire(blocking=False), "two batches at once would need twice the memory"
        answer = given.flip(0)
        inside.release()
        return [answer]

    batches = [np.full((2, 1, 3, 3), number, np.float32) for number in range(40)]
    for given, (answer,) in several(lambda images: lanes.run([images], ask), batches, lanes.count, "test"):
        np.testing.assert_array_equal(answer, given)


def test_a_lane_is_free_again_after_a_failure(lanes: gpu_lanes.GpuLanes) -> None:
    def fail(given: Any) -> Any:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    for _ in range(gpu_lanes.LANES + 1):
        with pytest.raises(torch.cuda.OutOfMemoryError):
            lanes.run([np.zeros((1, 1, 2, 2), np.float32)], fail)
