"""The gate that chooses experts for an image."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Routing(NamedTuple):
    """What the router decided, per image.

    Attributes:
        probabilities: [B, E], softmax over all experts.
        indices: [B, k], the chosen experts, most probable first.
        weights: [B, k], weights of the chosen experts, summing to one.
    """

    probabilities: Tensor
    indices: Tensor
    weights: Tensor

    def dense_weights(self) -> Tensor:
        """[B, E]: the weights, with zeros for the experts that were not chosen."""
        return torch.zeros_like(self.probabilities).scatter(1, self.indices, self.weights)


class ExpertRouter(nn.Module):
    """Global average → linear → softmax → top-k → weights.

    Differs from the paper: the top-k *probabilities* pass through a second softmax before they are renormalised
    (research code), so the weights stay close to 1/k.

    Args:
        channels: C of the map that is routed.
        num_experts: E.
        top_k: how many experts are chosen, 1 ≤ k ≤ E.
    """

    def __init__(self, channels: int, num_experts: int = 7, top_k: int = 4) -> None:
        super().__init__()
        if not 1 <= top_k <= num_experts:
            raise ValueError(f"top_k must lie in 1..{num_experts}, not {top_k}")
        self.top_k = top_k
        self.gate = nn.Linear(channels, num_experts)

    def forward(self, x: Tensor) -> Routing:
        """[B, C, H, W] → the routing of each of the B images."""
        probabilities = self.gate(x.mean(dim=(2, 3))).softmax(dim=1)
        top, indices = probabilities.topk(self.top_k, dim=1)
        weights = top.softmax(dim=1) + 1e-8
        return Routing(probabilities, indices, weights / weights.sum(dim=1, keepdim=True))
