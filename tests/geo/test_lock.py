import errno
import os
import signal
import sys
from pathlib import Path

import pytest

from weft_geo.errors import OutputBusyError, RunError
from weft_geo.geo.lock import FolderLock, lock_outputs

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows locks otherwise")


def test_a_folder_has_one_lock(tmp_path: Path) -> None:
    with FolderLock(tmp_path) as one, FolderLock(tmp_path) as other:
        one.take()
        one.take()
        with pytest.raises(OutputBusyError, match="another run is"):
            other.take()
    with FolderLock(tmp_path) as third:
        third.take()
    assert list(tmp_path.iterdir()) == []


@posix
def test_where_folders_have_no_locks_the_current_one_has_one_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows, by a file beside it: a dot has no name to call that by."""
    import fcntl

    monkeypatch.setattr("weft_geo.geo.lock._take", lambda file: fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB))
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path / "run")
    monkeypatch.setattr(sys, "platform", "win32")
    with FolderLock(Path()) as one, FolderLock(tmp_path / "run") as other:
        one.take()
        assert [path.name for path in tmp_path.glob(".*")] == [".run.lock"]
        with pytest.raises(OutputBusyError, match=r"another run is writing .*run now"):
            other.take()
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_it_goes_over_to_a_new_folder_of_that_name(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with FolderLock(folder) as lock, FolderLock(folder) as other:
        lock.take()  # there is none yet
        folder.mkdir()
        lock.take()
        folder.rename(tmp_path / "old")
        folder.mkdir()
        lock.take()
        with pytest.raises(OutputBusyError):
            other.take()


@posix
def test_a_process_that_is_forked_does_not_keep_it(tmp_path: Path) -> None:
    """As readers do that outlive a killed training for some seconds."""
    hear, tell = os.pipe()
    with FolderLock(tmp_path) as lock:
        lock.take()
        child = os.fork()
        if child == 0:
            os.write(tell, b".")
            signal.pause()
        assert os.read(hear, 1) == b"."  # it is at work
    try:
        with FolderLock(tmp_path) as other:
            other.take()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(hear)
        os.close(tell)


@posix
def test_a_lock_removed_between_two_looks_at_it_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its last holder may remove it whenever another run looks."""
    beside, exists = tmp_path / ".out.gpkg.lock", Path.exists

    def exists_just_now(path: Path) -> bool:
        found = exists(path)
        if path == beside:
            path.unlink(missing_ok=True)
            monkeypatch.undo()
        return found

    monkeypatch.setattr(Path, "exists", exists_just_now)
    with lock_outputs([tmp_path / "out.gpkg"]):
        assert beside.exists()
    assert list(tmp_path.iterdir()) == []


@posix
def test_a_disk_without_locks_is_no_other_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*_: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(RunError, match="cannot be locked: No locks available"), lock_outputs([tmp_path / "out.gpkg"]):
        pass
