"""Making the environment: the commands, the installers' own reasons, and a real one."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from pathlib import Path

import pytest

from weft_geo_qgis.child import run_child
from weft_geo_qgis.environment import MODULE, python_of
from weft_geo_qgis.errors import InterpreterError, RunCancelled
from weft_geo_qgis.install import find_python, make_environment, plan_installation, search_folders

ROOT = Path(__file__).resolve().parents[2]
HOME = Path("/home/Jörg Ägir/venv")


def never() -> bool:
    return False


def test_uv_where_there_is_one():
    assert plan_installation(HOME, "weft-geo~=0.1.0", True, "/bin/uv", None) == [
        ["/bin/uv", "venv", "--python", ">=3.11", str(HOME)],
        ["/bin/uv", "pip", "install", "--python", str(python_of(HOME)), "weft-geo[train]~=0.1.0"],
    ]


def test_venv_and_pip_else():
    assert plan_installation(HOME, "/a b/weft_geo-0.1.0.whl", True, None, "/bin/python3") == [
        ["/bin/python3", "-m", "venv", str(HOME)],
        [
            str(python_of(HOME)), "-m", "pip", "install", "--no-input", "--disable-pip-version-check",
            "/a b/weft_geo-0.1.0.whl[train]",
        ],
    ]  # fmt: skip
    assert plan_installation(HOME, "weft-geo", False, None, "python3")[1][-1] == "weft-geo"


def test_no_python_at_all():
    with pytest.raises(InterpreterError, match=r"No Python of at least 3\.11 that can .* was found: .*python3-venv"):
        plan_installation(HOME, "weft-geo", False, None, None)


def test_a_python_that_is_too_old_is_passed_over(tmp_path, monkeypatch):
    old = tmp_path / "python3.12"
    old.write_text("#!/bin/sh\necho 3 9\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    found = find_python(["python3.12", "python3"])
    assert found
    assert found != str(old)
    assert find_python(["python3.12"]) is None


def test_where_a_desktop_knows_no_path_the_places_of_installers_are_searched(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path / "bare"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    for version in ("312", "314"):
        (tmp_path / "local" / "Programs" / "Python" / f"Python{version}").mkdir(parents=True)
    monkeypatch.setattr(sys, "platform", "win32")
    folders = search_folders()
    monkeypatch.undo()
    assert [Path(folder).name for folder in folders[:5]] == ["bare", "bin", "bin", "Python314", "Python312"]
    assert folders[-1] == sys.base_prefix
    (tmp_path / "home" / ".local" / "bin").mkdir(parents=True)
    (tmp_path / "home" / ".local" / "bin" / "python3.12").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", str(tmp_path / "bare"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert find_python(["python3.12"]) == str(tmp_path / "home" / ".local" / "bin" / "python3.12")


def test_an_environment_that_is_in_use_is_told(tmp_path, monkeypatch):
    (tmp_path / "venv").mkdir()

    def refuse(self: Path, target: Path) -> None:
        raise PermissionError(13, "Access is denied")

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(InterpreterError, match=r"venv cannot be replaced \(Access is denied\): let the runs end"):
        make_environment(tmp_path / "venv", "weft-geo", False, lambda text: None, never)


def test_a_python_that_can_make_no_environments_is_passed_over(tmp_path, monkeypatch):
    """Debian's is one as long as python3-venv is missing."""
    bare = tmp_path / "python3.12"
    bare.write_text(f"#!/bin/sh\nexec '{sys.executable}' -c \"import sys; sys.modules['ensurepip'] = None; $3\"\n")
    bare.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert find_python(["python3.12"]) is None


def test_the_installers_own_reason_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", os.defpath)  # no uv
    said: list[str] = []
    folder = tmp_path / "leer und ä"
    with pytest.raises(InterpreterError) as caught:
        make_environment(folder, str(tmp_path / "none" / "weft_geo.whl"), False, said.append, never)
    assert re.fullmatch(
        r"weft-geo could not be installed: (ERROR|WARNING): .*; mend that and press Install again\.", str(caught.value)
    )
    assert "weft_geo" in str(caught.value)
    assert "weft_geo.whl" in "".join(said), "all that pip says is shown"
    assert not folder.exists(), "no half of an environment stays"


def test_cancel_leaves_no_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", os.defpath)
    with pytest.raises(RunCancelled, match="nothing was installed"):
        make_environment(tmp_path / "venv", "weft-geo", False, lambda text: None, lambda: True)
    assert list(tmp_path.iterdir()) == []


def test_cancel_leaves_the_environment_that_was_there(tmp_path, monkeypatch):
    """Whoever thinks better of several GB for training can still find objects."""
    monkeypatch.setenv("PATH", os.defpath)
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv" / "mine").touch()
    with pytest.raises(RunCancelled):
        make_environment(tmp_path / "venv", "weft-geo", True, lambda text: None, lambda: True)
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["venv", "venv/mine"]


def test_a_real_environment_in_a_folder_with_spaces_and_umlauts(tmp_path, monkeypatch):
    """The light installation from this checkout, and weft-geo started from it."""
    if importlib.util.find_spec("qgis") is None:
        pytest.skip("is run with the QGIS tests, once")
    monkeypatch.setenv("PATH", os.defpath)
    said: list[str] = []
    folder = tmp_path / "Jörgs Öl 中" / "venv"
    make_environment(folder, str(ROOT), False, said.append, never)
    command = [str(python_of(folder)), *MODULE]
    assert run_child([*command, "--version"], said.append, never).stdout.startswith("weft-geo ")
    doctor = run_child([*command, "doctor"], said.append, never)
    assert doctor.code == 0, doctor.stdout
    assert "torch" in doctor.stdout, "what is missing is said"
    assert not list(folder.rglob("torch"))
