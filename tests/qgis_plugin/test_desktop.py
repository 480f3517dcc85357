"""The real desktop: QGIS in a virtual screen, a mouse that clicks, and pictures to look at.

The pictures go where WEFT_GEO_SCREENSHOTS says; docs/images is made this way.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from qgis.core import QgsRasterLayer, QgsVectorLayer

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = """\
[PythonPlugins]
weft_geo_qgis=true

[weft_geo]
interpreter={interpreter}

[qgis]
checkVersion=false
showTips=false

[app]
# Without a desktop around it, QGIS puts what it would notify the system of over the message of the plugin.
minTaskLengthForSystemNotification=1000000
"""


def install_plugin(profile: Path, interpreter: Path) -> None:
    """Install the zip into a QGIS profile, the way the plugin manager does."""
    archive = profile.parent / "plugin.zip"
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        from build_plugin import build_zip
    finally:
        sys.path.pop(0)
    build_zip(archive, wheel=None)
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(profile / "python" / "plugins")
    (profile / "QGIS").mkdir()
    (profile / "QGIS" / "QGIS3.ini").write_text(SETTINGS.format(interpreter=interpreter))


def plain_environment() -> dict[str, str]:
    """The environment, less what pytest-qgis put in for this process, and with the system's Python first.

    QGIS looks for its Python's library beside the first `python3` on the path, which may be another one.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("QGIS_")}
    return kept | {"PATH": f"/usr/bin{os.pathsep}{kept.get('PATH', '')}"}


class Desktop:
    """QGIS from outside: what its window shows, and a mouse."""

    def __init__(self, folder: Path, environment: dict[str, str], process: subprocess.Popen[bytes]) -> None:
        self.folder = folder
        self.environment = environment
        self.process = process

    @property
    def state(self) -> dict[str, Any]:
        path = self.folder / "state.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def wait(self, is_so: Callable[[dict[str, Any]], object], seconds: float = 120) -> dict[str, Any]:
        end = time.monotonic() + seconds
        while not (state := self.state) or not is_so(state):
            assert self.process.poll() is None, (self.folder / "qgis.log").read_text()
            assert time.monotonic() < end, state
            time.sleep(0.05)
        return state

    def click(self, place: list[int]) -> None:
        words = ["xdotool", "mousemove", *map(str, place), "click", "1"]
        subprocess.run(words, env=self.environment, check=True)

    def picture(self, name: str) -> Path:
        time.sleep(0.5)  # what has been decided is drawn by then
        path = self.folder / f"{name}.jpg"
        words = ["import", "-window", "root", "-resize", "1120x", "-strip", "-quality", "78", str(path)]
        subprocess.run(words, env=self.environment, check=True)
        target = os.environ.get("WEFT_GEO_SCREENSHOTS")
        if target:
            Path(target).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
        return path

    def forget_longest(self) -> None:
        (self.folder / "forget").touch()
        while (self.folder / "forget").exists():
            time.sleep(0.05)

    def close(self) -> int:
        (self.folder / "stop").touch()
        return self.process.wait(60)


@pytest.fixture
def screen() -> Iterator[str]:
    """The name of a virtual screen."""
    reader, writer = os.pipe()
    words = ["Xvfb", "-displayfd", str(writer), "-screen", "0", "1400x900x24", "-nolisten", "tcp"]
    process = subprocess.Popen(words, pass_fds=[writer], stderr=subprocess.DEVNULL)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        number = pipe.readline().strip()
    yield f":{number}"
    process.terminate()
    process.wait()


@pytest.fixture
def scene(weft_geo, cli, real_scene, sample, tmp_path) -> Path:
    """A real scene; where there is none a synthetic one that is as large."""
    if sample not in real_scene.parents:
        return real_scene
    cli([*weft_geo, "sample", "-o", tmp_path / "large", "--size", 1024])
    return tmp_path / "large" / "scene.tif"


