import os
import signal
import sys
from pathlib import Path

import pytest

from weft_geo.errors import OutputBusyError
from weft_geo.geo.lock import FolderLock

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no locks on folders")


def test_a_folder_has_one_lock(tmp_path: Path) -> None:
    with FolderLock(tmp_path) as one, FolderLock(tmp_path) as other:
        one.take()
        one.take()
        with pytest.raises(OutputBusyError, match="another run is at work in"):
            other.take()
    with FolderLock(tmp_path) as third:
        third.take()
    assert list(tmp_path.iterdir()) == []


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
