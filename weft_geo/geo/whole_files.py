"""Files that are whole or not there, at whichever moment the process is killed or the power fails."""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from weft_geo.errors import InputError, OutputExistsError
from weft_geo.geo.access import is_folder, is_link, is_there, require_replaceable, require_writable, why_closed

UNKNOWN_REQUEST = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)
"""What file systems say that cannot be asked to write a file through, some network folders among them."""

WINDOWS_TRIES = 50
"""How often, ten times a second, a file is put in place on Windows: nobody can replace one that a program has open, and
scanners and indexers open many for a moment."""

NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)
"""What they say where nobody, or not this user, may write."""


def place_of(path: str | os.PathLike[str]) -> Path:
    """Where an output will lie: where its path is a symbolic link, in the place of the file that this leads to."""
    place = Path(path)
    return Path(os.path.realpath(place)) if is_link(place) else place


def check_output(path: Path, *, overwrite: bool, suffixes: tuple[str, ...] | None = None) -> None:
    """Finds out before any work whether an output may be written.

    Raises:
        OutputExistsError: If it is there and may not be overwritten.
        InputError: If its name has a line break or a tab in it, which libraries would leave out without a word; if its
            suffix is not one of ``suffixes``, its folder is missing or may not be written to, a folder is in its place,
            or it is a file that only another user may replace, or on Windows one that another program has open.
    """
    if any(ord(letter) < ord(" ") for letter in str(path)):
        raise InputError(f"{str(path)!r} has a line break or a tab in it; give another name")
    if suffixes and path.suffix.lower() not in suffixes:
        raise InputError(f"{path} must end in {' or '.join(suffixes)}")
    if not is_folder(path.parent) and not why_closed(path.parent):
        raise InputError(f"the folder {path.parent} does not exist, so {path.name} cannot be written there")
    require_writable(path.parent)
    if is_folder(path):
        raise InputError(f"{path} is a folder; give a file")
    if is_there(path):
        if not overwrite:
            raise OutputExistsError(f"{path} is already there; overwrite it (--overwrite) or give another name")
        require_replaceable(path)


def is_one_of(path: Path, files: Iterable[str | Path]) -> bool:
    """Whether a file that is there is one of some others, whatever their names; those that are not there are none."""
    return is_there(path) and any(is_there(file) and path.samefile(file) for file in files)


def part_of(path: Path) -> Path:
    """The file or folder beside an output in which it is made.

    Of a fixed name, so that the next run finds what a killed one has left. Where several runs may write the output, it
    is of the one that holds the output's lock.
    """
    return path.with_name(f".{path.name}.part")


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A path beside the file, to write to; it takes the file's place at once when the block ends without an error.

    Raises:
        OSError: The disk did not take it. The error names the file, also where only a number of an open file failed.
    """
    path = place_of(path)
    beside = part_of(path)
    try:
        yield beside
        move_into_place(beside, path)
    except BaseException as error:
        beside.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno and error.filename is None:
            error.filename = str(path)
        raise


def move_into_place(made: Path, place: Path) -> None:
    """Renames a finished file, over an older one if there is one, when all of it has reached the disk.

    Without that a file system may note the new name before the contents, and a power cut between the two leaves an
    empty file.

    Args:
        made: The file, in the same file system as ``place``.
        place: Where it belongs.

    Raises:
        OSError: The disk did not take it.
    """
    bring_to_disk(made)
    _rename(made, place)
    with suppress(OSError):  # a folder that cannot be opened, as on Windows, or not be synced: the file itself is whole
        folder = os.open(place.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _rename(made: Path, place: Path) -> None:
    for _ in range(WINDOWS_TRIES - 1 if sys.platform == "win32" else 0):
        with suppress(PermissionError):
            made.replace(place)
            return
        time.sleep(0.1)
    made.replace(place)


def bring_to_disk(made: Path) -> None:
    """Returns when all of a file has reached the disk.

    Raises:
        OSError: The disk did not take it.
    """
    with made.open("rb+") as file:
        try:
            os.fsync(file.fileno())
        except OSError as error:
            if error.errno not in UNKNOWN_REQUEST:
                raise
