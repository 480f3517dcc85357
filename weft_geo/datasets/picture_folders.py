"""What the folders of a tree hold, pictures or masks, and of which split and benchmark, by the words of their names.

No torch, and no picture is opened.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from weft_geo.datasets.catalogue import BENCHMARKS
from weft_geo.datasets.facts import Benchmark
from weft_geo.errors import DatasetError
from weft_geo.geo.access import why_closed
from weft_geo.geo.whole_files import NOT_ALLOWED

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")
MASK_ENDINGS = re.compile(r"[-_ ](mask|gt|label|groundtruth|segmentation)$", re.IGNORECASE)
_DEPTH = 6
_ADVICE = "see to it that you may list and enter it, or leave it out"
_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")

_IMAGE_WORDS = {"image", "images", "img", "imgs", "im", "original", "originals", "picture", "pictures"}
_MASK_WORDS = {
    "gt", "gts", "mask", "masks", "truth", "groundtruth", "label", "labels", "annotation", "annotations", "ann",
}  # fmt: skip
_SPLIT_WORDS = {
    "train": {"train", "training", "trainset", "traindataset", "tr", "trn"},
    "test": {"test", "testing", "testset", "testdataset", "te", "val", "valid", "validation"},
}
_OTHER_MASKS = {"edge", "edges", "instance", "contour", "boundary", "skeleton", "fixation", "fixations"}


@dataclass(frozen=True)
class Folder:
    """A folder with pictures.

    Attributes:
        path: where it is.
        parts: its path below the tree's root.
        role: "image", "mask", "both", "other" (masks of something else), or None where its name does not say.
        split: "train", "test", or None where its name does not say.
        files: its pictures.
    """

    path: Path
    parts: tuple[str, ...]
    role: str | None
    split: str | None
    files: tuple[Path, ...]

    @property
    def holds_images(self) -> bool:
        """Whether pictures are in it."""
        return self.role in ("image", "both")

    @property
    def holds_masks(self) -> bool:
        """Whether masks are in it."""
        return self.role in ("mask", "both")

    def describe(self) -> str:
        """For messages."""
        return f"{'/'.join(self.parts) or 'the folder itself'} ({len(self.files)} files)"


def list_folders(base: Path) -> Iterator[Folder]:
    """All folders of a tree that hold pictures, hidden ones left out."""
    for place, inner, names in os.walk(base, followlinks=True, onerror=_refuse):
        path = Path(place)
        parts = path.relative_to(base).parts
        inner[:] = sorted(name for name in inner if not name.startswith((".", "__"))) if len(parts) < _DEPTH else []
        files = tuple(path / name for name in sorted(names) if is_picture(Path(name)))
        if files:
            yield _describe(path, parts, files)


def require_open(folder: Path) -> None:
    """Refuse a folder that may not be looked into.

    Raises:
        DatasetError: it may not.
    """
    if reason := why_closed(folder):
        raise DatasetError(f"the folder {folder} cannot be looked into: {reason}; {_ADVICE}")


def _refuse(error: OSError) -> None:
    """A folder that cannot be listed may hold half of a benchmark; the system's own holds nothing of anybody's."""
    if error.errno in NOT_ALLOWED and Path(str(error.filename)).name != "lost+found":
        raise DatasetError(f"the folder {error.filename} cannot be looked into: {error.strerror}; {_ADVICE}") from error


def folders_of(benchmark: Benchmark, folders: list[Folder]) -> list[Folder]:
    """Leave out the folders of other benchmarks.

    Folders that are nobody's count where the benchmark has none of its own, or lacks a split or its masks.
    """
    owners = {_plain(alias): b.name for b in BENCHMARKS.values() for alias in (b.name, b.title, *b.aliases)}

    def owner(folder: Folder) -> str | None:
        for part in reversed(folder.parts):
            plain = _plain(part)
            # The whole name, or its beginning: "DUT-OMRON-image", "ORSSD dataset", but not "EORSSD" for ORSSD.
            named = [key for key in owners if plain == key or (plain.startswith(key) and len(key) > 3)]
            if named:
                return owners[max(named, key=len)]
        return None

    ours = [folder for folder in folders if owner(folder) == benchmark.name]
    nobodys = [folder for folder in folders if owner(folder) is None]
    if not ours:
        return nobodys
    covered = {folder.split for folder in ours}
    found = [folder for folder in nobodys if folder.split is not None and folder.split not in covered]
    if not found and not any(folder.holds_masks for folder in ours):
        found = [folder for folder in nobodys if folder.role == "mask"]
    return ours + found


def listed_stems(base: Path, split: str) -> tuple[set[str], bool] | None:
    """What text files such as `train.txt` or `ORSSD-test.txt` say of a split.

    Returns:
        Stems, and whether they are those of the split; else they are those of the other one, and the split is the rest.
        None where no list speaks of either.
    """
    lists: dict[str, set[str]] = {}
    for path in sorted([*base.glob("*.txt"), *base.glob("*/*.txt")]):
        of = _split_of(_words(path.stem))
        if of and (reason := why_closed(path)):
            raise DatasetError(f"{path} cannot be read: {reason}; see to it that you may read it")
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if of else []
        stems = {_listed_stem(line) for line in lines if line.strip()}
        if of and stems:
            lists.setdefault(of, set()).update(stems)
    if split in lists:
        return lists[split], True
    other = "test" if split == "train" else "train"
    return (lists[other], False) if other in lists else None


def is_picture(path: Path) -> bool:
    """Whether a file looks like a picture, by its name."""
    return path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".")


def stem_of(path: Path) -> str:
    """What a picture and its mask share: the stem, without an ending such as `_mask`."""
    return MASK_ENDINGS.sub("", path.stem)


def _describe(path: Path, parts: tuple[str, ...], files: tuple[Path, ...]) -> Folder:
    role = split = None
    for part in reversed(parts):
        words = _words(part)
        if role is None:
            masks = words & _MASK_WORDS or any(word.endswith("gt") for word in words)
            role = "mask" if masks else "image" if words & _IMAGE_WORDS else None
            if role != "image" and words & _OTHER_MASKS:
                role = "other"
        split = split or _split_of(words)
    if any("non" in _words(part) for part in parts):  # "Non-Camouflaged" in CAMO-COCO
        role = "other"
    kinds = {file.suffix.lower() for file in files}
    if role not in ("mask", "other") and len(kinds) > 1 and _side_by_side(files):
        role = "both"
    return Folder(path, parts, role, split, files)


def _split_of(words: set[str]) -> str | None:
    return next((name for name, known in _SPLIT_WORDS.items() if words & known), None)


def _side_by_side(files: Iterable[Path]) -> bool:
    stems: dict[str, int] = {}
    for file in files:
        stems[stem_of(file)] = stems.get(stem_of(file), 0) + 1
    return sum(count == 2 for count in stems.values()) > len(stems) / 2


def _listed_stem(line: str) -> str:
    first = Path(line.split()[0].replace("\\", "/"))
    return stem_of(first) if is_picture(first) else first.name


def _words(name: str) -> set[str]:
    words = {word.lower() for word in _WORD.findall(name)}
    return words | {"".join(words)} | {name.lower()}


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
