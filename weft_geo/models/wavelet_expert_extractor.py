"""TWE: the task-specific wavelet expert extractor (WEFT, §3.2)."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from weft_geo.models.expert_router import ExpertRouter, Routing
from weft_geo.models.recompute import Recomputable
from weft_geo.models.wavelet_expert import WaveletExpert


class WaveletExpertMixture(Recomputable):
    """Σ over the chosen experts of weight · expert(x).

    In training every expert sees every image, because the research code's do: their batch statistics move even when
    they are not chosen. But an expert that no image of the batch has chosen runs without a graph, and its gradients are
    the zeros that they would be. In evaluation only the chosen ones run, which gives the same values.

    Args:
        channels: C, in and out.
        kernel_sizes: one expert for each.
        top_k: experts chosen for an image.
        wavelet: a PyWavelets name.
    """

    def __init__(
        self,
        channels: int,
        kernel_sizes: tuple[int, ...] = (1, 3, 5, 7, 9, 11, 13),
        top_k: int = 4,
        wavelet: str = "haar",
    ) -> None:
        super().__init__()
        self.router = ExpertRouter(channels, len(kernel_sizes), top_k)
        self.experts = nn.ModuleList(WaveletExpert(channels, k, wavelet) for k in kernel_sizes)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] → [B, C, H, W]."""
        routing: Routing = self.router(x)
        # An exported graph cannot branch on data, so it runs all experts too.
        if torch.onnx.is_in_onnx_export() or torch.compiler.is_compiling():
            weights = routing.dense_weights()[:, :, None, None, None]
            return sum((weights[:, i] * expert(x) for i, expert in enumerate(self.experts)), torch.zeros_like(x))
        if self.training:
            return self.train_experts(x, routing)
        weights = routing.dense_weights()
        indices = routing.indices.cpu()  # a GPU is waited for once, not for every expert
        out = torch.zeros_like(x, dtype=torch.promote_types(x.dtype, weights.dtype))  # as precise as each share
        for i, expert in enumerate(self.experts):
            chosen = (indices == i).any(dim=1).nonzero().squeeze(1)
            if len(chosen) == len(x):
                out += weights[:, i, None, None, None] * expert(x)
            elif len(chosen):
                chosen = chosen.to(x.device, non_blocking=True)
                out.index_add_(0, chosen, (weights[chosen, i, None, None, None] * expert(x[chosen])).to(out.dtype))
        return out

    def train_experts(self, x: Tensor, routing: Routing) -> Tensor:
        """What `forward` gives, with all statistics and gradients, for no more work than these need."""
        weights = routing.dense_weights()
        chosen = _chosen_anywhere(weights)
        out = torch.zeros_like(x)
        idle: list[nn.Parameter] = []
        for i, expert in enumerate(self.experts):
            if chosen[i]:
                out = out + self.kept_small(partial(weighted, expert), x, weights[:, i, None, None, None])
                continue
            idle += expert.parameters()
            if any(module.training for module in expert.modules()):
                with torch.no_grad():
                    expert(x)
        learning = [parameter for parameter in idle if parameter.requires_grad]
        return ZeroGradients.apply(out, *learning) if learning else out


def weighted(expert: nn.Module, x: Tensor, weight: Tensor) -> Tensor:
    """The expert's share of the mixture: x [B, C, H, W], weight [B, 1, 1, 1]."""
    share: Tensor = weight * expert(x)
    return share


def _chosen_anywhere(weights: Tensor) -> list[bool]:
    """Which experts any image has chosen, by weights [B, E]; of all processes, for their batch norms may be joined."""
    chosen = (weights > 0).any(dim=0).to(torch.uint8)
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(chosen, torch.distributed.ReduceOp.MAX)
    return [bool(value) for value in chosen.tolist()]


class ZeroGradients(torch.autograd.Function):
    """The first input as it is; the others, which it does not depend on, get gradients of zero.

    With none at all, the optimizer would leave them out (no decay), and DDP would wait for them.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, *parameters: Tensor) -> Tensor:
        """`x`."""
        ctx.shapes = [(p.shape, p.dtype, p.device) for p in parameters]
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        """The gradient of `x` as it is, zeros for the others."""
        return gradient, *(torch.zeros(shape, dtype=dtype, device=device) for shape, dtype, device in ctx.shapes)


class WaveletExpertExtractor(nn.Module):
    """Four feature scales from the image by one shared mixture of wavelet experts.

    The down-sampling block, the mixture and the 1×1 up-embedding are one module each for all scales, and a scale
    starts from the enhanced map of the one before.

    Args:
        in_channels: bands of the image.
        inner_channels: width of the experts (64 in the paper).
        embed_dim: D, the width of the trunk.
        kernel_sizes: one expert for each; none leaves the convolutions alone (ablation).
        top_k: experts chosen for an image and scale.
        wavelet: a PyWavelets name.
    """

    def __init__(
        self,
        in_channels: int = 3,
        inner_channels: int = 64,
        embed_dim: int = 1024,
        kernel_sizes: tuple[int, ...] = (1, 3, 5, 7, 9, 11, 13),
        top_k: int = 4,
        wavelet: str = "haar",
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, inner_channels, 3, stride=2, padding=1),
            nn.BatchNorm2d(inner_channels),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        self.down = nn.Sequential(
            nn.Conv2d(inner_channels, inner_channels, 3, stride=2, padding=1),
            nn.BatchNorm2d(inner_channels),
            nn.ReLU(inplace=True),
        )
        self.mixture = WaveletExpertMixture(inner_channels, kernel_sizes, top_k, wavelet) if kernel_sizes else None
        self.up_embedding = nn.Conv2d(inner_channels, embed_dim, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """[B, C, H, W] → maps [B, D, H/s, W/s] for s = 4, 8, 16, 32."""
        maps = [self.enhance(self.stem(images))]
        for _ in range(3):
            maps.append(self.enhance(self.down(maps[-1])))
        c1, c2, c3, c4 = (self.up_embedding(m) for m in maps)
        return c1, c2, c3, c4

    def enhance(self, x: Tensor) -> Tensor:
        """[B, C, H, W] plus what the chosen experts make of it."""
        return x if self.mixture is None else x + self.mixture(x)
