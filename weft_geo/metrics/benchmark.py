"""A checkpoint on a benchmark: the figures that papers print."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from weft_geo.datasets.benchmark import BenchmarkDataset
from weft_geo.datasets.pictures import read_image
from weft_geo.errors import InputError
from weft_geo.geo.whole_files import is_one_of, written_whole
from weft_geo.metrics.folders import Evaluation, Scored, StartTask, score_against, scoring_pool
from weft_geo.metrics.multiscale import RESEARCH, TestPasses, object_probability
from weft_geo.metrics.saliency import Normalization, summarize
from weft_geo.models import Segmenter
from weft_geo.models.devices import choose_device
from weft_geo.progress import Progress


def evaluate_model(
    model: Segmenter,
    data: BenchmarkDataset,
    maps: Path,
    passes: TestPasses = RESEARCH,
    own_statistics: bool = True,
    normalize: Normalization = "minmax",
    device: str = "auto",
    workers: int | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Run a model on every picture and score its maps, the one while the other is going on.

    Args:
        model: what to evaluate.
        data: the split.
        maps: folder that the maps are written to, as 8-bit PNG; what is scored is what is written.
        passes: how pictures are shown to the model.
        own_statistics: normalise by the mean and deviation of the split, as the research configuration does, where the
            benchmark has them; else by those that the model was trained with.
        normalize: how maps are scaled; see `saliency`.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        workers: processes that score; None for one per core.
        progress: hears of the progress.

    Raises:
        InputError: the device cannot be had, the model takes other bands, or a map would replace a file of the
            benchmark.
        DatasetError: a picture or mask cannot be used.
    """
    if model.config.in_channels != 3:
        raise InputError(f"the model takes {model.config.in_channels} bands, but {data.benchmark.title} has 3")
    for pair in data.pairs:
        if is_one_of(place := maps / f"{pair.name}.png", (pair.image, pair.mask)):
            raise InputError(f"{place} is a file of the benchmark; give another folder for the maps")
    device = choose_device(device)
    known = own_statistics and data.split in data.benchmark.statistics
    mean, std = (data.mean, data.std) if known else (model.contract.means, model.contract.stds)
    model = model.to(device).eval()
    maps.mkdir(parents=True, exist_ok=True)

    with scoring_pool(workers) as pool:

        def start(index: int) -> Future[Scored]:
            pair = data.pairs[index]
            image = torch.from_numpy(read_image(pair.image)).float()
            grey = np.round(object_probability(model, image, mean, std, passes) * 255).astype(np.uint8)
            with written_whole(maps / f"{pair.name}.png") as beside:
                Image.fromarray(grey).save(beside, format="png")
            return pool.submit(score_against, pair.name, grey / np.float32(255), pair.mask, normalize)

        def tasks() -> Iterator[StartTask]:
            for index in range(len(data)):
                yield lambda index=index: start(index)  # type: ignore[misc]

        results = pool.gather(tasks(), len(data), progress)
    scores = [score for score, _ in results]
    return Evaluation(summarize(scores), scores, normalize, sum(resized for _, resized in results))
