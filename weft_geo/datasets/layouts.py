"""Finds the pictures and masks of a benchmark in whatever layout they lie on disk. No torch, and no picture is opened.

Folders are understood by the words of their names, so that these, and mixtures of them, are all read:

    train-images/ train-labels/ test-images/ test-labels/           (EORSSD, ORSSD), also below a further folder
    trainset/images/ trainset/gt/ testset/images/ testset/gt/       (ORSIs-4199)
    DUTS-TR/DUTS-TR-Image/ DUTS-TR/DUTS-TR-Mask/ …                  (DUTS)
    Train/Image/ Train/GT_Object/ Test/…                            (COD10K)
    Images/Train/ Images/Test/ GT/                                  masks undivided (CAMO)
    images/ labels/ train.txt test.txt                              divided by lists, or by one (EORSSD, Kvasir-SEG)
    TrainDataset/image/ TrainDataset/mask/ TestDataset/CVC-300/…    several sets in one tree (PraNet, SINet)
    images/training/ annotations/training/ images/validation/ …     mmsegmentation, and the research code
    images/ ground_truth_mask/                                      (ECSSD)
    ETIS-LaribPolypDB/1.tif "Ground Truth"/p1.tif                   masks of other names (ETIS, CVC-ColonDB)
    a.jpg a.png b.jpg b.png …                                       pictures and masks side by side (PASCAL-S)
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from weft_geo.datasets.facts import HOLDOUT_EVERY, Benchmark
from weft_geo.datasets.picture_folders import (
    MASK_ENDINGS,
    PICTURE_SUFFIXES,
    Folder,
    folders_of,
    is_picture,
    list_folders,
    listed_stems,
    require_open,
    stem_of,
)
from weft_geo.errors import DatasetError
from weft_geo.geo.access import is_folder


@dataclass(frozen=True)
class Pair:
    """A picture and its mask."""

    image: Path
    mask: Path

    @property
    def name(self) -> str:
        """The stem of the picture."""
        return self.image.stem


@dataclass(frozen=True)
class Found:
    """What is on disk of one split.

    Attributes:
        pairs: pictures with their masks, by name.
        lone_images: pictures without a mask.
        lone_masks: masks without a picture.
    """

    pairs: list[Pair]
    lone_images: list[Path] = field(default_factory=list)
    lone_masks: list[Path] = field(default_factory=list)


def find_pairs(benchmark: Benchmark, root: str | Path, split: str) -> Found:
    """Find a split of a benchmark.

    Args:
        benchmark: which.
        root: its folder, or one that holds several benchmarks.
        split: one of its splits.

    Raises:
        DatasetError: the folder is missing, or nothing in it can be taken for this split; the message says what is
            there and what was expected.
    """
    if split not in benchmark.splits:
        raise DatasetError(f"{benchmark.title} has no split {split!r}; it has {', '.join(benchmark.splits)}")
    base = Path(root)
    require_open(base)
    if not is_folder(base):
        raise DatasetError(f"{root} is not a folder; give the one that holds {benchmark.title} ({benchmark.source})")
    published = split if "train" in benchmark.counts else "test"
    folders = folders_of(benchmark, list(list_folders(base)))
    chosen = [folder for folder in folders if folder.split == published]
    undivided = [folder for folder in folders if folder.split is None]
    masks_of_all = False
    found = Found([])
    if chosen:
        masks_of_all = not any(folder.holds_masks for folder in chosen)
        if masks_of_all:
            chosen += [folder for folder in undivided if folder.role == "mask"]
        found = _pair(benchmark, chosen, published)
    elif "train" in benchmark.counts and (listed := listed_stems(base, published)) is not None:
        chosen, (stems, inside) = undivided, listed
        found = _keep(_pair(benchmark, chosen, published), stems, inside)
    elif published == "test":
        chosen = undivided
        found = _pair(benchmark, chosen, published)
        if "train" in benchmark.counts and len(found.pairs) not in benchmark.counts["test"]:
            raise DatasetError(_not_there(benchmark, base, published, folders))
    if not found.pairs and not (found.lone_images and found.lone_masks):
        raise DatasetError(_not_there(benchmark, base, published, chosen or folders))
    if masks_of_all:
        found = Found(found.pairs, found.lone_images)
    return found if split == published else _divide(found, split)


def pair_folders(images: str | Path, masks: str | Path) -> Found:
    """Pair the pictures of two folders by stem, at any depth; also files `name_mask.png` with `name.jpg`.

    Raises:
        DatasetError: a folder is missing or holds no pictures.
    """
    sides = []
    for kind, path in (("pictures", Path(images)), ("masks", Path(masks))):
        require_open(path)
        if not is_folder(path):
            raise DatasetError(f"{path} is not a folder; expected one of {kind}")
        inside = list(path.rglob("*"))
        files = sorted(file for file in inside if is_picture(file))
        for other in inside:
            if not is_picture(other) and is_folder(other):  # its pictures would be missing without a word
                require_open(other)
        if not files:
            known = ", ".join(PICTURE_SUFFIXES)
            raise DatasetError(f"{path} holds no {kind}; expected files of {known}, in it or below")
        sides.append(files)
    return _match(sides[0], {stem_of(mask): mask for mask in reversed(sides[1])})


def _pair(benchmark: Benchmark, folders: list[Folder], split: str) -> Found:
    """Pair what is in folders; where none is said to hold pictures, those of unknown purpose do."""
    images: list[Path] = []
    masks: dict[str, Path] = {}
    wanted = benchmark.stems.get(split, "")
    unnamed = not any(folder.holds_images for folder in folders)
    for folder in folders:
        jpeg = any(file.suffix.lower() in (".jpg", ".jpeg") for file in folder.files)
        for file in folder.files:
            stem = stem_of(file)
            if stem in benchmark.withdrawn:
                continue
            renamed = re.match(benchmark.mask_stems, stem) if benchmark.mask_stems else None
            if renamed and (folder.role == "mask" or (unnamed and folder.role is None)):
                masks.setdefault(renamed[1], file)
            elif not re.match(wanted, stem):
                continue
            elif folder.role == "both":
                picture = file.suffix.lower() in ((".jpg", ".jpeg") if jpeg else (".bmp",))
                if picture and not MASK_ENDINGS.search(file.stem):
                    images.append(file)
                else:
                    masks.setdefault(stem, file)
            elif folder.role == "mask":
                masks.setdefault(stem, file)
            elif folder.role == "image" or (unnamed and folder.role is None):
                images.append(file)
    return _match(images, masks)


def _match(images: list[Path], masks: dict[str, Path]) -> Found:
    pairs: dict[str, Pair] = {}
    lone = []
    for image in images:
        stem = stem_of(image)
        if stem in masks:
            pairs.setdefault(stem, Pair(image, masks[stem]))
        else:
            lone.append(image)
    return Found(
        sorted(pairs.values(), key=lambda pair: _by_number(pair.name)),
        lone,
        [mask for stem, mask in masks.items() if stem not in pairs],
    )


def _keep(found: Found, stems: set[str], inside: bool) -> Found:
    """Keep what is in a list, or what is not."""

    def kept(path: Path) -> bool:
        return (stem_of(path) in stems) == inside

    return Found(
        [pair for pair in found.pairs if kept(pair.image)],
        [path for path in found.lone_images if kept(path)],
        [path for path in found.lone_masks if kept(path)],
    )


def _divide(found: Found, split: str) -> Found:
    held = [i % HOLDOUT_EVERY == HOLDOUT_EVERY - 1 for i in range(len(found.pairs))]
    pairs = [pair for pair, out in zip(found.pairs, held, strict=True) if out == (split == "holdout")]
    return Found(pairs, found.lone_images, found.lone_masks)


def _by_number(name: str) -> tuple[tuple[int, str], ...]:
    """Sorts 2 before 10."""
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name) if part)


def _not_there(benchmark: Benchmark, base: Path, split: str, folders: list[Folder]) -> str:
    """What is on disk, before what to do."""
    zips = sorted(file.name for file in base.iterdir() if file.suffix.lower() in (".zip", ".rar", ".7z"))
    if not folders and zips:
        return f"{base} holds {zips[0]} but no pictures; unpack it there"
    if not folders:
        return (
            f"{base} holds no pictures of {benchmark.title}; download it from {benchmark.source} and give the folder "
            "that it was unpacked to"
        )
    there = ", ".join(folder.describe() for folder in folders[:4]) + (" …" if len(folders) > 4 else "")
    roles = {folder.role for folder in folders if folder.split == split}
    usual = f"Usual layout: {benchmark.layout}"
    if roles == {"image"} or roles == {"mask"}:
        missing = "masks" if roles == {"image"} else "pictures"
        return f"{base} has no {missing} of {benchmark.title}'s {split} split; there are {there}. {usual}"
    return (
        f"{base} has no {split} split of {benchmark.title}; there are {there}. {usual}; "
        f"also read are {split}/images and {split}/masks, or {split}.txt beside images and masks"
    )
