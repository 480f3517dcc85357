"""The plugin loads in a QGIS whose Python has nothing but QGIS: no numpy, no GDAL, no package of anybody else."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

PLUGIN = Path(__file__).resolve().parents[2] / "qgis_plugin"

LOAD = """
import importlib, pkgutil, sys

ABSENT = ("numpy", "osgeo", "shapely", "scipy", "pandas", "geopandas", "rasterio", "torch", "requests", "weft_geo")


class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Absent())
from qgis.core import QgsApplication

application = QgsApplication([], False)
application.initQgis()
sys.path.insert(0, sys.argv[1])
import weft_geo_qgis

for module in pkgutil.walk_packages(weft_geo_qgis.__path__, "weft_geo_qgis."):
    importlib.import_module(module.name)
from weft_geo_qgis.provider import WeftGeoProvider

provider = WeftGeoProvider()
provider.loadAlgorithms()
print(sorted(algorithm.name() for algorithm in provider.algorithms()))
print([name for name in ABSENT if name in sys.modules])
application.exitQgis()
"""


def test_it_loads_where_python_has_qgis_and_nothing_else():
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "weft_geo_qgis").symlink_to(PLUGIN)
        done = subprocess.run([sys.executable, "-c", LOAD, folder], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["['evaluate', 'predict', 'train', 'vectorize']", "[]"]
