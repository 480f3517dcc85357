"""One run an output, and one run a folder: a second one that would write there too is refused."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from weft_geo.errors import InputError, OutputBusyError, RunError
from weft_geo.geo.access import is_folder, is_there, why_closed
from weft_geo.geo.whole_files import NOT_ALLOWED, part_of

_inherited: set[int] = set()
"""Open folders whose locks are held; a process that is forked closes its own, else it would keep the lock alive."""


@contextmanager
def lock_outputs(paths: Sequence[Path]) -> Iterator[None]:
    """Holds a lock beside each output while the block runs.

    The operating system lets go of it when the process ends, however it ends; what a killed run leaves is an empty
    hidden file, which the next run takes over and removes.

    Raises:
        OutputBusyError: If another run holds one.
        InputError: If the folder may not be written to.
        RunError: If no lock can be made there for another reason.
    """
    with ExitStack() as held:
        for path in paths:
            held.enter_context(_lock(path))
        yield


class FolderLock:
    """A lock on a folder, which leaves no file in it. Take it inside a ``with`` block, which lets go of it.

    Windows has none, so there a file beside the folder is locked. Some network folders have none either, and where no
    file can be made nobody is kept out.

    Args:
        folder: The folder; it need not be there yet.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file: int | None = None
        self._beside = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    def take(self) -> None:
        """Takes it, if the folder is there; once more, if it is another one by now.

        Raises:
            OutputBusyError: If another run holds it.
            InputError: If the folder may not be looked into.
        """
        if reason := why_closed(self.folder):
            raise InputError(f"the folder {self.folder} cannot be looked into: {reason}; choose another one")
        if not is_folder(self.folder):
            return
        if sys.platform == "win32":
            self._release()
            try:
                self._beside.enter_context(_lock(self.folder.absolute()))  # "." has no name
            except OutputBusyError:
                raise
            except (InputError, RunError):
                pass
            return
        if self._file is not None and os.path.samestat(os.fstat(self._file), self.folder.stat()):
            return
        self._release()
        file = os.open(self.folder, os.O_RDONLY)
        try:
            _take(file)
        except BlockingIOError as error:
            os.close(file)
            said = f"another run is at work in {self.folder} now; wait for it to end, or give another folder"
            raise OutputBusyError(said) from error
        except OSError:
            os.close(file)
        else:
            self._file = file
            _inherited.add(file)

    def _release(self) -> None:
        self._beside.close()
        if self._file is not None:
            _inherited.discard(self._file)
            os.close(self._file)
            self._file = None


def clear_left(path: Path) -> None:
    """Removes what a killed run has left beside an output that the next one does not make again: its lock, its part."""
    if is_there(_beside(path)):
        with suppress(OutputBusyError, InputError, RunError), _lock(path):
            shutil.rmtree(part_of(path), ignore_errors=True)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    beside = _beside(path)
    busy = OutputBusyError(f"another run is writing {path} now; wait for it to end, or give another output")
    while True:
        try:
            file = _open(beside)
        except OSError as error:
            if error.errno in NOT_ALLOWED:
                if is_there(beside):
                    said = f"{path} is locked by {beside.name}, which cannot be opened: {error.strerror}; if no run is "
                    raise InputError(f"{said}writing there, remove that file, else give another output") from error
                said = f"the folder of {path} cannot be written to: {error.strerror}; choose another one"
                raise InputError(said) from error
            raise RunError(f"{path} cannot be written: {error.strerror}") from error
        try:
            _take(file)
        except BlockingIOError as error:
            os.close(file)
            raise busy from error
        except OSError as error:  # some network folders have no locks
            os.close(file)
            _remove(beside)
            raise RunError(f"{path} cannot be locked: {error.strerror}; choose another folder") from error
        # Whoever had it may have removed it between our two calls; then what we hold is a file without a name.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file), beside.stat()):
                break
        os.close(file)
    try:
        yield
    finally:
        if sys.platform == "win32":
            os.close(file)
            _remove(beside)
        else:
            _remove(beside)
            os.close(file)


def _open(beside: Path) -> int:
    """A number of the open file, which is made if need be; one that another user has made can only be read."""
    try:
        return os.open(beside, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        if error.errno not in NOT_ALLOWED or not is_there(beside):
            raise
        return os.open(beside, os.O_RDONLY)


def _remove(beside: Path) -> None:
    """Removes it if the disk lets us: left there, it is what a killed run leaves, and no failure of this one."""
    with suppress(OSError):
        beside.unlink()


def _take(file: int) -> None:
    """Takes the lock on an open file, or raises at once: BlockingIOError if another has it, else OSError."""
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except OSError as error:  # one for all reasons
            raise BlockingIOError(*error.args) from error
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _close_inherited() -> None:
    while _inherited:
        os.close(_inherited.pop())


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_close_inherited)
