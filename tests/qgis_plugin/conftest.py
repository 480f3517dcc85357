"""Tests of the plugin. They run in QGIS' own Python (make test-qgis); those that know nothing of QGIS run everywhere.

The plugin is imported by the name that it has once it is installed. The weft-geo that it starts is that of
WEFT_GEO_INTERPRETER, by default the environment of the checkout.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = ROOT / "qgis_plugin"
HAS_QGIS = importlib.util.find_spec("qgis") is not None

WITHOUT_QGIS = {
    "test_arguments.py",
    "test_child.py",
    "test_docs.py",
    "test_environment.py",
    "test_install.py",
    "test_json_lines.py",
    "test_sentences.py",
    "test_sources.py",
    "test_translation.py",
    "test_zip.py",
}
if not HAS_QGIS:
    here = Path(__file__).parent
    collect_ignore = sorted(path.name for path in here.glob("test_*.py") if path.name not in WITHOUT_QGIS)

_installed = tempfile.TemporaryDirectory(prefix="weft_geo_plugins_")
(Path(_installed.name) / "weft_geo_qgis").symlink_to(PLUGIN)
sys.path.insert(0, _installed.name)

if HAS_QGIS:
    os.environ["XDG_CONFIG_HOME"] = _installed.name  # the settings of whoever runs the tests are not touched
    from qgis.core import QgsApplication

    # QGIS' own plugins, Processing among them.
    sys.path.append(str(Path(QgsApplication.pkgDataPath() or "/usr/share/qgis") / "python" / "plugins"))


def pytest_unconfigure(config: pytest.Config) -> None:
    _installed.cleanup()


@pytest.fixture(scope="session")
def interpreter() -> Path:
    """The folder or Python of the weft-geo to start."""
    path = Path(os.environ.get("WEFT_GEO_INTERPRETER", ROOT / ".venv"))
    assert path.exists(), f"{path} is not there: make the environment (make lint does), or set WEFT_GEO_INTERPRETER"
    return path


@pytest.fixture(scope="session")
def weft_geo(interpreter: Path) -> list[str]:
    """The words that start weft-geo."""
    python = interpreter / "bin" / "python" if interpreter.is_dir() else interpreter
    return [str(python), "-m", "weft_geo_cli.main"]


def run_cli(words: list[object]) -> str:
    """Run weft-geo the way a user does, without the plugin."""
    from weft_geo_qgis.environment import clean_environment

    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, env=clean_environment(), timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def cli():
    """Runs a command line, and gives its stdout."""
    return run_cli


@pytest.fixture(scope="session")
def sample(weft_geo: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a synthetic scene of 512 x 512 px with its truth."""
    folder = tmp_path_factory.mktemp("sample") / "sample"
    run_cli([*weft_geo, "sample", "-o", folder, "--size", 512])
    return folder


@pytest.fixture(scope="session")
def real_scene(sample: Path) -> Path:
    """A real scene that the embedded model was not trained on where there is one, else the synthetic one."""
    data = Path(os.environ.get("WEFT_GEO_DATA", ROOT.parent / "shared" / "data"))
    path = data / "buildings" / "nepal_banepa" / "scene_01.tif"
    return path if path.is_file() else sample / "scene.tif"


if HAS_QGIS:

    @pytest.fixture
    def plugin_settings(qgis_app, interpreter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        """The plugin's places in an empty folder, with the checkout's weft-geo as the one that the user set."""
        from qgis.core import QgsSettings

        from weft_geo_qgis import places

        home = tmp_path / "profile"
        home.mkdir()
        monkeypatch.setattr(places, "home", lambda: home)
        QgsSettings().remove("weft_geo")
        places.choose_interpreter(str(interpreter))
        yield places
        QgsSettings().remove("weft_geo")

    @pytest.fixture(scope="module")
    def provider(qgis_app, qgis_processing):
        """The algorithms, in the registry."""
        from qgis.core import QgsApplication

        from weft_geo_qgis.provider import WeftGeoProvider

        provider = WeftGeoProvider()
        assert QgsApplication.processingRegistry().addProvider(provider)
        yield provider
        QgsApplication.processingRegistry().removeProvider(provider)  # as the plugin does when it is unloaded

    @pytest.fixture
    def run_algorithm(plugin_settings, provider):
        """Runs an algorithm; gives its results, or raises what it says."""

        import processing
        from qgis.core import QgsMapLayer, QgsProcessingFeedback, QgsProject

        def run(name: str, **parameters: object) -> dict:
            # Layers belong to the project, as they do in the desktop: an algorithm that fails never lets go of its
            # parameters (QGIS keeps the traceback), and layers of Python's own would outlive QGIS, which is a crash.
            layers = [value for value in parameters.values() if isinstance(value, QgsMapLayer)]
            QgsProject.instance().addMapLayers(layers, False)
            run.feedback = QgsProcessingFeedback(False)
            return processing.run(f"weft_geo:{name}", parameters, feedback=run.feedback)

        yield run
        run.feedback = None
        QgsProject.instance().clear()
