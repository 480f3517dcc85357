"""Which scenes the words of a command line mean, and what their outputs are called."""

from __future__ import annotations

import glob
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from weft_geo.errors import InputError, RasterError
from weft_geo.geo.access import cannot_be_looked_into, is_folder, is_local, is_there
from weft_geo.geo.not_opened import SCENE_SUFFIXES, product_in
from weft_geo.geo.raster import open_raster
from weft_geo.vector.polygonize import read_origin


def find_scenes(words: Sequence[str], listed: str | None) -> tuple[str, ...]:
    """Turn words into scenes: folders into the rasters in them, patterns into what they match.

    Args:
        words: As they were given.
        listed: A file with more of them, one a line, or `-` for stdin.

    Raises:
        InputError: A word or the list stands for none.
    """
    words = [*words, *(_read_list(listed) if listed is not None else ())]
    scenes: dict[str | Path, str] = {}
    for scene in (scene for word in words for scene in _expand(word)):
        scenes.setdefault(Path(scene) if is_local(scene) else scene, scene)  # a.tif and ./a.tif are one
    return tuple(scenes.values())


def name_outputs(scenes: Sequence[str]) -> list[str]:
    """Name the outputs of scenes: like the scene, or like its path below the folder that scenes of equal names share.

    Raises:
        InputError: Two would be called the same all the same.
    """
    counts = Counter(Path(scene).stem for scene in scenes)
    groups = {name: [scene for scene in scenes if Path(scene).stem == name] for name in counts if counts[name] > 1}
    shared = {name: _shared_folder(group) for name, group in groups.items()}
    names = [_below(scene, shared.get(Path(scene).stem)) for scene in scenes]
    if repeated := [name for name, count in Counter(names).items() if count > 1]:
        same = [scene for scene, name in zip(scenes, names, strict=True) if name == repeated[0]]
        raise InputError(f"{' and '.join(same[:2])} would both become {repeated[0]}; run them apart")
    return names


def _shared_folder(scenes: Sequence[str]) -> str | None:
    try:
        return os.path.commonpath([_folder(scene) for scene in scenes])
    except ValueError:  # on several drives
        return None


def _below(scene: str, folder: str | None) -> str:
    path = Path(scene)
    return path.stem if folder is None else "_".join([*Path(_folder(scene)).relative_to(folder).parts, path.stem])


def _folder(scene: str) -> str:
    return os.path.normpath(Path(scene).absolute().parent)


def _read_list(listed: str) -> list[str]:
    name = "the list on stdin" if listed == "-" else listed
    try:
        text = sys.stdin.read() if listed == "-" else Path(listed).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "it is no text"
        raise InputError(f"{name} cannot be read as a list of scenes: {reason}") from error
    lines = [line.strip() for line in text.splitlines()]
    scenes = [line for line in lines if line and not line.startswith("#")]
    if not scenes:
        raise InputError(f"{name} names no scene; write one path a line")
    return scenes


def _expand(word: str) -> list[str]:
    if not is_local(word):
        return [word]
    if is_folder(word):
        return _rasters_in(Path(word))
    if not glob.has_magic(word) or is_there(word):
        return [word]
    matches = sorted(glob.glob(word, recursive=True))  # noqa: PTH207 (that of a Path takes no absolute pattern)
    if not matches:
        _require_open(_before_magic(word))
        raise InputError(f"nothing matches {word}; give rasters that are there, or the folder they are in")
    return [scene for match in matches for scene in (_rasters_in(Path(match)) if is_folder(match) else [match])]


def _rasters_in(folder: Path) -> list[str]:
    """The rasters directly in a folder, outputs of ours aside.

    Where there are none, the file of the Sentinel-2 product that the folder is, or the folder itself, if it is a raster
    as a Zarr is.
    """
    _require_open(folder)
    files = sorted(file for file in folder.glob("[!.]*") if file.suffix.lower() in SCENE_SUFFIXES)
    if scenes := [str(file) for file in files if not read_origin(file)]:
        return scenes
    if product := product_in(folder):
        return [str(product)]
    try:
        with open_raster(folder):
            return [str(folder)]
    except RasterError as error:
        known = ", ".join(SCENE_SUFFIXES)
        ours = " but outputs of weft-geo" if files else ""
        raise InputError(
            f"the folder {folder} holds no raster ({known}){ours}; give another one, or a pattern in quotes such as "
            f"'{folder / '**' / '*.tif'}' for those in folders below"
        ) from error


def _before_magic(pattern: str) -> Path:
    """The folder in which a pattern begins to be one."""
    return next(folder for folder in Path(pattern).parents if not glob.has_magic(str(folder)))


def _require_open(folder: Path) -> None:
    if hindrance := cannot_be_looked_into(folder):
        raise InputError(f"the folder {folder} {hindrance}")
