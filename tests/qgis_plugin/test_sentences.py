from __future__ import annotations

import errno
from pathlib import Path

import pytest

from weft_geo_qgis.child import Outcome
from weft_geo_qgis.environment import Interpreter
from weft_geo_qgis.sentences import broken, failed, not_started, skewed

OUTPUT = Path("/data/objects.gpkg")
INTERPRETER = Interpreter(("/venv/bin/python", "-m", "weft_geo_cli.main"), "made by the plugin")


def say(code=1, reason="", lines=(), skew=""):
    return failed(Outcome(code, "", False), reason, list(lines), OUTPUT, skew)


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        (
            "[Errno 28] Error writing bytes to file. Detail: [errno 28] No space left on device",
            "The disk that holds /data is full: make room there, or write to another folder.",
        ),
        (
            "cannot write beside /data/objects.gpkg: Read-only file system; choose another folder",
            "/data cannot be written to: choose another folder for objects.gpkg.",
        ),
        (
            "/data/objects.gpkg cannot be written: Permission denied",
            "/data cannot be written to: choose another folder for objects.gpkg.",
        ),
        (
            "scene.tif has 1 band and the model needs 3; choose bands with --bands",
            "scene.tif has 1 band and the model needs 3; choose bands with Bands.",
        ),
    ],
)
def test_reasons(reason, sentence):
    assert say(reason=reason) == sentence


def test_a_child_that_was_killed_and_one_that_crashed():
    assert "SIGKILL; most often the memory was used up: take a smaller area" in say(code=-9)
    assert "SIGSEGV; that is a fault of a library" in say(code=-11)
    assert "SIGTERM; run it again" in say(code=-15)


def test_a_child_that_says_nothing_we_know():
    assert say(lines=["Traceback", "ValueError: odd", ""]) == (
        "weft-geo ended with code 1: ValueError: odd; the log holds the rest."
    )


def test_skew_is_said_where_it_may_be_the_reason():
    skew = skewed("0.2.1", "0.1.9")
    assert skew.startswith("The plugin is version 0.2.1 and weft-geo is 0.1.9")
    assert "update weft-geo (Settings" in skew
    assert "update the plugin (Plugins" in skewed("0.2.1", "0.10.0")
    assert skewed("0.2.1", "0.2.9.dev3") == ""
    assert say(code=2, reason="no such option: --tta", skew=skew) == f"No such option: --tta. {skew}"


def test_starting():
    missing = not_started(INTERPRETER, OSError(errno.ENOENT, "No such file or directory"))
    assert str(missing).startswith("/venv/bin/python (made by the plugin) does not exist: press Install in Settings")
    assert "may not be started" in str(not_started(INTERPRETER, OSError(errno.EACCES, "Permission denied")))
    assert "(Exec format error)" in str(not_started(INTERPRETER, OSError(errno.ENOEXEC, "Exec format error")))
    assert "cannot run weft-geo: No module named weft_geo_cli; press Install" in str(
        broken(INTERPRETER, ["Traceback", "No module named weft_geo_cli", ""])
    )
