"""The paper's cross-scene benchmarks: camouflaged objects, salient objects in natural images, polyps."""

from __future__ import annotations

from weft_geo.datasets.benchmark import BenchmarkDataset
from weft_geo.datasets.catalogue import BENCHMARKS


class CAMO(BenchmarkDataset):
    """Camouflaged objects: 1,000 and 250."""

    benchmark = BENCHMARKS["camo"]


class CHAMELEON(BenchmarkDataset):
    """Camouflaged animals: 76 to test on."""

    benchmark = BENCHMARKS["chameleon"]


class COD10K(BenchmarkDataset):
    """Camouflaged objects: 3,040 and 2,026; pictures without any are left out."""

    benchmark = BENCHMARKS["cod10k"]


class NC4K(BenchmarkDataset):
    """Camouflaged objects: 4,121 to test on."""

    benchmark = BENCHMARKS["nc4k"]


class PASCALS(BenchmarkDataset):
    """Salient objects: 850 to test on."""

    benchmark = BENCHMARKS["pascal-s"]


class DUTS(BenchmarkDataset):
    """Salient objects: 10,553 and 5,019."""

    benchmark = BENCHMARKS["duts"]


class ECSSD(BenchmarkDataset):
    """Salient objects: 1,000 to test on."""

    benchmark = BENCHMARKS["ecssd"]


class HKUIS(BenchmarkDataset):
    """Salient objects: 4,447 to test on."""

    benchmark = BENCHMARKS["hku-is"]


class DUTOMRON(BenchmarkDataset):
    """Salient objects: 5,168 to test on."""

    benchmark = BENCHMARKS["dut-omron"]


class CVC300(BenchmarkDataset):
    """Polyps: 60 to test on."""

    benchmark = BENCHMARKS["cvc-300"]


class CVCClinicDB(BenchmarkDataset):
    """Polyps: 550 and 62, as PraNet divides them."""

    benchmark = BENCHMARKS["cvc-clinicdb"]


class CVCColonDB(BenchmarkDataset):
    """Polyps: 380 to test on."""

    benchmark = BENCHMARKS["cvc-colondb"]


class ETIS(BenchmarkDataset):
    """Polyps: 196 to test on."""

    benchmark = BENCHMARKS["etis"]


class Kvasir(BenchmarkDataset):
    """Polyps: 900 and 100, as PraNet divides them."""

    benchmark = BENCHMARKS["kvasir"]
