"""What a run has finished, kept beside its output so that the next run goes on from there.

What costs time is the model, so what it gave is kept: the finished rows (``rows``), and now and then a checkpoint. This
says how far those rows can be relied on, and holds what the windows so far have added to rows that are not finished.
Everything that follows from the rows, objects above all, is made again from them. So the state of the vectoriser needs
no saving, a run may be taken up with other vector options, and the result is the same to the bit as if nothing had
happened.

A checkpoint is a file that is renamed into its place after the rows before it have reached the disk: a power cut finds
either the old one or the new one.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from weft_geo.geo.access import is_there
from weft_geo.geo.whole_files import place_of, written_whole
from weft_geo.inference.rows import CODEC, FinishedRows, RowWriter, cannot_read, cannot_write, is_damaged, read_rows

CHECKPOINT_SHARE = 0.02
"""Of the time of a run, what its checkpoints may take: the first row of windows gets one, and after one that took 10 ms
the next comes half a second later. So much work, and the row of windows under way, may be lost."""

_NUMBER = struct.Struct("<I")


@dataclass(frozen=True)
class Checkpoint:
    """How far a run has come.

    Attributes:
        block: Block of columns under way.
        row: Rows of windows of that block that are finished.
        offset: Bytes of the block's rows that can be relied on.
        skipped: Windows without a wanted pixel so far.
        carry: uint32 ``[K, rows, width]``, see ``RollingBand.carry``.
    """

    block: int
    row: int
    offset: int
    skipped: int
    carry: NDArray[np.uint32]


class Journal:
    """Finished rows and checkpoints of one run.

    Args:
        output: First output of the run; the journal is a hidden folder beside it.
        identity: Everything that the rows depend on. A journal of something else is put away. None keeps no
            checkpoints, since nothing could tell whether they fit.
        resume: Take up what is there.
    """

    def __init__(self, output: Path, identity: dict[str, Any] | None, resume: bool) -> None:
        self.folder = journal_folder(output)
        self._about = self.folder / "about.json"
        self._checkpoint = self.folder / "checkpoint"
        self._identity = None if identity is None else _digest(identity)
        self.start: Checkpoint | None = None
        self.replaced = False
        self._next = 0.0
        if is_there(self.folder):
            if resume and self._identity is not None and self._read_identity() == self._identity:
                self.start = self._read_checkpoint()
            if self.start is None:
                self.replaced = is_there(self._checkpoint)
                self.discard()

    @property
    def keeps_checkpoints(self) -> bool:
        """Whether there is anything to tell this run from others, so that it can be taken up."""
        return self._identity is not None

    @property
    def kept(self) -> bool:
        """Whether a later run can go on from here."""
        return self.keeps_checkpoints and is_there(self._checkpoint)

    def keeps_rows(self, is_last_block: bool) -> bool:
        """Whether the rows of a block are needed on disk."""
        return self.keeps_checkpoints or not is_last_block

    def write_rows(self, block: int, offset: int) -> RowWriter:
        """Opens the rows of a block for more of them, behind the ``offset`` bytes that are there.

        Raises:
            RunError: If they cannot be written.
        """
        if not is_there(self._about):
            try:
                self.folder.mkdir(exist_ok=True)
                _write_whole(self._about, json.dumps({"identity": self._identity, "publishing": []}).encode())
            except OSError as error:
                raise cannot_write(self._about, error) from error
        return RowWriter(self._rows_of(block), offset)

    def read_rows(self, block: int, end: int | None = None) -> Iterator[FinishedRows]:
        """The rows of a block: all of them, or those in its first ``end`` bytes."""
        return read_rows(self._rows_of(block), end)

    def is_due(self, at_end: bool) -> bool:
        """Whether it is time for a checkpoint, which it always is at the end of a block."""
        return self.keeps_checkpoints and (at_end or time.monotonic() >= self._next)

    def save(self, checkpoint: Checkpoint, writer: RowWriter) -> None:
        """Writes a checkpoint that stands for all rows of the block so far, when they have reached the disk.

        Raises:
            RunError: If it cannot be written.
        """
        began = time.monotonic()
        writer.sync()
        checkpoint = replace(checkpoint, offset=writer.offset)
        about = {key: value for key, value in asdict(checkpoint).items() if key != "carry"}
        head = json.dumps(about | {"shape": checkpoint.carry.shape}).encode()
        carry = pa.compress(np.ascontiguousarray(checkpoint.carry), codec=CODEC, asbytes=True)
        try:
            data = _NUMBER.pack(len(head)) + head + carry
            _write_whole(self._checkpoint, _NUMBER.pack(zlib.crc32(data)) + data)
        except OSError as error:
            raise cannot_write(self._checkpoint, error) from error
        now = time.monotonic()
        self._next = now + (now - began) / CHECKPOINT_SHARE

    def begin_publishing(self, outputs: Sequence[Path]) -> None:
        """Notes that these outputs are this run's own from now on, and may be replaced by the next one."""
        if is_there(self._about):
            try:
                about = {"identity": self._identity, "publishing": [str(path.absolute()) for path in outputs]}
                _write_whole(self._about, json.dumps(about).encode())
            except OSError as error:
                raise cannot_write(self._about, error) from error

    def discard(self) -> None:
        """Leaves nothing behind. Killed on the way, it leaves a whole journal or what ``clear_remains`` removes."""
        clear_remains(self.folder)
        with suppress(OSError):
            self.folder.rename(_remains_of(self.folder))
        clear_remains(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _rows_of(self, block: int) -> Path:
        return self.folder / f"block-{block:03d}.rows"

    def _read_identity(self) -> Any:
        """What the rows that are there depend on; None if nothing tells.

        Raises:
            RunError: The disk does not tell, so that they must not be put away.
        """
        try:
            about = self._about.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise cannot_read(self._about, error) from error
        return _parse_about(about).get("identity")

    def _read_checkpoint(self) -> Checkpoint | None:
        """The last checkpoint, or None if there is none.

        Raises:
            RunError: If it cannot be read, or if it, or the rows that it stands for, are not what was written.
        """
        try:
            data = self._checkpoint.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise cannot_read(self._checkpoint, error) from error
        checksum, data = data[: _NUMBER.size], data[_NUMBER.size :]
        if len(data) < _NUMBER.size or checksum != _NUMBER.pack(zlib.crc32(data)):
            raise is_damaged(self._checkpoint)
        end = _NUMBER.size + _NUMBER.unpack_from(data)[0]
        head, carry = data[_NUMBER.size : end], data[end:]
        about = json.loads(head)
        shape = tuple(about.pop("shape"))
        raw = pa.decompress(carry, 4 * int(np.prod(shape)), codec=CODEC, asbytes=True)
        checkpoint = Checkpoint(**about, carry=np.frombuffer(raw, np.uint32).reshape(shape))
        rows = self._rows_of(checkpoint.block)
        if not rows.exists() or rows.stat().st_size < checkpoint.offset:
            raise is_damaged(rows)
        return checkpoint


def journal_folder(output: Path) -> Path:
    """Where the journal of an output lies."""
    output = place_of(output)
    return output.with_name(f".{output.name}.journal")


def was_publishing(first: Path, output: Path) -> bool:
    """Whether a run was stopped while it put its outputs in place, this one among them: some are there and some not.

    Args:
        first: First output of the run, beside which its journal lies.
        output: An output.
    """
    its_own = _read_about(journal_folder(first)).get("publishing")
    return isinstance(its_own, list) and str(place_of(output).absolute()) in its_own


def clear_remains(folder: Path) -> None:
    """Removes what a run leaves that is killed while it removes its journal; nobody needs it any more."""
    shutil.rmtree(_remains_of(folder), ignore_errors=True)


def _remains_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.part")


def _read_about(folder: Path) -> dict[str, Any]:
    try:
        return _parse_about((folder / "about.json").read_bytes())
    except OSError:
        return {}


def _parse_about(text: bytes) -> dict[str, Any]:
    try:
        about = json.loads(text)
    except ValueError:
        return {}
    return about if isinstance(about, dict) else {}


def _digest(identity: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()


def _write_whole(path: Path, data: bytes) -> None:
    with written_whole(path) as beside:
        beside.write_bytes(data)
