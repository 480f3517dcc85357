"""The data sets that are known by name."""

from __future__ import annotations

from pathlib import Path

from weft_geo.datasets.benchmark import BenchmarkDataset
from weft_geo.datasets.catalogue import find_benchmark
from weft_geo.datasets.cross_scene import (
    CAMO,
    CHAMELEON,
    COD10K,
    CVC300,
    DUTOMRON,
    DUTS,
    ECSSD,
    ETIS,
    HKUIS,
    NC4K,
    PASCALS,
    CVCClinicDB,
    CVCColonDB,
    Kvasir,
)
from weft_geo.datasets.orsi import EORSSD, ORSSD, ORSIs4199

DATASETS: dict[str, type[BenchmarkDataset]] = {
    "orssd": ORSSD,
    "eorssd": EORSSD,
    "orsis4199": ORSIs4199,
    "camo": CAMO,
    "chameleon": CHAMELEON,
    "cod10k": COD10K,
    "nc4k": NC4K,
    "pascal-s": PASCALS,
    "duts": DUTS,
    "ecssd": ECSSD,
    "hku-is": HKUIS,
    "dut-omron": DUTOMRON,
    "cvc-300": CVC300,
    "cvc-clinicdb": CVCClinicDB,
    "cvc-colondb": CVCColonDB,
    "etis": ETIS,
    "kvasir": Kvasir,
}


def load_dataset(name: str, root: str | Path, split: str = "train") -> BenchmarkDataset:
    """A split of the data set of a name.

    Raises:
        UnknownNameError: there is none; the message lists the known ones.
        DatasetError: it is not in `root`, or not whole.
    """
    return DATASETS[find_benchmark(name).name](root, split)
