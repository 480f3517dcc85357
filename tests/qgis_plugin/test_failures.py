"""Whatever goes wrong is one sentence with the remedy; the log holds the rest, and nothing half-written stays."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from qgis.core import QgsProcessingException, QgsRasterLayer


@pytest.fixture
def fails(run_algorithm, plugin_settings, sample, tmp_path):
    """Runs a prediction that fails; gives the sentence."""

    def run(output: Path | None = None, **parameters: object) -> str:
        target = output or tmp_path / "out" / "objects.gpkg"
        target.parent.mkdir(exist_ok=True)
        parameters.setdefault("INPUT", QgsRasterLayer(str(sample / "scene.tif"), "scene"))
        with pytest.raises(QgsProcessingException) as caught:
            run_algorithm("predict", OUTPUT=str(target), **parameters)
        sentence = str(caught.value)
        assert "\n" not in sentence.strip()
        assert "Traceback" not in sentence
        assert sentence in plugin_settings.last_log().read_text(encoding="utf-8"), "the log is kept"
        left = {path.name for path in target.parent.iterdir()}
        assert left <= {".objects.gpkg.journal", ".objects.gpkg.lock", ".objects.gpkg.part"}, (
            "the next run goes on from the first of these, and clears the others"
        )
        return sentence

    return run


def test_no_interpreter(fails, plugin_settings, monkeypatch):
    plugin_settings.choose_interpreter("")
    monkeypatch.setenv("PATH", "/nowhere")
    assert fails() == "weft-geo is not installed yet: open Settings ▸ Options ▸ weft-geo and press Install."


def test_an_interpreter_that_has_gone(fails, plugin_settings, tmp_path):
    plugin_settings.choose_interpreter(str(tmp_path / "python3"))
    assert "python3 does not exist: choose another one in Settings" in fails()


def test_an_environment_that_lost_its_python(fails, plugin_settings):
    plugin_settings.choose_interpreter("")
    (plugin_settings.made_environment() / "bin").mkdir(parents=True)
    assert "(made by the plugin) does not exist: press Install" in fails()


def test_an_environment_without_weft_geo(fails, plugin_settings, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "leer und Ä")], check=True)
    plugin_settings.choose_interpreter(str(tmp_path / "leer und Ä"))
    assert "cannot run weft-geo: " in (sentence := fails())
    assert "weft_geo_cli" in sentence
    assert "press Install" in sentence


def test_a_program_that_is_something_else(fails, plugin_settings):
    plugin_settings.choose_interpreter("/bin/true")
    assert "cannot run weft-geo: it is another program; press Install" in fails()


def test_a_model_that_does_not_fit(fails, tmp_path, sample):
    from osgeo import gdal

    gdal.UseExceptions()
    gdal.Translate(str(tmp_path / "two.tif"), str(sample / "scene.tif"), bandList=[1, 2])
    sentence = fails(INPUT=QgsRasterLayer(str(tmp_path / "two.tif"), "two"))
    assert sentence.startswith("The model takes 3 bands, but two.tif has 2. Give which to use with Bands")


def test_a_model_that_is_not_there(fails):
    assert fails(MODEL="nothing").startswith(
        "Unknown model 'nothing'; known: a path to .onnx or .safetensors, embedded"
    )


def test_a_folder_that_cannot_be_written_to(run_algorithm, sample):
    """Of /proc the superuser is refused as well."""
    with pytest.raises(QgsProcessingException, match=r"/proc cannot be written to: choose another folder for obj"):
        run_algorithm("predict", INPUT=str(sample / "scene.tif"), OUTPUT="/proc/objects.gpkg")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no file system can be made here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk(fails, small_disk):
    assert fails(output=small_disk / "objects.gpkg") == (
        f"The disk that holds {small_disk} is full: make room there, or write to another folder."
    )


@pytest.mark.parametrize(("signal", "words"), [(9, "SIGKILL; most often the memory was used up"), (11, "SIGSEGV")])
def test_a_child_that_dies(fails, plugin_settings, interpreter, tmp_path, signal, words):
    """A real weft-geo, which the system ends in the middle of its work."""
    python = interpreter / "bin" / "python" if interpreter.is_dir() else interpreter
    script = tmp_path / "weft-geo"
    script.write_text(
        textwrap.dedent(
            f"""\
            #!{python}
            import os, sys
            from weft_geo.inference import layers
            from weft_geo_cli.main import main
            push = layers.Layers.push
            def die(self, *rest):
                push(self, *rest)
                os.kill(os.getpid(), {signal})
            layers.Layers.push = die
            sys.argv[0] = "weft-geo"
            main()
            """
        )
    )
    script.chmod(0o755)
    plugin_settings.choose_interpreter(str(script))
    assert words in fails()
    assert f"exit code -{signal}" in plugin_settings.last_log().read_text()


def test_version_skew_is_said(run_algorithm, plugin_settings, sample, tmp_path, monkeypatch):
    monkeypatch.setattr(plugin_settings, "plugin_version", lambda: "9.4.0")
    scene = QgsRasterLayer(str(sample / "scene.tif"), "scene")
    run_algorithm("predict", INPUT=scene, OUTPUT=str(tmp_path / "o.gpkg"))
    assert "The plugin is version 9.4.0 and weft-geo is" in run_algorithm.feedback.textLog()
