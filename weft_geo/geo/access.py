"""What the user who runs this may read, and where they may write, told before any work is done.

A method of ``Path`` such as ``exists`` says no where a folder on the way may not be entered from Python 3.14 on, and
raises before. The functions here say no everywhere, and others say why.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from pathlib import Path
from stat import S_ISDIR, S_ISLNK, S_ISREG, S_ISVTX

from weft_geo.errors import InputError

AnyPath = str | os.PathLike[str]

CONNECTION = re.compile(r"/vsi|\w{2,}[\w+]*:")
"""How a URL begins, or what else GDAL opens by a name, such as ``NETCDF:"file.nc":band``; one letter is a drive."""


def is_local(path: AnyPath) -> bool:
    """Whether a name is that of a file or folder here, be there one or not."""
    return is_there(path) or not CONNECTION.match(str(path))


def is_there(path: AnyPath) -> bool:
    """Whether there is anything that can be looked at."""
    return _mode(path) is not None


def is_file(path: AnyPath) -> bool:
    """Whether there is a file."""
    mode = _mode(path)
    return mode is not None and S_ISREG(mode)


def is_folder(path: AnyPath) -> bool:
    """Whether there is a folder."""
    mode = _mode(path)
    return mode is not None and S_ISDIR(mode)


def is_link(path: AnyPath) -> bool:
    """Whether there is a symbolic link, wherever it leads to."""
    mode = _mode(path, follow_symlinks=False)
    return mode is not None and S_ISLNK(mode)


def is_endless(path: AnyPath) -> bool:
    """Whether it is a device, or a pipe such as that of ``<(command)``: reading it waits, or does not end."""
    return is_there(path) and not is_file(path) and not is_folder(path)


def why_closed(path: AnyPath) -> str | None:
    """Why a file may not be read, or a folder not be looked into, in the system's words.

    None if it may, or is not there. What is neither is not opened: a pipe would wait for who writes to it.
    """
    place = Path(path)
    try:
        mode = place.stat().st_mode
        if S_ISDIR(mode):
            os.scandir(place).close()
            if not _may(place, os.X_OK):  # a folder may be listed and not be entered
                return os.strerror(errno.EACCES)
        elif S_ISREG(mode):
            os.close(os.open(place, os.O_RDONLY))
    except (FileNotFoundError, NotADirectoryError, ValueError):  # the last: a name that no file can have
        return None
    except OSError as error:
        return error.strerror or str(error)
    return None


def cannot_be_read(path: AnyPath) -> str | None:
    """Why a file may not be read, as the rest of a sentence that begins with its name.

    None if it may, or is not there.
    """
    reason = why_closed(path)
    return reason and f"cannot be read: {reason}; see to it that you may read it, or give another one"


def cannot_be_looked_into(folder: AnyPath) -> str | None:
    """The same of a folder."""
    reason = why_closed(folder)
    return reason and f"cannot be looked into: {reason}; see to it that you may list and enter it, or give another one"


def what_hinders(path: AnyPath) -> str | None:
    """The same of a file, also of one that is not there, or that is none."""
    if is_endless(path):
        return "is a device or a pipe, not a file; give a file"
    return cannot_be_read(path) or (None if is_there(path) else "does not exist")


def why_not_written(path: AnyPath) -> str | None:
    """Why a file or folder that is there may not be written to, in the system's words; None if it may."""
    return None if _may(path, os.W_OK) else os.strerror(errno.EACCES)


def require_writable(folder: Path) -> None:
    """Makes sure that files can be made in a folder, or the folder itself where it is not there yet.

    Raises:
        InputError: This user may not, or something else is in its place.
    """
    place = folder
    while place != place.parent and not is_there(place):
        place = place.parent
    if is_link(folder) and place != folder:
        raise InputError(f"{folder} is a link to {folder.readlink()}, which does not exist; choose another one")
    reason = why_closed(place)
    if not reason:
        if not is_folder(place):
            raise InputError(f"{place} is no folder, so nothing can be written to {folder}; choose another one")
        reason = why_not_written(place)
    if reason:
        raise InputError(f"the folder {place} cannot be written to: {reason}; choose another one")


def require_replaceable(path: Path) -> None:
    """Makes sure that a file which is there may be replaced: in a folder such as /tmp only its owner may.

    Raises:
        InputError: This user may not, or (on Windows) another program has the file open.
    """
    if sys.platform == "win32":
        try:
            os.rename(path, path)  # noqa: PTH104
        except PermissionError as error:
            said = "another program, QGIS perhaps, has it open; close it there, or give another name"
            if error.winerror != 32:  # ERROR_SHARING_VIOLATION
                said = f"{error.strerror}; give another name"
            raise InputError(f"{path} cannot be replaced: {said}") from error
        return
    if os.geteuid() == 0:
        return
    folder = path.parent.stat()
    if folder.st_mode & S_ISVTX and os.geteuid() not in (path.lstat().st_uid, folder.st_uid):
        raise InputError(f"{path} is another user's, who alone may replace it in this folder; give another name")


def _may(path: AnyPath, what: int) -> bool:
    return os.access(path, what, effective_ids=os.access in os.supports_effective_ids)


def _mode(path: AnyPath, *, follow_symlinks: bool = True) -> int | None:
    try:
        return Path(path).stat(follow_symlinks=follow_symlinks).st_mode
    except (OSError, ValueError):
        return None
