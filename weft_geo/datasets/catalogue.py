"""What is known of each benchmark without looking at a disk: splits, statistics, source and licence. No torch.

Statistics of the ORSI sets are those of the research configuration. The paper gives none for the others, so they have
ImageNet's; `weft-geo datasets verify` prints what a copy really has.

No author publishes checksums of these sets, so a copy is known by its counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from weft_geo.errors import UnknownNameError

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
        counts: pictures of each published split; several numbers where editions differ.
        source: where its authors offer it.
        licence: what they allow.
        paper: where it was published.
        aliases: further names of its folder, compared without case and punctuation.
        statistics: of each split.
        stems: for a split, a pattern (`re.match`) that the stems of its pictures follow where sets share a folder.
    """

    name: str
    title: str
    task: str
    classes: tuple[str, ...]
    counts: Mapping[str, tuple[int, ...]]
    source: str
    licence: str
    paper: str
    aliases: tuple[str, ...] = ()
    statistics: Mapping[str, Statistics] = field(default_factory=dict)
    stems: Mapping[str, str] = field(default_factory=dict)

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


_RESEARCH = "none stated; the authors offer it for research"
_ORSI = "salient objects in optical remote-sensing images"
_COD = "camouflaged objects"
_SOD = "salient objects in natural images"
_POLYP = "polyps in colonoscopy images"

