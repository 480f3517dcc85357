"""Which query answers for which target: the Hungarian matching of Mask2Former."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from weft_geo.errors import RunError
from weft_geo.models.precision import full_precision
from weft_geo.trainers.point_sampling import sample_points


def matching_cost(
    class_logits: Tensor,
    mask_points: Tensor,
    labels: Tensor,
    target_points: Tensor,
    *,
    class_weight: float = 2.0,
    mask_weight: float = 5.0,
    dice_weight: float = 5.0,
) -> Tensor:
    """The cost of every pair of query and target of one image.

    Args:
        class_logits: [Q, K + 1].
        mask_points: [Q, P], mask logits at the matching points.
        labels: [T], the class of each target.
        target_points: [T, P], the target masks at the same points, in [0, 1].
        class_weight: weight of −softmax(class)[label].
        mask_weight: weight of the binary cross-entropy, a mean over points.
        dice_weight: weight of the dice cost 1 − (2Σpt + 1)/(Σp + Σt + 1).

    Returns:
        [Q, T].
    """
    class_cost = -class_logits.softmax(dim=-1)[:, labels]
    # BCE(x, t) = softplus(x) − x·t, summed over points.
    mask_cost = (F.softplus(mask_points).sum(dim=1)[:, None] - mask_points @ target_points.T) / mask_points.shape[1]
    probability = mask_points.sigmoid()
    overlap = 2 * probability @ target_points.T
    total = probability.sum(dim=1)[:, None] + target_points.sum(dim=1)[None]
    dice_cost = 1 - (overlap + 1) / (total + 1)
    return class_weight * class_cost + mask_weight * mask_cost + dice_weight * dice_cost


@torch.no_grad()
def cost_at_points(
    class_logits: Tensor, mask_logits: Tensor, labels: Tensor, masks: Tensor, points: Tensor, **weights: float
) -> Tensor:
    """`matching_cost` of one image, its masks looked at in a few points.

    Args:
        class_logits: [Q, K + 1].
        mask_logits: [Q, h, w].
        labels: [T].
        masks: [T, H, W] of 0 and 1.
        points: [P, 2], (x, y) in [0, 1], the same for all queries and targets.
        **weights: of `matching_cost`.

    Returns:
        [Q, T].
    """
    everywhere = points.unsqueeze(0)
    with full_precision(mask_logits.device):  # the sum over points does not fit float16
        return matching_cost(
            class_logits.float(),
            sample_points(mask_logits.unsqueeze(0).float(), everywhere)[0],
            labels,
            sample_points(masks.unsqueeze(0).float(), everywhere)[0],
            **weights,
        )


def assign(cost: Tensor) -> tuple[Tensor, Tensor]:
    """The pairs of least total cost, for one image.

    Args:
        cost: [Q, T].

    Returns:
        Indices of the matched queries, rising, and of their targets.

    Raises:
        RunError: a cost is not a number: the training has diverged.
    """
    from scipy.optimize import linear_sum_assignment

    table = cost.cpu()
    if not table.isfinite().all():
        raise RunError(
            "the model's output is no longer a number; give a lower --lr, or --precision 32-true if it was another"
        )
    queries, targets = linear_sum_assignment(table.numpy())
    return (
        torch.as_tensor(queries, dtype=torch.long, device=cost.device),
        torch.as_tensor(targets, dtype=torch.long, device=cost.device),
    )
