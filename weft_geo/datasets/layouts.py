"""Finds the pictures and masks of a benchmark in whatever layout they lie on disk. No torch, and no picture is opened.

Folders are understood by the words of their names, so that these, and mixtures of them, are all read:

    train-images/ train-labels/ test-images/ test-labels/           authors' zips (EORSSD), also below a further folder
    DUTS-TR/DUTS-TR-Image/ DUTS-TR/DUTS-TR-Mask/ …                  (DUTS)
    Train/Image/ Train/GT_Object/ Test/…                            (COD10K)
    TrainDataset/image/ TrainDataset/mask/ TestDataset/CVC-300/…    several sets in one tree (PraNet, SINet)
    images/training/ annotations/training/ images/validation/ …     mmsegmentation, and the research code
    images/ ground_truth_mask/                                      (ECSSD)
    a.jpg a.png b.jpg b.png …                                       pictures and masks side by side (PASCAL-S)
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from weft_geo.datasets.catalogue import BENCHMARKS, HOLDOUT_EVERY, Benchmark
from weft_geo.errors import DatasetError

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")
_DEPTH = 6
_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")

_IMAGE_WORDS = {"image", "images", "img", "imgs", "im", "original", "originals", "picture", "pictures"}
_MASK_WORDS = {
    "gt", "gts", "mask", "masks", "truth", "groundtruth", "label", "labels", "annotation", "annotations", "ann",
}  # fmt: skip
_SPLIT_WORDS = {
    "train": {"train", "training", "trainset", "traindataset", "tr", "trn"},
    "test": {"test", "testing", "testset", "testdataset", "te", "val", "valid", "validation"},
}
_OTHER_MASKS = {"edge", "edges", "instance", "contour", "boundary", "skeleton"}
_MASK_ENDINGS = re.compile(r"[-_ ](mask|gt|label|groundtruth|segmentation)$", re.IGNORECASE)


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
    if not base.is_dir():
        raise DatasetError(f"{root} is not a folder; give the one that holds {benchmark.title} ({benchmark.source})")
    published = split if "train" in benchmark.counts else "test"
    folders = _folders_of(benchmark, list(_picture_folders(base)))
    chosen = [folder for folder in folders if folder.split == published]
    if not chosen and published == "test":
        chosen = [folder for folder in folders if folder.split is None]
        if "train" in benchmark.counts and _count(chosen) not in benchmark.counts["test"]:
            chosen = []
    if not chosen:
        raise DatasetError(_not_there(benchmark, base, published, folders))
    found = _pair(chosen, benchmark.stems.get(published))
    if not found.pairs and not (found.lone_images and found.lone_masks):
        raise DatasetError(_not_there(benchmark, base, published, chosen))
    return found if split == published else _divide(found, split)


def pair_folders(images: str | Path, masks: str | Path) -> Found:
    """Pair the pictures of two folders by stem, at any depth; also files `name_mask.png` with `name.jpg`.

    Raises:
        DatasetError: a folder is missing or holds no pictures.
    """
    sides = []
    for kind, path in (("pictures", Path(images)), ("masks", Path(masks))):
        if not path.is_dir():
            raise DatasetError(f"{path} is not a folder; expected one of {kind}")
        files = sorted(file for file in path.rglob("*") if _is_picture(file))
        if not files:
            known = ", ".join(PICTURE_SUFFIXES)
            raise DatasetError(f"{path} holds no {kind}; expected files of {known}, in it or below")
        sides.append(files)
    return _match(*sides)


@dataclass(frozen=True)
class _Folder:
    """A folder that holds pictures: its role ("image", "mask", "both" or None), its split, its files."""

    path: Path
    parts: tuple[str, ...]
    role: str | None
    split: str | None
    files: tuple[Path, ...]


def _picture_folders(base: Path) -> Iterator[_Folder]:
    for place, inner, names in os.walk(base, followlinks=True):
        path = Path(place)
        parts = path.relative_to(base).parts
        inner[:] = sorted(name for name in inner if not name.startswith((".", "__"))) if len(parts) < _DEPTH else []
        files = tuple(path / name for name in sorted(names) if _is_picture(Path(name)))
        if files:
            yield _describe(path, parts, base.name, files)


def _describe(path: Path, parts: tuple[str, ...], base_name: str, files: tuple[Path, ...]) -> _Folder:
    role = split = None
    for part in reversed((base_name, *parts)):
        words = _words(part)
        if role is None:
            masks = words & _MASK_WORDS or any(word.endswith("gt") for word in words)
            role = "mask" if masks else "image" if words & _IMAGE_WORDS else None
            if role == "mask" and words & _OTHER_MASKS:
                role = "other"
        split = split or next((name for name, known in _SPLIT_WORDS.items() if words & known), None)
    kinds = {file.suffix.lower() for file in files}
    if role != "mask" and len(kinds) > 1 and _side_by_side(files):
        role = "both"
    return _Folder(path, parts, role, split, files)


def _side_by_side(files: Iterable[Path]) -> bool:
    stems: dict[str, int] = {}
    for file in files:
        stems[_stem(file)] = stems.get(_stem(file), 0) + 1
    return sum(count == 2 for count in stems.values()) > len(stems) / 2


def _words(name: str) -> set[str]:
    words = {word.lower() for word in _WORD.findall(name)}
    return words | {"".join(words)} | {name.lower()}


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _folders_of(benchmark: Benchmark, folders: list[_Folder]) -> list[_Folder]:
    """Leave out the folders of other benchmarks; and whatever is nobody's, for a split that has folders of its own."""
    owners = {_plain(alias): b.name for b in BENCHMARKS.values() for alias in (b.name, b.title, *b.aliases)}

    def owner(folder: _Folder) -> str | None:
        for part in reversed(folder.parts):
            plain = _plain(part)
            # The whole name, or its beginning: "DUT-OMRON-image", "ORSSD dataset", but not "EORSSD" for ORSSD.
            named = [key for key in owners if plain == key or (plain.startswith(key) and len(key) > 3)]
            if named:
                return owners[max(named, key=len)]
        return None

    ours = [folder for folder in folders if owner(folder) == benchmark.name]
    nobodys = [folder for folder in folders if owner(folder) is None]
    covered = {folder.split for folder in ours}
    return ours + [f for f in nobodys if not ours or (f.split is not None and f.split not in covered)]


