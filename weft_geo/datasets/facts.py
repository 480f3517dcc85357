"""What can be known of a benchmark without looking at a disk. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

RGB = tuple[float, float, float]
IMAGENET_MEAN: RGB = (123.675, 116.28, 103.53)
IMAGENET_STD: RGB = (58.395, 57.12, 57.375)

HOLDOUT_EVERY = 10
"""Of a benchmark without training pictures of its own, every tenth is held out when it is trained on."""


@dataclass(frozen=True)
class Statistics:
    """Mean and standard deviation of the channels red, green, blue, on 0…255."""

    mean: RGB = IMAGENET_MEAN
    std: RGB = IMAGENET_STD


@dataclass(frozen=True)
class Benchmark:
    """One benchmark.

    Attributes:
        name: what users call it.
        title: what its authors call it.
        task: what is to be found.
        classes: object classes, background left out.
        counts: pictures of each published split; several numbers where editions differ, the usual one first.
        source: where its authors offer it.
        layout: the folders and suffixes of the usual copies, the authors' first where they are known.
        licence: what they allow, in their words.
        paper: where it was published.
        editions: how copies that go by the same name differ.
        aliases: further names of its folder, compared without case and punctuation.
        statistics: of each split.
        stems: for a split, a pattern (`re.match`) that the stems of its pictures follow where sets share a folder.
        mask_stems: a pattern (`re.match`) of the masks' stems whose group 1 is the picture's, where they differ.
        withdrawn: stems of pictures that old copies still have without a mask, as their authors told.
        md5: of archives, by file name.
    """

    name: str
    title: str
    task: str
    classes: tuple[str, ...]
    counts: Mapping[str, tuple[int, ...]]
    source: str
    layout: str
    licence: str
    paper: str
    editions: str = ""
    aliases: tuple[str, ...] = ()
    statistics: Mapping[str, Statistics] = field(default_factory=dict)
    stems: Mapping[str, str] = field(default_factory=dict)
    mask_stems: str = ""
    withdrawn: tuple[str, ...] = ()
    md5: Mapping[str, str] = field(default_factory=dict)

    @property
    def splits(self) -> tuple[str, ...]:
        """What can be asked for: "train" and "test" where both are published.

        Where only test pictures are published, "test" is all of them, and "train" and "holdout" divide the same
        pictures nine to one, by their order, for those who train on the set itself.
        """
        return ("train", "test") if "train" in self.counts else ("train", "holdout", "test")

    @property
    def validation(self) -> str:
        """The split that training is judged by. The paper's is the test split."""
        return "test" if "train" in self.counts else "holdout"

    def statistics_of(self, split: str) -> Statistics:
        """Mean and standard deviation of a split."""
        return self.statistics.get(split, Statistics())


def describe_counts(counts: Mapping[str, tuple[int, ...]]) -> str:
    """`600 train, 200 test`."""
    return ", ".join(f"{' or '.join(map(str, numbers))} {split}" for split, numbers in counts.items())
