"""One layer of objects on disk, which appears whole or not at all.

It is written into a folder beside the output, and renamed into place when it is whole. That folder is of whoever holds
the output's lock.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyproj

from weft_geo.errors import InputError, RunError
from weft_geo.geo.access import is_there
from weft_geo.geo.lock import clear_left, lock_outputs
from weft_geo.geo.vector_file import require_plain_name
from weft_geo.geo.whole_files import NOT_ALLOWED, bring_to_disk, check_output, move_into_place, part_of, place_of
from weft_geo.vector.export import DRIVERS, LAYER, SCHEMA, write_layer
from weft_geo.vector.style import SCORE_STYLE, Style

LEAST_ROOM_BYTES = 4 << 20
PUBLISHING = "publishing"
"""Lies in the scratch folder of a run that has begun to put its files in place: those there are its own."""
SHAPEFILE_PARTS = (".shp", ".shx", ".dbf", ".prj", ".cpg", ".qix", ".sbn", ".sbx", ".qpj")
COMPANIONS = {".shp": SHAPEFILE_PARTS[1:], ".gpkg": (".gpkg-wal", ".gpkg-shm", ".gpkg-journal")}


def refuse_other_parts(path: Path) -> None:
    """Makes sure that a new shapefile takes the place of nobody's .dbf or .prj.

    Raises:
        OutputExistsError: A file is there that would be one of its parts.
    """
    for part in SHAPEFILE_PARTS[1:] if path.suffix.lower() == ".shp" else ():
        check_output(path.with_suffix(part), overwrite=False)


def require_layer_name(path: Path) -> None:
    """Makes sure that pyogrio will take the name under which an output is made, in a folder beside it, for that file.

    Raises:
        VectorError: it will not.
    """
    require_plain_name(part_of(path) / f"{LAYER}{path.suffix}", path)


class LayerFile:
    """One output file that appears whole or not at all.

    Args:
        path: the output; its suffix chooses the format.
        overwrite: whether a file that is there may be replaced.
        locked: whether the caller holds the output's lock; else `open` takes it.

    Raises:
        InputError: the suffix is not known, the name means another file to pyogrio, or the output cannot be written
            there (see `check_output`).
        OutputExistsError: the output is there and `overwrite` is False.
    """

    def __init__(self, path: str | os.PathLike[str], overwrite: bool = False, locked: bool = False) -> None:
        self.path = place_of(path)
        self.suffix = self.path.suffix.lower()
        if self.suffix not in DRIVERS:
            raise InputError(f"{self.path.name} has no known vector format; known suffixes: {', '.join(DRIVERS)}")
        self.scratch = part_of(self.path)
        self._made = self.scratch / "made"
        self._overwrite, self._locked = overwrite, locked
        if is_there(self.path) and not overwrite:
            clear_left(self.path)  # by a run that was killed when it had put all in place
        self._check()
        require_layer_name(self.path)

    def _check(self) -> None:
        check_output(self.path, overwrite=self._overwrite)
        if not self._overwrite and not (self.scratch / PUBLISHING).exists():
            refuse_other_parts(self.path)

    @contextmanager
    def open(self) -> Iterator[Self]:
        """Hold the output's lock while the block runs, `write` and `publish` in it; nothing else is left behind it.

        Raises:
            OutputBusyError: another run is writing the output.
            OutputExistsError: another one has made it meanwhile, and `overwrite` is False.
            InputError: the folder may not be written to.
            RunError: the folder takes nothing for another reason.
        """
        with nullcontext() if self._locked else lock_outputs([self.path]):
            self._check()
            try:
                self._begin()
                yield self
            finally:
                shutil.rmtree(self.scratch, ignore_errors=True)

    def _begin(self) -> None:
        """Makes the scratch folder, in the place of what a killed run has left."""
        if (self.scratch / PUBLISHING).exists() and not self.path.exists():
            for part in COMPANIONS[self.suffix]:
                self.path.with_suffix(part).unlink(missing_ok=True)
        shutil.rmtree(self.scratch, ignore_errors=True)
        try:
            self._made.mkdir(parents=True)
        except OSError as error:
            if error.errno in NOT_ALLOWED:
                said = f"cannot write beside {self.path}: {error.strerror}; choose another folder"
                raise InputError(said) from error
            raise RunError(f"{self.path} could not be written: {error.strerror}") from error

    def write(
        self,
        batches: Iterator[pa.RecordBatch],
        crs: pyproj.CRS | None,
        multi: bool,
        provenance: dict[str, Any] | None,
        schema: pa.Schema = SCHEMA,
        style: Style = SCORE_STYLE,
    ) -> None:
        """Write all batches, still beside the output; `publish` puts them in their place.

        Args:
            batches: of `schema`, in the order of the file.
            crs: the CRS of the geometries.
            multi: whether any object is a MultiPolygon.
            provenance: how the layer came to be; anything that JSON can hold.
            schema: the attributes, and behind them "geometry".
            style: how QGIS shows a GeoPackage.

        Raises:
            RunError: the driver failed.
        """
        target = self._made / f"{LAYER}{self.suffix}"  # some names mean other things to a driver
        from pyogrio.errors import DataLayerError, DataSourceError  # brings geopandas, which is slow to come

        try:
            write_layer(target, batches, crs, multi, provenance, schema, style)
        except (DataSourceError, DataLayerError, pa.ArrowException, OSError, sqlite3.Error) as error:
            full = shutil.disk_usage(self.path.parent).free < LEAST_ROOM_BYTES  # drivers give the oddest reasons for it
            raise RunError(f"{self.path} could not be written: {'the disk is full' if full else error}") from error

    def publish(self) -> None:
        """Put what was written in its place, over an older output if there is one.

        Of a shapefile, the old .shp is taken away before its other parts are replaced: killed then, a run leaves no
        geometries beside the attributes of others.

        Raises:
            RunError: the disk does not take it.
        """
        made: dict[str, Path] = {}
        try:
            made |= {self._final_name(item.name): item for item in sorted(self._made.iterdir())}
            self._put_in_place(made)
        except BaseException as error:
            if self.path.name in made and made[self.path.name].exists():
                self._take_back(made)
            if isinstance(error, OSError):
                raise RunError(f"{self.path} could not be written: {error}") from error
            raise

    def _take_back(self, made: dict[str, Path]) -> None:
        """Removes what was put in place before the output itself could be: it would be in the way of the next run."""
        for name, item in made.items():
            if not item.exists():
                with suppress(OSError):
                    (self.path.parent / name).unlink()

    def _put_in_place(self, made: dict[str, Path]) -> None:
        if self.suffix == ".shp":
            for item in made.values():  # what the disk does not take is found before anything is replaced
                bring_to_disk(item)
            (self.scratch / PUBLISHING).touch()
            self.path.unlink(missing_ok=True)
        for suffix in COMPANIONS.get(self.suffix, ()):
            stale = self.path.with_suffix(suffix)
            if stale.name not in made:
                stale.unlink(missing_ok=True)
        # The file that carries the output's name comes last: while it is not there, nothing claims to be finished.
        for name, item in sorted(made.items(), key=lambda pair: pair[0] == self.path.name):
            if item.is_file():
                move_into_place(item, self.path.parent / name)

    def _final_name(self, made: str) -> str:
        """What a file that was written is called in its place."""
        main = f"{LAYER}{self.suffix}"
        if made.startswith(main):
            return self.path.name + made.removeprefix(main)
        return self.path.stem + made.removeprefix(LAYER)
