"""What a trunk is to the models that tune it."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


class Trunk(nn.Module):
    """A plain vision transformer: tokens on a grid of stride 16, and layers that keep their number.

    Autograd keeps of a frozen layer what its input's gradient needs and nothing of what its weights' would: the inputs
    of its linear layers and layer scales are let go (`tests/models/test_backbones.py` counts the bytes).

    Attributes:
        layers: its transformer layers, in order.
        num_extra: class and register tokens that come before the grid's.
        recompute: keep only the input of each layer for the backward pass and run the layer again there (gradient
            checkpointing): the same gradients for less memory and about a third more time.
        any_size_when_traced: whether a graph traced with one size of image is right for others too.
    """

    layers: nn.Module
    num_extra: int = 0
    recompute: bool = False
    any_size_when_traced: bool = True

    def embed(self, images: Tensor) -> Tensor:
        """[B, C, H, W], H and W multiples of 32 → tokens [B, E + (H/16)·(W/16), D], E extra ones first."""
        raise TypeError(f"{type(self).__name__} must say how it embeds an image")

    def layer(self, index: int, tokens: Tensor, size: tuple[int, int]) -> Tensor:
        """One layer on all tokens [B, E + h·w, D] of a grid of (height, width)."""
        out: Tensor = self.layers[index](tokens)  # type: ignore[index]  # a ModuleList or a Sequential
        return out

    def run(self, extra: Tensor, x: Tensor, start: int, end: int, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Layers start … end − 1 on extra tokens [B, E, D] and a grid's [B, h·w, D]; both come back."""
        tokens = torch.cat((extra, x), dim=1) if self.num_extra else x
        for index in range(start, end):
            tokens = self.once(index, tokens, size)
        return tokens[:, : self.num_extra], tokens[:, self.num_extra :]

    def once(self, index: int, tokens: Tensor, size: tuple[int, int]) -> Tensor:
        """One layer, keeping its input alone if `recompute` says so."""
        if self.recompute and torch.is_grad_enabled():
            kept: Tensor = checkpoint(self.layer, index, tokens, size, use_reentrant=False)
            return kept
        return self.layer(index, tokens, size)

    def attention_layers(self) -> Iterable[str]:
        """Names of the linear layers that make queries, keys and values, for LoRA."""
        wanted = ("qkv", "q_proj", "k_proj", "v_proj")
        return [
            name
            for name, module in self.named_modules()
            if isinstance(module, nn.Linear) and name.rpartition(".")[2] in wanted
        ]
