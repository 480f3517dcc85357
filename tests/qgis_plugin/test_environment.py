from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from weft_geo_qgis.environment import HIDDEN_VARIABLES, clean_environment, find_interpreter, python_of
from weft_geo_qgis.errors import InterpreterError


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_what_belongs_to_qgis_stays_with_qgis():
    given = dict.fromkeys([*HIDDEN_VARIABLES, "DYLD_LIBRARY_PATH", "DYLD_INSERT_LIBRARIES", "HOME", "PATH"], "x")
    before = dict(os.environ)
    kept = clean_environment(given)
    assert kept == {"HOME": "x", "PATH": "x", "PYTHONUTF8": "1", "PYTHONSAFEPATH": "1"}
    assert len(given) == len(HIDDEN_VARIABLES) + 4, "what was given is not changed"
    assert dict(os.environ) == before


def test_every_variable_of_the_list_is_hidden():
    wanted = (
        "PYTHONHOME PYTHONPATH PYTHONEXECUTABLE PROJ_LIB PROJ_DATA GDAL_DATA GDAL_DRIVER_PATH GDAL_PLUGIN_PATH "
        "LD_LIBRARY_PATH QT_PLUGIN_PATH __PYVENV_LAUNCHER__"
    )
    assert set(wanted.split()) == HIDDEN_VARIABLES


def test_the_one_that_the_user_set_comes_first(tmp_path):
    chosen = program(tmp_path / "ein Pfad mit Ä" / "python3")
    program(tmp_path / "bin" / "weft-geo")
    (tmp_path / "made").mkdir()
    found = find_interpreter(str(chosen), tmp_path / "made", str(tmp_path / "bin"))
    assert found.command == (str(chosen), "-m", "weft_geo_cli.main")
    assert "Options" in found.origin


def test_a_folder_stands_for_its_python_and_a_script_for_itself(tmp_path):
    python = program(python_of(tmp_path / "venv"))
    script = program(tmp_path / "weft-geo")
    assert find_interpreter(str(tmp_path / "venv"), tmp_path / "none").command[0] == str(python)
    assert find_interpreter(str(script), tmp_path / "none").command == (str(script),)


def test_the_one_that_was_made_comes_before_the_one_on_path(tmp_path):
    program(tmp_path / "bin" / "weft-geo")
    (tmp_path / "made").mkdir()
    assert find_interpreter("", tmp_path / "made", str(tmp_path / "bin")).origin == "made by the plugin"
    on_path = find_interpreter("", tmp_path / "none", str(tmp_path / "bin"))
    assert on_path.command == (str(tmp_path / "bin" / "weft-geo"),)


def test_none_at_all_says_what_to_press(tmp_path):
    with pytest.raises(InterpreterError, match="not installed yet: open Settings ▸ Options ▸ weft-geo and press Inst"):
        find_interpreter("", tmp_path / "none", str(tmp_path))


def test_one_that_was_set_and_has_gone_is_not_replaced_silently(tmp_path):
    program(tmp_path / "bin" / "weft-geo")
    with pytest.raises(InterpreterError, match=r"gone/python does not exist: choose another one"):
        find_interpreter(str(tmp_path / "gone" / "python"), tmp_path / "none", str(tmp_path / "bin"))


@pytest.mark.skipif(sys.platform == "win32", reason="the place of the program differs")
def test_where_the_python_of_an_environment_is():
    assert python_of(Path("venv")) == Path("venv/bin/python")
