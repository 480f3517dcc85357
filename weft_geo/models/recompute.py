"""Parts that run again in the backward pass, instead of keeping all that they went through until then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


class Recomputable(nn.Module):
    """A part that can trade time for memory in training (gradient checkpointing; Chen et al., 2016).

    Attributes:
        recompute: keep only what goes in, and run the part again for its gradients: the same values to the bit.
    """

    recompute: bool = False

    def kept_small(self, function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        """`function` of the inputs, which draws nothing at random; in training as `recompute` says."""
        if not (self.recompute and self.training and torch.is_grad_enabled()):
            return function(*inputs)
        out: Tensor = checkpoint(
            function,
            *inputs,
            use_reentrant=False,
            preserve_rng_state=False,
            context_fn=lambda: (nullcontext(), _statistics_untouched(self)),
        )
        return out


@contextmanager
def _statistics_untouched(part: nn.Module) -> Iterator[None]:
    """Let batch norms collect nothing: what runs again has been counted."""
    kinds = nn.modules.batchnorm._BatchNorm
    norms = [module for module in part.modules() if isinstance(module, kinds) and module.training]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
        if norm.num_batches_tracked is not None:  # SyncBatchNorm wants one; this one is thrown away
            norm.num_batches_tracked = torch.zeros_like(norm.num_batches_tracked)
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count
