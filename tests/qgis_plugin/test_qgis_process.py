"""The algorithms without a window: `qgis_process`, as a script would."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from qgis.core import QgsVectorLayer
from test_desktop import install_plugin, plain_environment

PROGRAM = shutil.which("qgis_process.bin") or "qgis_process"


@pytest.fixture
def qgis_process(interpreter, tmp_path):
    profile = tmp_path / "data" / "QGIS" / "QGIS3" / "profiles" / "default"
    profile.mkdir(parents=True)
    install_plugin(profile, interpreter)
    environment = plain_environment() | {"XDG_DATA_HOME": str(tmp_path / "data"), "QT_QPA_PLATFORM": "offscreen"}

    def run(*words: str, cwd: Path | None = None) -> str:
        done = subprocess.run([PROGRAM, *words], env=environment, cwd=cwd, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_it_finds_the_objects_of_the_command_line(qgis_process, weft_geo, cli, sample, tmp_path):
    assert "weft_geo:predict" in qgis_process("list")
    scene, output = sample / "scene.tif", tmp_path / "o.gpkg"
    said = qgis_process("--json", "run", "weft_geo:predict", f"--INPUT={scene}", "--MIN_AREA=20", f"--OUTPUT={output}")
    results = json.loads(said[said.index("{") :])["results"]
    cli([*weft_geo, "predict", scene, "-o", tmp_path / "cli.gpkg", "--min-area-m2", 20])
    assert results["OBJECTS"] == QgsVectorLayer(str(tmp_path / "cli.gpkg")).featureCount() > 5
    assert Path(results["OUTPUT"]) == output


def test_paths_may_be_relative(qgis_process, sample, tmp_path):
    """As docs/qgis.md has them."""
    shutil.copy(sample / "scene.tif", tmp_path / "scene.tif")
    words = ("run", "weft_geo:predict", "--INPUT=scene.tif", "--MIN_AREA=10", "--OUTPUT=objects.gpkg")
    assert "OBJECTS" in qgis_process(*words, cwd=tmp_path)
    assert QgsVectorLayer(str(tmp_path / "objects.gpkg")).featureCount() > 0