_BENCHMARKS = (
    Benchmark(
        "orssd",
        "ORSSD",
        _ORSI,
        ("object",),
        {"train": (600,), "test": (200,)},
        "https://github.com/rmcong/ORSSD-dataset",
        _RESEARCH,
        "Li et al., Nested Network with Two-Stream Pyramid for Salient Object Detection in Optical RSIs, TGRS 2019",
        statistics={
            "train": Statistics((81.25, 87.39, 79.41), (62.30, 54.89, 49.18)),
            "test": Statistics((83.62, 91.04, 82.90), (53.05, 48.69, 45.89)),
        },
    ),
    Benchmark(
        "eorssd",
        "EORSSD",
        _ORSI,
        ("object",),
        {"train": (1400,), "test": (600,)},
        "https://github.com/rmcong/EORSSD-dataset",
        _RESEARCH,
        "Zhang et al., Dense Attention Fluid Network for Salient Object Detection in Optical RSIs, TIP 2021",
        statistics={
            "train": Statistics((89.35, 96.94, 91.85), (59.27, 50.63, 46.23)),
            "test": Statistics((93.46, 99.73, 94.31), (56.12, 46.93, 44.24)),
        },
    ),
    Benchmark(
        "orsis4199",
        "ORSIs-4199",
        _ORSI,
        ("object",),
        {"train": (2000,), "test": (2199,)},
        "https://github.com/wchao1213/ORSI-SOD",
        _RESEARCH,
        "Tu et al., ORSI Salient Object Detection via Multiscale Joint Region and Boundary Model, TGRS 2022",
        aliases=("ORSI-4199", "ORSI4199", "ORS-4199"),
        statistics={
            "train": Statistics((102.85, 107.51, 98.37), (55.99, 50.94, 51.75)),
            "test": Statistics((109.07, 112.21, 105.93), (59.25, 54.51, 55.68)),
        },
    ),
    Benchmark(
        "camo",
        "CAMO",
        _COD,
        ("object",),
        {"train": (1000,), "test": (250,)},
        "https://sites.google.com/view/ltnghia/research/camo",
        "non-commercial research",
        "Le et al., Anabranch Network for Camouflaged Object Segmentation, CVIU 2019",
        aliases=("CAMO-COCO", "CAMO-V1.0"),
        stems={"train": r"camourflage_"},
    ),
    Benchmark(
        "chameleon",
        "CHAMELEON",
        _COD,
        ("object",),
        {"test": (76,)},
        "https://www.polsl.pl/rau6/chameleon-database-animal-camouflage-analysis/",
        _RESEARCH,
        "Skurowski et al., Animal Camouflage Analysis: CHAMELEON Database, 2018",
    ),
    Benchmark(
        "cod10k",
        "COD10K",
        _COD,
        ("object",),
        {"train": (3040,), "test": (2026,)},
        "https://github.com/DengPingFan/SINet",
        "non-commercial research",
        "Fan et al., Camouflaged Object Detection, CVPR 2020",
        aliases=("COD10K-v2", "COD10K-v3"),
        stems={"train": r"COD10K-CAM-", "test": r"COD10K-CAM-"},
    ),
    Benchmark(
        "nc4k",
        "NC4K",
        _COD,
        ("object",),
        {"test": (4121,)},
        "https://github.com/JingZhang617/COD-Rank-Localize-and-Segment",
        _RESEARCH,
        "Lv et al., Simultaneously Localize, Segment and Rank the Camouflaged Objects, CVPR 2021",
    ),
    Benchmark(
        "pascal-s",
        "PASCAL-S",
        _SOD,
        ("object",),
        {"test": (850,)},
        "https://cbs.ic.gatech.edu/salobj/",
        _RESEARCH,
        "Li et al., The Secrets of Salient Object Segmentation, CVPR 2014",
    ),
    Benchmark(
        "duts",
        "DUTS",
        _SOD,
        ("object",),
        {"train": (10553,), "test": (5019,)},
        "http://saliencydetection.net/duts/",
        _RESEARCH,
        "Wang et al., Learning to Detect Salient Objects with Image-Level Supervision, CVPR 2017",
        aliases=("DUTS-TR", "DUTS-TE"),
    ),
    Benchmark(
        "ecssd",
        "ECSSD",
        _SOD,
        ("object",),
        {"test": (1000,)},
        "https://www.cse.cuhk.edu.hk/leojia/projects/hsaliency/dataset.html",
        _RESEARCH,
        "Shi et al., Hierarchical Image Saliency Detection on Extended CSSD, TPAMI 2016",
    ),
    Benchmark(
        "hku-is",
        "HKU-IS",
        _SOD,
        ("object",),
        {"test": (4447,)},
        "https://i.cs.hku.hk/~gbli/deep_saliency.html",
        _RESEARCH,
        "Li and Yu, Visual Saliency Based on Multiscale Deep Features, CVPR 2015",
    ),
    Benchmark(
        "dut-omron",
        "DUT-OMRON",
        _SOD,
        ("object",),
        {"test": (5168,)},
        "http://saliencydetection.net/dut-omron/",
        _RESEARCH,
        "Yang et al., Saliency Detection via Graph-Based Manifold Ranking, CVPR 2013",
        aliases=("OMRON", "DUTOMRON"),
    ),
    Benchmark(
        "cvc-300",
        "CVC-300",
        _POLYP,
        ("polyp",),
        {"test": (60,)},
        "https://github.com/DengPingFan/PraNet",
        "research and education",
        "Vázquez et al., A Benchmark for Endoluminal Scene Segmentation of Colonoscopy Images, JHE 2017",
        aliases=("CVC-T", "EndoScene"),
    ),
    Benchmark(
        "cvc-clinicdb",
        "CVC-ClinicDB",
        _POLYP,
        ("polyp",),
        {"train": (550,), "test": (62, 612)},
        "https://polyp.grand-challenge.org/CVCClinicDB/",
        "research and education",
        "Bernal et al., WM-DOVA Maps for Accurate Polyp Highlighting in Colonoscopy, CMIG 2015",
        aliases=("CVC-612", "ClinicDB"),
        stems={"train": r"\d+$"},
    ),
    Benchmark(
        "cvc-colondb",
        "CVC-ColonDB",
        _POLYP,
        ("polyp",),
        {"test": (380,)},
        "https://github.com/DengPingFan/PraNet",
        "research and education",
        "Tajbakhsh et al., Automated Polyp Detection in Colonoscopy Videos, TMI 2016",
        aliases=("ColonDB",),
    ),
    Benchmark(
        "etis",
        "ETIS-LaribPolypDB",
        _POLYP,
        ("polyp",),
        {"test": (196,)},
        "https://polyp.grand-challenge.org/ETISLarib/",
        "research and education",
        "Silva et al., Toward Embedded Detection of Polyps in WCE Images, IJCARS 2014",
        aliases=("ETIS", "ETIS-Larib"),
    ),
    Benchmark(
        "kvasir",
        "Kvasir-SEG",
        _POLYP,
        ("polyp",),
        {"train": (900,), "test": (100,)},
        "https://datasets.simula.no/kvasir-seg/",
        "research and education",
        "Jha et al., Kvasir-SEG: A Segmented Polyp Dataset, MMM 2020",
        aliases=("Kvasir",),
        stems={"train": r"c[jk][0-9a-z]{20,}"},
    ),
)

BENCHMARKS: dict[str, Benchmark] = {benchmark.name: benchmark for benchmark in _BENCHMARKS}
"""All benchmarks by name."""


def find_benchmark(name: str) -> Benchmark:
    """The benchmark of a name.

    Raises:
        UnknownNameError: there is none; the message lists the known ones.
    """
    try:
        return BENCHMARKS[name.lower()]
    except KeyError:
        raise UnknownNameError("data set", name, list(BENCHMARKS)) from None