def _count(folders: list[_Folder]) -> int:
    return sum(len(folder.files) for folder in folders if folder.role == "mask")


def _pair(folders: list[_Folder], pattern: str | None) -> Found:
    images: list[Path] = []
    masks: list[Path] = []
    for folder in folders:
        files = [file for file in folder.files if pattern is None or re.match(pattern, _stem(file))]
        if folder.role == "mask":
            masks += files
        elif folder.role == "both":
            pictures = {".jpg", ".jpeg"} if any(f.suffix.lower() in (".jpg", ".jpeg") for f in files) else {".bmp"}
            images += [f for f in files if f.suffix.lower() in pictures and not _MASK_ENDINGS.search(f.stem)]
            masks += [f for f in files if f.suffix.lower() not in pictures or _MASK_ENDINGS.search(f.stem)]
        elif folder.role == "image":
            images += files
    return _match(images, masks)


def _match(images: list[Path], masks: list[Path]) -> Found:
    by_stem: dict[str, Path] = {}
    for mask in masks:
        by_stem.setdefault(_stem(mask), mask)
    pairs: dict[str, Pair] = {}
    lone = []
    for image in images:
        stem = _stem(image)
        if stem in by_stem:
            pairs.setdefault(stem, Pair(image, by_stem[stem]))
        else:
            lone.append(image)
    return Found(
        sorted(pairs.values(), key=lambda pair: _by_number(pair.name)),
        lone,
        [mask for stem, mask in by_stem.items() if stem not in pairs],
    )


def _divide(found: Found, split: str) -> Found:
    held = [i % HOLDOUT_EVERY == HOLDOUT_EVERY - 1 for i in range(len(found.pairs))]
    pairs = [pair for pair, out in zip(found.pairs, held, strict=True) if out == (split == "holdout")]
    return Found(pairs, found.lone_images, found.lone_masks)


def _by_number(name: str) -> tuple[tuple[int, str], ...]:
    """Sorts 2 before 10."""
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name) if part)


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".")


def _stem(path: Path) -> str:
    return _MASK_ENDINGS.sub("", path.stem)


def _not_there(benchmark: Benchmark, base: Path, split: str, folders: list[_Folder]) -> str:
    """What is on disk, before what to do."""
    zips = sorted(file.name for file in base.iterdir() if file.suffix.lower() in (".zip", ".rar", ".7z"))
    if not folders and zips:
        return f"{base} holds {zips[0]} but no pictures; unpack it there"
    if not folders:
        return (
            f"{base} holds no pictures of {benchmark.title}; download it from {benchmark.source} and give the folder "
            "that it was unpacked to"
        )
    there = ", ".join(_shown(folder) for folder in folders[:4]) + (" …" if len(folders) > 4 else "")
    roles = {folder.role for folder in folders if folder.split == split}
    if roles == {"image"} or roles == {"mask"}:
        missing = "masks" if roles == {"image"} else "pictures"
        return f"{base} has no {missing} of {benchmark.title}'s {split} split; there are {there}"
    return (
        f"{base} has no {split} split of {benchmark.title}; there are {there}. Expected folders such as "
        f"{split}/images and {split}/masks, or images/{split}ing and annotations/{split}ing"
    )


def _shown(folder: _Folder) -> str:
    where = "/".join(folder.parts) or "the folder itself"
    return f"{where} ({len(folder.files)} files)"


def describe_counts(counts: Mapping[str, tuple[int, ...]]) -> str:
    """`600 train, 200 test`."""
    return ", ".join(f"{' or '.join(map(str, numbers))} {split}" for split, numbers in counts.items())
