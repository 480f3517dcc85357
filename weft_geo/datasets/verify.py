"""Looks at every file of a data set before it is used, and tells all that is wrong with it at once. No torch."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from weft_geo.datasets.facts import Benchmark
from weft_geo.datasets.layouts import Pair, find_pairs
from weft_geo.datasets.pictures import read_image, read_mask
from weft_geo.errors import DatasetError
from weft_geo.geo.access import is_file
from weft_geo.progress import Progress, silent

STAGE = "verify"
_CHUNK = 16


@dataclass(frozen=True)
class Checked:
    """What was found of one pair: its size (height, width), sums for the statistics, or what is wrong."""

    size: tuple[int, int] | None = None
    sums: tuple[float, ...] = ()
    squares: tuple[float, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class SplitReport:
    """What there is of one split.

    Attributes:
        split: its name.
        pairs: pictures with a mask.
        smallest: (height, width) of the picture of the fewest pixels; None without a readable picture.
        largest: of the most pixels.
        mean: of red, green, blue on 0…255, over all pixels; None without a readable picture.
        std: likewise.
        problems: one line each, naming the file and what to do.
        notes: what is unusual but usable.
    """

    split: str
    pairs: int = 0
    smallest: tuple[int, int] | None = None
    largest: tuple[int, int] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def verify_split(
    benchmark: Benchmark, root: str | Path, split: str, workers: int | None = None, progress: Progress | None = None
) -> SplitReport:
    """Read every picture and mask of a split.

    Args:
        benchmark: which.
        root: its folder.
        split: one of its splits.
        workers: processes that read; None for one per core.
        progress: hears of the progress.
    """
    try:
        found = find_pairs(benchmark, root, split)
    except DatasetError as error:
        return SplitReport(split, problems=[str(error)])
    problems = [f"{path} has no mask of the same name; add it, or remove the picture" for path in found.lone_images]
    problems += [f"{path} has no picture of the same name; add it, or remove the mask" for path in found.lone_masks]
    checked = check_pairs(found.pairs, workers, progress)
    problems += [one.problem for one in checked if one.problem]
    sizes = sorted((one.size for one in checked if one.size), key=lambda size: size[0] * size[1])
    notes = []
    expected = benchmark.counts.get(split, ())
    if expected and len(found.pairs) not in expected:
        wanted = " or ".join(f"{number:,}" for number in expected)
        notes.append(
            f"{len(found.pairs):,} pairs, but {benchmark.title} was published with {wanted}; figures will differ"
            + (f". {benchmark.editions[0].upper()}{benchmark.editions[1:]}" if benchmark.editions else "")
        )
    if not sizes:
        return SplitReport(split, len(found.pairs), problems=problems, notes=notes)
    pixels = sum(height * width for height, width in sizes)
    mean = np.sum([one.sums for one in checked if one.size], axis=0) / pixels
    std = np.sqrt(np.sum([one.squares for one in checked if one.size], axis=0) / pixels - mean**2)
    return SplitReport(
        split,
        len(found.pairs),
        sizes[0],
        sizes[-1],
        tuple(mean.round(2).tolist()),
        tuple(std.round(2).tolist()),
        problems,
        notes,
    )


def check_archives(benchmark: Benchmark, root: str | Path) -> list[str]:
    """What is wrong with archives of the benchmark that still lie in its folder, where their MD5 is known."""
    problems = []
    for name, expected in benchmark.md5.items():
        path = Path(root) / name
        if is_file(path):
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "md5").hexdigest()
            if found != expected:
                problems.append(
                    f"{path} has MD5 {found}, expected {expected}; it is damaged or another edition. "
                    f"Fetch it again from {benchmark.source}"
                )
    return problems


def check_pairs(pairs: Sequence[Pair], workers: int | None = None, progress: Progress | None = None) -> list[Checked]:
    """Decode every picture and mask, in parallel processes, and compare their sizes."""
    tell = progress or silent
    tell("start", STAGE, 0, len(pairs), "")
    number = min(workers or os.cpu_count() or 1, max(len(pairs) // _CHUNK, 1))
    checked: list[Checked] = []
    if number == 1:
        for pair in pairs:
            checked.append(_check(pair))
            tell("progress", STAGE, len(checked), len(pairs), "")
    else:
        with ProcessPoolExecutor(number, get_context("spawn")) as pool:
            for one in pool.map(_check, pairs, chunksize=_CHUNK):
                checked.append(one)
                tell("progress", STAGE, len(checked), len(pairs), "")
    tell("done", STAGE, len(checked), len(pairs), "")
    return checked


def require_sound(pairs: Sequence[Pair], workers: int | None = None, progress: Progress | None = None) -> None:
    """Check pairs, and refuse to go on with any that cannot be used.

    Raises:
        DatasetError: names the first bad file and how many more there are.
    """
    problems = [one.problem for one in check_pairs(pairs, workers, progress) if one.problem]
    if problems:
        more = f" ({len(problems) - 1} more files have problems; weft-geo datasets verify lists all)"
        raise DatasetError(problems[0] + (more if len(problems) > 1 else ""))


def different_sizes(pair: Pair, image: tuple[int, ...], mask: tuple[int, ...]) -> str:
    """What to say of a picture and a mask that do not lie on each other; sizes are (height, width)."""
    return (
        f"{pair.mask} is {mask[1]} × {mask[0]} px but its picture {pair.image} is {image[1]} × {image[0]} px; "
        "they must lie on each other, so find the right mask, or remove both"
    )


def _check(pair: Pair) -> Checked:
    problems = []
    image = mask = None
    for read in (partial(read_image, pair.image), partial(read_mask, pair.mask)):
        try:
            values = read()
        except DatasetError as error:
            problems.append(str(error))
            continue
        if values.ndim == 3:
            image = values
        else:
            mask = values
    if image is not None and mask is not None and image.shape[1:] != mask.shape:
        problems.append(different_sizes(pair, image.shape[1:], mask.shape))
    if image is None:
        return Checked(problem="; ".join(problems))
    flat = image.reshape(3, -1).astype(np.float64)
    return Checked(
        (image.shape[1], image.shape[2]),
        tuple(flat.sum(axis=1)),
        tuple(np.square(flat).sum(axis=1)),
        "; ".join(problems),
    )
