"""Files that are whole or not there."""

from __future__ import annotations

import errno
import os
import sys
import threading
from pathlib import Path

import pytest

from weft_geo.errors import InputError, OutputExistsError
from weft_geo.geo.whole_files import check_output, move_into_place, written_whole


def test_checks_an_output_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "there.tif").touch()
    with pytest.raises(OutputExistsError, match=r"overwrite it \(--overwrite\) or give another name"):
        check_output(tmp_path / "there.tif", overwrite=False)
    check_output(tmp_path / "there.tif", overwrite=True)
    with pytest.raises(InputError, match=r"folder .*nowhere does not exist"):
        check_output(tmp_path / "nowhere" / "x.tif", overwrite=False)
    with pytest.raises(InputError, match=r"must end in \.tif"):
        check_output(tmp_path / "x.png", overwrite=False, suffixes=(".tif",))
    with pytest.raises(InputError, match="is a folder"):
        check_output(tmp_path, overwrite=True)


def test_an_error_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")

    def fail() -> None:
        with written_whole(path) as beside:
            beside.write_text("ne")
            raise ValueError("half")

    with pytest.raises(ValueError, match="half"):
        fail()
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["a.json"]
    with written_whole(path) as beside:
        beside.write_text("new")
    assert path.read_text() == "new"


def test_a_disk_that_is_full_is_told_and_a_file_system_without_sync_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(number: int) -> None:
        raise OSError(number, os.strerror(number))

    made, place = tmp_path / "made", tmp_path / "place"
    made.write_text("whole")
    monkeypatch.setattr(os, "fsync", lambda fd: fail(errno.ENOSPC))
    with pytest.raises(OSError, match="No space"):
        move_into_place(made, place)
    assert not place.exists()
    monkeypatch.setattr(os, "fsync", lambda fd: fail(errno.EINVAL))
    move_into_place(made, place)
    assert place.read_text() == "whole"


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc to tell which file a descriptor is of")
def test_the_contents_reach_the_disk_before_the_name_and_the_name_before_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, place = tmp_path / "made", tmp_path / "place"
    made.write_text("whole")
    synced = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append((Path(f"/proc/self/fd/{fd}").readlink(), place.exists())))
    move_into_place(made, place)
    assert synced == [(made, False), (tmp_path, True)]


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right there")
def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    link, real = tmp_path / "link.json", tmp_path / "far" / "real.json"
    link.symlink_to(real)
    with written_whole(link) as beside:
        assert beside.parent == real.parent
        beside.write_text("new")
    assert link.is_symlink()
    assert real.read_text() == "new"


def test_an_error_of_an_open_file_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "full.json"
    with pytest.raises(OSError, match=r"No space left on device: '.*full\.json'"), written_whole(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.skipif(sys.platform != "win32", reason="elsewhere a file that is open can be replaced")
def test_a_file_that_another_program_has_open_is_refused_before_any_work(tmp_path: Path) -> None:
    path = tmp_path / "objects.gpkg"
    path.write_text("old")
    with path.open(), pytest.raises(InputError, match="another program, QGIS perhaps, has it open; close it there"):
        check_output(path, overwrite=True)
    check_output(path, overwrite=True)


@pytest.mark.skipif(sys.platform != "win32", reason="elsewhere a file that is open can be replaced")
def test_a_file_that_is_open_for_a_moment_is_waited_for(tmp_path: Path) -> None:
    made, place = tmp_path / "made", tmp_path / "place"
    made.write_text("new")
    place.write_text("old")
    held = place.open()
    threading.Timer(0.5, held.close).start()
    move_into_place(made, place)
    assert place.read_text() == "new"
