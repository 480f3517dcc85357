"""Finished rows on disk, in the order in which they were finished: what a run can be taken up from.

A file holds records one after the other; a record is a header, the levels and the valid pixels, both compressed by LZ4,
under one checksum. LZ4 takes next to no time; what a model says of a textured scene it makes only a fifth smaller.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from weft_geo.errors import RunError
from weft_geo.geo.whole_files import NOT_ALLOWED

HEADER = struct.Struct("<4sIIIII")
"""Mark, classes, rows, columns, bytes of the levels, bytes of the valid pixels (0: all are)."""
CHECKSUM = struct.Struct("<I")
"""CRC-32 of header, levels and valid pixels; it follows the header."""
MARK = b"WGR1"
CODEC = "lz4"


@dataclass(frozen=True)
class FinishedRows:
    """Rows of pixels that no window touches any more.

    Attributes:
        levels: uint16 ``[K, rows, width]`` probabilities in units of 1 / ``blending.LEVELS``.
        wanted: ``[rows, width]``: pixels that hold an image and lie in the area of interest.
    """

    levels: NDArray[np.uint16]
    wanted: NDArray[np.bool_]

    def lots(self, rows: int) -> Iterator[FinishedRows]:
        """The same in lots of at most ``rows`` rows."""
        for top in range(0, len(self.wanted), rows):
            yield FinishedRows(self.levels[:, top : top + rows], self.wanted[top : top + rows])

    @classmethod
    def side_by_side(cls, parts: list[FinishedRows]) -> FinishedRows:
        """Columns that lie beside each other, left first, as one."""
        if len(parts) == 1:
            return parts[0]
        levels = np.concatenate([part.levels for part in parts], axis=2)
        return cls(levels, np.concatenate([part.wanted for part in parts], axis=1))


class RowWriter:
    """Appends rows to a file.

    Args:
        path: The file.
        offset: Bytes of it to keep; the rest is cut off.

    Raises:
        RunError: If it cannot be written.
    """

    def __init__(self, path: Path, offset: int) -> None:
        self._path = path
        try:
            self._file = path.open("r+b" if offset else "wb")
            self._file.truncate(offset)
            self._file.seek(offset)
        except OSError as error:
            raise cannot_write(path, error) from error
        self.offset = offset

    def append(self, rows: FinishedRows) -> None:
        """Adds some rows.

        Raises:
            RunError: If the disk is full, or something of the kind.
        """
        levels = pa.compress(np.ascontiguousarray(rows.levels), codec=CODEC, asbytes=True)
        wanted = b"" if rows.wanted.all() else pa.compress(np.packbits(rows.wanted), codec=CODEC, asbytes=True)
        header = HEADER.pack(MARK, *rows.levels.shape, len(levels), len(wanted))
        header += CHECKSUM.pack(zlib.crc32(header + levels + wanted))
        try:
            for part in (header, levels, wanted):
                self._file.write(part)
        except OSError as error:
            raise cannot_write(self._path, error) from error
        self.offset += len(header) + len(levels) + len(wanted)

    def sync(self) -> None:
        """Returns when everything is on the disk.

        Raises:
            RunError: If it does not get there.
        """
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise cannot_write(self._path, error) from error

    def close(self) -> None:
        """Lets go of the file."""
        try:
            self._file.close()
        except OSError as error:
            raise cannot_write(self._path, error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
            return
        with suppress(OSError):  # the disk is full, which the error under way says; it is closed all the same
            self._file.close()


def read_rows(path: Path, end: int | None = None) -> Iterator[FinishedRows]:
    """The rows of a file, lot by lot as they were appended.

    Args:
        path: The file.
        end: Bytes of it to read; None means all.

    Raises:
        RunError: If it does not hold what was written.
    """
    try:
        end = path.stat().st_size if end is None else end
        with path.open("rb") as file:
            while file.tell() < end:
                head, checksum = file.read(HEADER.size), file.read(CHECKSUM.size)
                if len(checksum) < CHECKSUM.size or head[:4] != MARK:
                    raise is_damaged(path)
                _, classes, rows, width, levels_size, wanted_size = HEADER.unpack(head)
                if levels_size + wanted_size > end - file.tell():
                    raise is_damaged(path)
                levels, wanted = file.read(levels_size), file.read(wanted_size)
                if zlib.crc32(head + levels + wanted) != CHECKSUM.unpack(checksum)[0]:
                    raise is_damaged(path)
                shape = (classes, rows, width)
                yield FinishedRows(_levels(levels, shape), _wanted(wanted, shape[1:]))
    except OSError as error:
        raise cannot_read(path, error) from error


def is_damaged(path: Path) -> RunError:
    """What to say when a file of the journal does not hold what was written."""
    return RunError(f"the journal {path.parent} is damaged; give --no-resume to start anew")


def cannot_read(path: Path, error: OSError) -> RunError:
    """What to say when a file of the journal is there and cannot be read."""
    return RunError(f"the journal {path.parent} cannot be read: {error.strerror}; give --no-resume to start anew")


def cannot_write(path: Path, error: OSError) -> RunError:
    """What to say when a file of the journal cannot be written."""
    if error.errno in NOT_ALLOWED:
        advice = f"remove {path.parent}, or see to it that you may write there"
    else:
        advice = "is the disk full?"
    return RunError(f"finished rows could not be kept in {path.parent}: {error.strerror}; {advice}")


def _levels(packed: bytes, shape: tuple[int, int, int]) -> NDArray[np.uint16]:
    size = 2 * int(np.prod(shape))
    return np.frombuffer(pa.decompress(packed, size, codec=CODEC, asbytes=True), np.uint16).reshape(shape)


def _wanted(packed: bytes, shape: tuple[int, int]) -> NDArray[np.bool_]:
    if not packed:
        return np.ones(shape, bool)
    pixels = shape[0] * shape[1]
    bits = np.frombuffer(pa.decompress(packed, -(-pixels // 8), codec=CODEC, asbytes=True), np.uint8)
    return np.unpackbits(bits, count=pixels).view(bool).reshape(shape)
