"""What lies in the folder of a run or of a table, and nothing else is ever removed."""

from __future__ import annotations

from pathlib import Path

from weft_geo.errors import InputError, OutputExistsError
from weft_geo.geo.access import is_there, require_writable, why_closed, why_not_written
from weft_geo.geo.run_files import ADAPTER, ONNX, WHOLE
from weft_geo.geo.whole_files import place_of

CONFIG, REPORT, LAST, BEST, RATES = "config.yaml", "report.json", "last.ckpt", "best.ckpt", "learning_rate.png"
TABLE = ("table.json", "table.md")
_APPENDED = ("train.csv", "val.csv", "tensorboard", "pictures")
_OF_A_RUN = {
    CONFIG, REPORT, LAST, BEST, RATES, "train.csv", "val.csv", "tensorboard", "pictures", WHOLE, ADAPTER, ONNX,
}  # fmt: skip


def require_removable(folder: Path) -> None:
    """Make sure that all there is in a folder is a run, or a table and its runs.

    Raises:
        OutputExistsError: something else is in it.
    """
    if not folder.is_dir():
        return
    others = find_others(folder)
    if others and any((folder / name).is_file() for name in TABLE):
        others = [path for path in others if path.name not in TABLE and not (path.is_dir() and not find_others(path))]
    if others and len(others) == len(list(folder.iterdir())):
        raise OutputExistsError(f"{folder} holds no run, so it is not removed; give another folder")
    if others:
        raise OutputExistsError(
            f"{folder} also holds {others[0].name}, which is no part of a run, so nothing is removed; move it, or give "
            "another folder"
        )


def require_open(folder: Path) -> None:
    """Make sure that a run can be written to a folder, and that one in it can go on there.

    Raises:
        InputError: something in it may not be read or written.
    """
    require_writable(folder)
    advice = "see to it that you may, or give another folder"
    for name in (CONFIG, LAST):
        if reason := why_closed(folder / name):
            raise InputError(f"{folder / name} cannot be read: {reason}; {advice}")
    for name in _APPENDED:
        if is_there(folder / name) and (reason := why_not_written(folder / name)):
            raise InputError(f"{folder / name} cannot be written to: {reason}; {advice}")


def remove(folder: Path) -> None:
    """Remove a run, or a table and its runs.

    Raises:
        OutputExistsError: as for `require_removable`; nothing is removed then.
    """
    require_removable(folder)
    if folder.is_dir():
        place = place_of(folder)
        _remove_all(place)
        if place != folder:  # a link leads to a folder
            place.mkdir()


def _remove_all(folder: Path) -> None:
    """First what a run would go on from, and last what says that this is a run or a table.

    Killed on the way, it leaves what the next one may remove, and nobody goes on with half a run.
    """
    signs = (CONFIG, *TABLE)
    for path in sorted(folder.iterdir(), key=lambda path: (path.name in signs, path.name != LAST)):
        if path.is_dir() and not path.is_symlink():
            _remove_all(path)
        else:
            path.unlink()
    folder.rmdir()


def find_others(folder: Path) -> list[Path]:
    """What is no part of a run; files that a killed one was writing are, and the curve of the search for a rate.

    Where there is no configuration there is no run: train.csv, val.csv and pictures may be anybody's data.
    """
    known = _OF_A_RUN if (folder / CONFIG).is_file() else {RATES}
    return sorted(
        path
        for path in folder.iterdir()
        if path.name not in known and not (path.name.startswith(".") and path.suffix in (".part", ".ckpt"))
    )