@pytest.fixture
def desktop(screen, interpreter, scene, tmp_path) -> Iterator[Desktop]:
    folder, profiles = tmp_path / "desktop", tmp_path / "profiles äö"
    folder.mkdir()
    (profiles / "profiles" / "default").mkdir(parents=True)
    install_plugin(profiles / "profiles" / "default", interpreter)
    environment = plain_environment() | {
        "DISPLAY": screen,
        "QT_QPA_PLATFORM": "xcb",
        "WEFT_GEO_TEST_FOLDER": str(folder),
        "WEFT_GEO_TEST_SCENE": str(scene),
    }
    driver = str(Path(__file__).with_name("desktop_driver.py"))
    words = ["qgis", "--profiles-path", str(profiles), "--nologo", "--noversioncheck", "--code", driver]
    with (folder / "qgis.log").open("wb") as log:
        process = subprocess.Popen(words, env=environment, stdout=log, stderr=log)
        made = Desktop(folder, environment, process)
        yield made
        if process.poll() is None:
            process.kill()
            process.wait()


def children_of(pid: int) -> set[int]:
    """Living processes that a process started, and those that they started."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state != "Z":
            parents[int(path.parent.name)] = int(parent)
    found, near = set(), {pid}
    while near:
        near = {child for child, parent in parents.items() if parent in near} - found
        found |= near
    return found


def test_a_click_on_the_button_and_one_on_run_bring_the_objects_of_the_command_line(
    desktop, scene, weft_geo, cli, tmp_path
):
    state = desktop.wait(lambda state: state["button"] and not state["drawing"])
    assert len(state["button"]) == 1
    desktop.click(state["button"][0])
    state = desktop.wait(lambda state: state.get("run"))
    time.sleep(4)  # the panel has asked weft-geo for its models, and the map is drawn
    desktop.picture("1-panel")

    desktop.forget_longest()
    desktop.click(state["run"])
    desktop.wait(lambda state: (state["percent"] or 0) > 0)
    desktop.picture("2-running")
    state = desktop.wait(lambda state: state["layers"] and not state["drawing"])
    desktop.picture("3-result")
    print(f"longest time that the window did not answer: {1000 * state['longest_s']:.0f} ms")
    assert state["longest_s"] < 2

    cli([*weft_geo, "predict", scene, "-o", tmp_path / "cli.gpkg"])
    expected = QgsVectorLayer(str(tmp_path / "cli.gpkg"))
    ((name, crs, count, source),) = state["layers"]
    assert (name, count) == ("Objects of scene", expected.featureCount())
    assert crs == expected.crs().authid() == QgsRasterLayer(str(scene)).crs().authid()
    found = QgsVectorLayer(source.partition("|")[0])
    assert [shape(feature) for feature in found.getFeatures()] == [shape(feature) for feature in expected.getFeatures()]
    assert state["state"].startswith(f"{count} objects in ")
    print(f"{count} objects in {crs}, equal to those of the command line, on {scene.name}")

    before = children_of(state["pid"])
    desktop.click(state["run"])
    state = desktop.wait(lambda state: (state["percent"] or 0) > 0)
    started = children_of(state["pid"]) - before
    assert started
    desktop.click(state["cancel"])
    state = desktop.wait(lambda state: state["state"].startswith("Cancelled"))
    assert not started & children_of(state["pid"])
    assert len(state["layers"]) == 1
    folder = Path(source.partition("|")[0]).parent.parent
    left = [path.name for kind in ("*.part", "*.journal") for path in folder.rglob(kind)]
    assert left == []
    desktop.picture("4-cancelled")

    (desktop.folder / "options").touch()
    state = desktop.wait(lambda state: state["page"])
    assert "set in Settings" in state["page"]
    (desktop.folder / "close").touch()
    desktop.wait(lambda state: not state["page"])
    assert desktop.close() == 0


def shape(feature: Any) -> str:
    return feature.geometry().asWkt(3)
