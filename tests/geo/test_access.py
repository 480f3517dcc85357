"""Files and folders that an ordinary user may not use; root, who may use all, becomes one for as long as it takes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from weft_geo.errors import InputError, RasterError
from weft_geo.geo.access import is_file, is_folder, is_local, is_there, require_writable, what_hinders, why_closed
from weft_geo.geo.lock import FolderLock, lock_outputs
from weft_geo.geo.not_opened import not_opened
from weft_geo.geo.raster import open_raster
from weft_geo.geo.run_files import find_model
from weft_geo.geo.whole_files import check_output, is_one_of, place_of

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="its folders have other rights")


@pytest.fixture
def closed(ordinary_folder: Path) -> Callable[[int], Path]:
    """A folder with a file in it, and with these rights."""

    def make(rights: int) -> Path:
        inner = ordinary_folder / "closed"
        inner.mkdir()
        (inner / "scene.tif").touch()
        inner.chmod(rights)
        return inner

    return make


@pytest.mark.parametrize("rights", [0o000, 0o444])
def test_what_may_not_be_looked_at_is_neither_there_nor_missing(closed: Callable[[int], Path], rights: int) -> None:
    inner = closed(rights)
    scene = inner / "scene.tif"
    assert not any(look(scene) for look in (is_there, is_file, is_folder))
    assert is_folder(inner)
    assert why_closed(scene) == why_closed(inner) == "Permission denied"
    assert str(what_hinders(scene)).startswith("cannot be read: Permission denied; see to it")
    assert place_of(scene) == scene
    assert find_model(inner, "scene.tif") is None
    assert not is_one_of(scene, [scene])


def test_what_is_there_what_is_not_and_what_is_no_name(ordinary_folder: Path) -> None:
    folder = ordinary_folder
    (folder / "there").touch()
    assert what_hinders(folder / "there") is None
    assert what_hinders(folder) is None
    for name in ("missing", "there/below", "no\0name"):
        assert what_hinders(folder / name) == "does not exist"
    assert "File name too long" in str(what_hinders(folder / ("x" * 300)))
    os.mkfifo(folder / "pipe")
    assert why_closed(folder / "pipe") is None
    assert "is a device or a pipe" in str(what_hinders(folder / "pipe"))
    with pytest.raises(RasterError, match="pipe is a device or a pipe, and a raster must be a file"):
        open_raster(folder / "pipe").__enter__()


def test_a_name_is_local_or_something_that_gdal_opens(ordinary_folder: Path) -> None:
    names = ("/vsizip/a.zip/b.tif", "https://host/a.tif", "zip+s3://host/a.zip!b.tif", 'NETCDF:"a.nc":band', "PG:db=a")
    assert not any(map(is_local, names))
    assert all(map(is_local, ("a.tif", "no/vsi/a.tif", "C:\\a.tif", ordinary_folder)))
    (ordinary_folder / "of 10:30.tif").touch()
    assert is_local(ordinary_folder / "of 10:30.tif")


def test_a_file_that_may_not_be_read(ordinary_folder: Path) -> None:
    folder = ordinary_folder
    scene = folder / "scene.tif"
    scene.touch(0o000)
    (folder / "link.tif").symlink_to(scene)
    (folder / "stray.tif").symlink_to(folder / "gone.tif")
    for path in (scene, folder / "link.tif"):
        error = not_opened(path, RasterError("GDAL's own"))
        assert (
            str(error)
            == f"{path} cannot be opened: Permission denied; see to it that you may read it, or give another one"
        )
    said = str(not_opened(folder / "stray.tif", RasterError("GDAL's own")))
    assert said == f"{folder / 'stray.tif'} is a link to {folder / 'gone.tif'}, which does not exist"


@pytest.mark.parametrize("rights", [0o000, 0o333, 0o444, 0o555])
def test_an_output_is_refused_before_any_work_where_it_cannot_be_made(
    closed: Callable[[int], Path], rights: int
) -> None:
    inner = closed(rights)
    for check in (
        lambda: check_output(inner / "objects.gpkg", overwrite=False),
        lambda: require_writable(inner),
        lambda: require_writable(inner / "still" / "to be made"),
    ):
        with pytest.raises(InputError, match=r"closed cannot be written to: Permission denied; choose another one"):
            check()


def test_a_folder_that_could_not_be_made(ordinary_folder: Path) -> None:
    folder = ordinary_folder
    (folder / "file").touch()
    (folder / "link").symlink_to(folder / "gone")
    require_writable(folder / "new" / "newer")
    with pytest.raises(InputError, match=r"file is no folder, so nothing can be written to .*new; choose"):
        require_writable(folder / "file" / "new")
    with pytest.raises(InputError, match=r"link is a link to .*gone, which does not exist; choose"):
        require_writable(folder / "link")


def test_another_users_file_in_a_folder_where_only_owners_replace(
    ordinary_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = ordinary_folder
    output = folder / "objects.gpkg"
    output.touch()
    check_output(output, overwrite=True)
    folder.chmod(0o1777)
    check_output(output, overwrite=True)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(InputError, match=r"objects\.gpkg is another user's, who alone may replace it"):
        check_output(output, overwrite=True)


def test_a_lock_that_another_user_has_left_is_taken_over_and_one_that_cannot_be_opened_is_named(
    ordinary_folder: Path,
) -> None:
    folder = ordinary_folder
    lock = folder / ".objects.gpkg.lock"
    lock.touch(0o444)
    with lock_outputs([folder / "objects.gpkg"]):
        pass
    assert not lock.exists()
    lock.touch(0o000)
    said = r"locked by \.objects\.gpkg\.lock, which cannot be opened: Permission denied; if no run is"
    with pytest.raises(InputError, match=said), lock_outputs([folder / "objects.gpkg"]):
        pass


def test_a_folder_that_may_not_be_looked_into_holds_no_run(closed: Callable[[int], Path]) -> None:
    with pytest.raises(InputError, match="closed cannot be looked into: Permission denied; choose"):
        FolderLock(closed(0o000)).take()


def test_a_folder_that_may_be_entered_alone_is_one(closed: Callable[[int], Path]) -> None:
    inner = closed(0o111)
    assert is_file(inner / "scene.tif")
    assert what_hinders(inner / "scene.tif") is None
