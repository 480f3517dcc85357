"""The benchmarks that are known: splits, statistics, layout, source and licence. No torch.

Where the facts come from:

- Statistics of the ORSI sets are those of the research configuration. The paper gives none for the others, so they have
  ImageNet's; `weft-geo datasets verify` prints what a copy really has.
- Counts are those of the sets' papers; what is said under `editions`, of the pages and repositories named there.
- A licence is given in its authors' words where their page or repository states one: SINet's readme for COD10K,
  Kvasir-SEG's own. "not stated" means that the authors' repository or page was read and states none. "see the source"
  means that their page could not be read when this was written.
- No author publishes checksums, so a copy is known by its counts. The one MD5 is that of pysaliency, which downloads
  the file.
"""

from __future__ import annotations

from weft_geo.datasets.facts import Benchmark, Statistics
from weft_geo.errors import UnknownNameError

_NOT_STATED = "not stated; ask the authors for any use but research"
_UNREAD = "see the source"
_OBJECT = ("object",)
_ORSI = "salient objects in optical remote-sensing images"
_COD = "camouflaged objects"
_SOD = "salient objects in natural images"
_POLYP = "polyps in colonoscopy images"
_PRANET = "TestDataset/{}/images and masks (.png), in PraNet's bundle"

_BENCHMARKS = (
    Benchmark(
        "orssd", "ORSSD", _ORSI, _OBJECT, {"train": (600,), "test": (200,)},
        # The authors' repository holds the list of the test pictures; DAFNet's readme has their link to the pictures.
        "https://github.com/rmcong/ORSSD-dataset",
        "train-images, train-labels, test-images, test-labels (.jpg, .png); or images, labels and ORSSD-test.txt",
        _NOT_STATED,
        "Li et al., Nested Network with Two-Stream Pyramid for Salient Object Detection in Optical RSIs, TGRS 2019",
        statistics={
            "train": Statistics((81.25, 87.39, 79.41), (62.30, 54.89, 49.18)),
            "test": Statistics((83.62, 91.04, 82.90), (53.05, 48.69, 45.89)),
        },
    ),
    Benchmark(
        "eorssd", "EORSSD", _ORSI, _OBJECT, {"train": (1400,), "test": (600,)},
        "https://github.com/rmcong/EORSSD-dataset",
        "train-images, train-labels, test-images, test-labels (.jpg, .png); or images, labels, train.txt and test.txt",
        _NOT_STATED,
        "Zhang et al., Dense Attention Fluid Network for Salient Object Detection in Optical RSIs, TIP 2021",
        statistics={
            "train": Statistics((89.35, 96.94, 91.85), (59.27, 50.63, 46.23)),
            "test": Statistics((93.46, 99.73, 94.31), (56.12, 46.93, 44.24)),
        },
    ),
    Benchmark(
        "orsis4199", "ORSIs-4199", _ORSI, _OBJECT, {"train": (2000,), "test": (2199,)},
        "https://github.com/wchao1213/ORSI-SOD",
        "trainset/images, trainset/gt, testset/images, testset/gt (.jpg, .png)",
        _NOT_STATED,
        "Tu et al., ORSI Salient Object Detection via Multiscale Joint Region and Boundary Model, TGRS 2022",
        aliases=("ORSI-4199", "ORSI4199", "ORS-4199"),
        statistics={
            "train": Statistics((102.85, 107.51, 98.37), (55.99, 50.94, 51.75)),
            "test": Statistics((109.07, 112.21, 105.93), (59.25, 54.51, 55.68)),
        },
    ),
    Benchmark(
        "camo", "CAMO", _COD, _OBJECT, {"train": (1000,), "test": (250,)},
        "https://sites.google.com/view/ltnghia/research/camo",
        "CAMO-V.1.0-CVIU2019/Images/Train, Images/Test (.jpg) and one folder GT (.png) for both",
        _UNREAD,
        "Le et al., Anabranch Network for Camouflaged Object Segmentation, CVIU 2019",
        aliases=("CAMO-COCO", "CAMO-V1.0", "TR-CAMO", "TE-CAMO"),
        stems={"train": r"camourflage_"},
    ),
    Benchmark(
        "chameleon", "CHAMELEON", _COD, _OBJECT, {"test": (76,)},
        "https://www.polsl.pl/rau6/chameleon-database-animal-camouflage-analysis/",
        "TestDataset/CHAMELEON/Imgs and GT (.jpg, .png), in SINet's bundle",
        _UNREAD,
        "Skurowski et al., Animal Camouflage Analysis: CHAMELEON Database, 2018",
    ),
    Benchmark(
        "cod10k", "COD10K", _COD, _OBJECT, {"train": (3040,), "test": (2026,)},
        "https://github.com/DengPingFan/SINet",
        "COD10K-v3/Train and Test, each with Image (.jpg) and GT_Object (.png)",
        "non-commercial purposes only",
        "Fan et al., Camouflaged Object Detection, CVPR 2020",
        editions="COD10K-v3 also holds pictures without a camouflaged object (COD10K-NonCAM-…), which are left out",
        aliases=("COD10K-v2", "COD10K-v3", "TR-COD10K", "TE-COD10K"),
        stems={"train": r"COD10K-CAM-", "test": r"COD10K-CAM-"},
    ),
    Benchmark(
        "nc4k", "NC4K", _COD, _OBJECT, {"test": (4121,)},
        "https://github.com/JingZhang617/COD-Rank-Localize-and-Segment",
        "NC4K/Imgs and GT (.jpg, .png), beside Instance",
        _NOT_STATED,
        "Lv et al., Simultaneously Localize, Segment and Rank the Camouflaged Objects, CVPR 2021",
    ),
    Benchmark(
        "pascal-s", "PASCAL-S", _SOD, _OBJECT, {"test": (850,)},
        "https://cbs.ic.gatech.edu/salobj/",
        "salObj/datasets/imgs/pascal and datasets/masks/pascal (.jpg, .png)",
        _UNREAD,
        "Li et al., The Secrets of Salient Object Segmentation, CVPR 2014",
        editions="masks come grey, or black and white; of grey ones, above 128 of 255 is object here",
    ),
    Benchmark(
        "duts", "DUTS", _SOD, _OBJECT, {"train": (10553,), "test": (5019,)},
        "http://saliencydetection.net/duts/",
        "DUTS-TR/DUTS-TR-Image and DUTS-TR-Mask, DUTS-TE/DUTS-TE-Image and DUTS-TE-Mask (.jpg, .png)",
        _UNREAD,
        "Wang et al., Learning to Detect Salient Objects with Image-Level Supervision, CVPR 2017",
        aliases=("DUTS-TR", "DUTS-TE"),
    ),
    Benchmark(
        "ecssd", "ECSSD", _SOD, _OBJECT, {"test": (1000,)},
        "https://www.cse.cuhk.edu.hk/leojia/projects/hsaliency/dataset.html",
        "images and ground_truth_mask (.jpg, .png)",
        _UNREAD,
        "Shi et al., Hierarchical Image Saliency Detection on Extended CSSD, TPAMI 2016",
        editions="masks were mended on 9 April 2015",
    ),
    Benchmark(
        "hku-is", "HKU-IS", _SOD, _OBJECT, {"test": (4447, 1447)},
        "https://i.cs.hku.hk/~gbli/deep_saliency.html",
        "imgs and gt (.png)",
        _UNREAD,
        "Li and Yu, Visual Saliency Based on Multiscale Deep Features, CVPR 2015",
        editions="papers test on all 4,447, or on the 1,447 that its authors kept for it",
    ),
    Benchmark(
        "dut-omron", "DUT-OMRON", _SOD, _OBJECT, {"test": (5168,)},
        "http://saliencydetection.net/dut-omron/",
        "DUT-OMRON-image and pixelwiseGT-new-PNG (.jpg, .png)",
        _UNREAD,
        "Yang et al., Saliency Detection via Graph-Based Manifold Ranking, CVPR 2013",
        # The source, 22 January 2018: pictures without a mask, to be deleted from older copies.
        editions="copies from before 2018 hold four pictures more, withdrawn for want of masks; they are left out",
        aliases=("OMRON", "DUTOMRON", "DUTS-OMRON"),
        withdrawn=(
            "img_561715398", "sun_bqfgwnmzhjwuphdi", "sun_bswlalhygmnrhvuw", "sun_buaqzytduodbufcb",
        ),
        md5={"DUT-OMRON-image.zip": "a8951db9297afacf78bc0e5079103cf1"},
    ),
    Benchmark(
        "cvc-300", "CVC-300", _POLYP, ("polyp",), {"test": (60, 300)},
        "https://github.com/DengPingFan/PraNet",
        _PRANET.format("CVC-300"),
        _NOT_STATED,
        "Vázquez et al., A Benchmark for Endoluminal Scene Segmentation of Colonoscopy Images, JHE 2017",
        editions="PraNet and its followers test on 60 pictures; EndoScene has 300 under this name",
        aliases=("CVC-T", "EndoScene"),
    ),
    Benchmark(
        "cvc-clinicdb", "CVC-ClinicDB", _POLYP, ("polyp",), {"train": (550,), "test": (62, 612)},
        "https://polyp.grand-challenge.org/CVCClinicDB/",
        "Original and Ground Truth (.tif); or, in PraNet's bundle, TrainDataset/image and masks, with Kvasir, and "
        + _PRANET.format("CVC-ClinicDB"),
        _UNREAD,
        "Bernal et al., WM-DOVA Maps for Accurate Polyp Highlighting in Colonoscopy, CMIG 2015",
        editions="its authors publish 612 pictures undivided, read as the test split; 550 and 62 are PraNet's division",
        aliases=("CVC-612", "ClinicDB"),
        stems={"train": r"\d+$"},
    ),
    Benchmark(
        "cvc-colondb", "CVC-ColonDB", _POLYP, ("polyp",), {"test": (380, 300)},
        "http://mv.cvc.uab.es/projects/colon-qa/cvccolondb",
        "N.bmp and pN.bmp in one folder, beside cN.bmp and sN.bmp; or " + _PRANET.format("CVC-ColonDB"),
        _NOT_STATED,
        "Tajbakhsh et al., Automated Polyp Detection in Colonoscopy Videos, TMI 2016",
        editions="PraNet's bundle has 380 pictures under this name; the source, Bernal et al. 2012, has 300",
        aliases=("ColonDB",),
        stems={"test": r"\d+$"},
        mask_stems=r"p(\d+)$",
    ),
    Benchmark(
        "etis", "ETIS-LaribPolypDB", _POLYP, ("polyp",), {"test": (196,)},
        "https://polyp.grand-challenge.org/ETISLarib/",
        "ETIS-LaribPolypDB/N.tif and Ground Truth/pN.tif; or " + _PRANET.format("ETIS-LaribPolypDB"),
        _UNREAD,
        "Silva et al., Toward Embedded Detection of Polyps in WCE Images, IJCARS 2014",
        aliases=("ETIS", "ETIS-Larib"),
        mask_stems=r"p(\d+)$",
    ),
    Benchmark(
        "kvasir", "Kvasir-SEG", _POLYP, ("polyp",), {"train": (900, 880), "test": (100, 120, 1000)},
        "https://datasets.simula.no/kvasir-seg/",
        "Kvasir-SEG/images and masks (.jpg); or, in PraNet's bundle, TrainDataset/image and masks, with CVC-ClinicDB, "
        "and " + _PRANET.format("Kvasir"),
        "research and educational purposes; commercial use needs written permission",
        "Jha et al., Kvasir-SEG: A Segmented Polyp Dataset, MMM 2020",
        editions="its authors publish 1,000 pictures undivided, read as the test split; 900 and 100 are PraNet's "
        "division; train.txt and val.txt beside them divide 880 and 120",
        aliases=("Kvasir",),
        stems={"train": r"c[jk][0-9a-z]{20,}"},
    ),
)  # fmt: skip

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
