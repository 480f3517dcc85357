"""A model on a GPU: precisions and batch sizes, and whether CUDA graphs, torch.compile or other kernels pay.

    python benchmarks/model_on_gpu.py [--model weft-large] [--window 512] [--batches 1,4,16,64] [--compile]

Needs torch and timm, no other package. The weights are random, which the time hardly depends on. Times are medians of
alternating calls, a window; ratios are to the plain call of the same batch. A graph cannot ask which experts were
chosen, so in one all seven run where a plain call runs four. A plain call keeps the channels innermost, which
convolutions on tensor cores want and depthwise ones may not, and takes the Haar transform by slices, which are many
kernels; "channels first" and "Haar by convolution" are the other ways. Without a GPU it shows
no more than that it works.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from contextlib import nullcontext
from copy import deepcopy
from functools import partial
from statistics import median
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor

from weft_geo.models import build_model
from weft_geo.models.wavelet import HaarTransform

PRECISIONS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
Call = Callable[[], Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="weft-tiny")
    parser.add_argument("--window", type=int, default=512)
    parser.add_argument("--batches", default="1,4,16,64")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--compile", action="store_true", help="torch.compile too; takes minutes and a C++ compiler")
    arguments = parser.parse_args()
    on_gpu = torch.cuda.is_available()
    device = torch.device("cuda" if on_gpu else "cpu")
    print(f"{arguments.model}, {arguments.window}², {torch.cuda.get_device_name() if on_gpu else 'CPU'}", flush=True)
    layout = torch.channels_last if on_gpu else torch.contiguous_format
    model = build_model(arguments.model).to(device).to(memory_format=layout).eval()
    other = deepcopy(model).to(memory_format=torch.contiguous_format)
    for precision, dtype in PRECISIONS.items():
        if precision == "fp16" and not on_gpu:
            continue
        for batch in map(int, arguments.batches.split(",")):
            size = (batch, model.contract.bands, arguments.window, arguments.window)
            images = torch.randn(size, device=device).contiguous(memory_format=layout)

            def ask(
                model: Callable[[Tensor], Tensor],
                images: Tensor = images,
                dtype: torch.dtype | None = dtype,
            ) -> Tensor:
                half = nullcontext() if dtype is None else torch.autocast(device.type, dtype)
                with torch.no_grad(), half:
                    return model(images).float()

            plain = partial(ask, model.probabilities)
            calls: dict[str, Call] = {"plain": plain, "Haar by convolution": partial(by_convolution, plain)}
            if on_gpu:
                torch.cuda.reset_peak_memory_stats()
                plain()
                peak = f", {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB"
                calls["channels first"] = partial(ask, other.probabilities, images.contiguous())
                calls["CUDA graph"] = recorded(plain)
                calls["CUDA graph, Haar by conv."] = by_convolution(partial(recorded, plain))
            else:
                peak = ""
            if arguments.compile:
                calls["compiled"] = partial(ask, torch.compile(model.probabilities))
            report(calls, f"{precision}, {batch} at once{peak}", batch, arguments.rounds)


def by_convolution(call: Callable[[], Any]) -> Any:
    """What a call gives that takes the Haar transform as an exported graph does: one kernel for a dozen."""

    def forward(self: HaarTransform, x: Tensor) -> Tensor:
        return F.conv2d(x, self.analysis_filters, stride=2, groups=self.channels)

    def inverse(self: HaarTransform, bands: Tensor) -> Tensor:
        return F.conv_transpose2d(bands, self.synthesis_filters, stride=2, groups=self.channels)

    with patch.object(HaarTransform, "forward", forward), patch.object(HaarTransform, "inverse", inverse):
        return call()


def recorded(call: Call) -> Call:
    """The call as a CUDA graph: the same kernels, launched as one."""
    with patch.object(torch.compiler, "is_compiling", lambda: True):  # the branch that asks nothing of the host
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                call()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            answer = call()

    def replay() -> Tensor:
        graph.replay()
        return answer

    return replay


def report(calls: dict[str, Call], title: str, batch: int, rounds: int) -> None:
    """Prints the time of each call a window, its ratio to the first, and how far its answer is from that."""
    expected = calls["plain"]()
    times: dict[str, list[float]] = {name: [] for name in calls}
    off = {name: float((call() - expected).abs().max()) for name, call in calls.items()}
    for _ in range(rounds):
        for name, call in calls.items():
            synchronize()
            began = time.perf_counter()
            call()
            synchronize()
            times[name].append((time.perf_counter() - began) / batch)
    first = median(times["plain"])
    for name, some in times.items():
        print(
            f"{title:>28} {name:>25}: {median(some) * 1e3:8.2f} ms a window, {median(some) / first:.2f} ×, "
            f"off by {off[name]:.1e}",
            flush=True,
        )


def synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
