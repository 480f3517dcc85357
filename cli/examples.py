"""Pictures of the worst and the best maps of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .progress import Console

if TYPE_CHECKING:
    from weft_geo.metrics.folders import Evaluation


def write_examples(
    console: Console,
    folder: str,
    result: Evaluation,
    files: Sequence[tuple[Path | None, Path, Path]],
    number: int,
) -> None:
    """Write pictures whose names begin with `worst_01` … and `best_01` ….

    Args:
        console: hears where they are.
        folder: to write to.
        result: what was evaluated.
        files: image (or None), map and truth of every score.
        number: of worst and of best ones.
    """
    from weft_geo.datasets.pictures import read_image, read_map, read_mask
    from weft_geo.metrics.folders import resize_map
    from weft_geo.metrics.gallery import choose_examples, write_example

    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    for rank, position in choose_examples(result.scores, number):
        image, prediction, truth = files[position]
        mask = read_mask(truth)
        score = result.scores[position]
        write_example(
            target / f"{rank}_iou_{score.iou:.3f}_{score.name}.png",
            resize_map(read_map(prediction, result.peak), *mask.shape),
            mask,
            None if image is None else read_image(image),
        )
    panels = "truth, map, errors" if all(image is None for image, _, _ in files) else "image, truth, map, errors"
    console.note(f"{folder}: {panels} (red: not there, blue: not found)")
