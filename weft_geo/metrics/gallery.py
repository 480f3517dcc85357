"""Pictures of the worst and the best maps: what they show says more than a figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from weft_geo.datasets.labels import IGNORE
from weft_geo.geo.whole_files import written_whole
from weft_geo.metrics.saliency import MapScores

HIT, EXTRA, MISSED, UNKNOWN = (255, 255, 255), (220, 40, 40), (40, 110, 255), (128, 128, 128)
_GAP = 8
_MAX_SIDE = 640


def choose_examples(scores: Sequence[MapScores], number: int) -> list[tuple[str, int]]:
    """The worst and the best maps by IoU, as ("worst_01", position) and so on; no map is chosen twice."""
    order = sorted(range(len(scores)), key=lambda i: (scores[i].iou, scores[i].values["s_measure"]))
    number = min(number, len(order) // 2 or len(order))
    chosen = [(f"worst_{rank:02}", position) for rank, position in enumerate(order[:number], start=1)]
    best = [position for position in order[::-1][:number] if position not in order[:number]]
    return chosen + [(f"best_{rank:02}", position) for rank, position in enumerate(best, start=1)]


def write_example(
    path: Path,
    probability: NDArray[np.float64],
    mask: NDArray[np.uint8],
    image: NDArray[np.uint8] | None = None,
) -> None:
    """Write one picture, from left to right: the image if there is one, truth, map, and errors.

    Errors: white is found, red is found but not there, blue is there but not found, grey is unknown.

    Args:
        path: the PNG to write.
        probability: [H, W] on 0…1.
        mask: [H, W] of 0, 1 and 255.
        image: [3, H, W], or None.
    """
    found, there, known = probability > 0.5, mask == 1, mask != IGNORE
    errors = np.zeros((*mask.shape, 3), np.uint8)
    for where, colour in ((found & there, HIT), (found & ~there, EXTRA), (~found & there, MISSED), (~known, UNKNOWN)):
        errors[where] = colour
    grey = [np.repeat((255 * values).astype(np.uint8)[..., None], 3, axis=2) for values in (there, probability)]
    panels = [*([] if image is None else [image.transpose(1, 2, 0)]), *grey, errors]
    sheet = np.full((mask.shape[0], _GAP, 3), 128, np.uint8)
    row = np.concatenate([part for panel in panels for part in (panel, sheet)][:-1], axis=1)
    picture = Image.fromarray(row)
    shrink = _MAX_SIDE / max(mask.shape)
    if shrink < 1:
        picture = picture.resize((round(picture.width * shrink), round(picture.height * shrink)))
    with written_whole(path) as beside:
        picture.save(beside, format="png")
