"""One training step by WEFT, with and without gradient checkpointing, beside full fine-tuning: time and memory.

    python benchmarks/strategies.py [--model weft-large --size 512 --batch 6 --device cuda --precision bf16]

Each runs in a process of its own, so that its peak is its own: the GPU's allocator, or the resident set on a CPU. The
steps alternate between rounds; the ratios are to full fine-tuning in the same round. On a CPU a step's time is that of
the processor, on one thread, which other processes disturb less.

"kept" are the activations that autograd holds between the forward and the backward pass, each storage counted once;
"state" are weights, gradients and AdamW's two moments. The first grows with the batch, the second does not.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from contextlib import nullcontext

VARIANTS = ("full", "full+checkpointing", "weft", "weft+adapter", "weft+checkpointing")
PARTS = {"": False, "adapter": "adapter", "checkpointing": True}


def measure(variant: str, model_name: str, size: int, batch: int, device: str, precision: str, steps: int) -> None:
    """Take some steps and print seconds a step, the peak, and what it is made of."""
    import torch

    torch.set_num_threads(1)

    from weft_geo.geo.memory import peak_memory_bytes
    from weft_geo.models import build_model
    from weft_geo.trainers.losses import MaskLoss
    from weft_geo.trainers.optimizer import build_optimizer
    from weft_geo.trainers.settings import OptimizerConfig

    torch.manual_seed(0)
    strategy, _, checkpointing = variant.partition("+")
    shape = {"train_trunk": False} if strategy == "weft" else {}
    model = build_model(model_name, strategy=strategy, **shape).to(device).train()
    model.recompute_in_backward(PARTS[checkpointing])
    with torch.no_grad():  # γ starts at zero, where some gradients are nought; training soon leaves it
        for name, parameter in model.named_parameters():
            if name.endswith("injection.gamma"):
                parameter.fill_(0.1)
    loss, (optimizer, _) = MaskLoss(2).to(device), build_optimizer(model, OptimizerConfig())
    images = torch.randn(batch, 3, size, size, device=device)
    labels = torch.zeros(batch, size, size, dtype=torch.long, device=device)
    labels[:, size // 4 : size // 2, size // 4 : size // 2] = 1
    half = torch.autocast(device, torch.bfloat16) if precision == "bf16" else nullcontext()
    clock = time.perf_counter if device == "cuda" else time.process_time
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in own:
            kept[tensor.untyped_storage().data_ptr()] = tensor  # held, so that no other takes its address
        return tensor

    seconds = []
    for step in range(steps + 1):
        began = clock()
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x) if step == 0 else nullcontext(), half:
            total = loss(model(images), labels)["loss"]
        if step == 0:
            kept_bytes = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
            kept.clear()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(clock() - began)
    state = 4 * (model.num_total() + 3 * model.num_trainable())
    peak = torch.cuda.max_memory_allocated() if device == "cuda" else peak_memory_bytes()
    taken = statistics.median(seconds[1:] or seconds)
    print(json.dumps({"seconds": taken, "bytes": peak, "kept": kept_bytes, "state": state}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="weft-large")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--steps", type=int, default=2, help="after a first one; 0 for the first one alone")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", choices=VARIANTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    shape = (arguments.model, arguments.size, arguments.batch, arguments.device, arguments.precision, arguments.steps)
    if arguments.only:
        measure(arguments.only, *shape)
        return
    print(f"{arguments.model}, {arguments.size}², batch {arguments.batch}, {arguments.device}, {arguments.precision}")
    for _ in range(arguments.rounds):
        found = {}
        for variant in VARIANTS:
            words = [sys.executable, __file__, *sys.argv[1:], "--only", variant]
            done = subprocess.run(words, check=True, capture_output=True, text=True)
            found[variant] = json.loads(done.stdout.splitlines()[-1])
        full = found["full"]
        for variant, its in found.items():
            speed, memory = full["seconds"] / its["seconds"], its["bytes"] / full["bytes"]
            print(
                f"{variant:<20} {its['seconds']:7.2f} s a step, {its['bytes'] / 2**20:8,.0f} MiB: "
                f"{speed - 1:+.1%} speed, {memory - 1:+.1%} memory against full fine-tuning; "
                f"{its['kept'] / 2**20:,.0f} MiB kept, {its['state'] / 2**20:,.0f} MiB state",
                flush=True,
            )


if __name__ == "__main__":
    main()
