"""Salient objects in optical remote-sensing images: the three sets of the paper."""

from __future__ import annotations

from weft_geo.datasets.benchmark import BenchmarkDataset
from weft_geo.datasets.catalogue import BENCHMARKS


class ORSSD(BenchmarkDataset):
    """ORSSD: 600 pictures to train on, 200 to test on."""

    benchmark = BENCHMARKS["orssd"]


class EORSSD(BenchmarkDataset):
    """EORSSD, which extends ORSSD: 1,400 and 600."""

    benchmark = BENCHMARKS["eorssd"]


class ORSIs4199(BenchmarkDataset):
    """ORSIs-4199: 2,000 and 2,199."""

    benchmark = BENCHMARKS["orsis4199"]
