"""Finished objects wait on disk until all are known, and leave in the order of their first pixels.

An object is finished when its last row has passed, so a long one comes late. Its number and its place in the layer go
by its first pixel all the same. In memory stay sixteen bytes an object.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute  # makes pa.compute available

from weft_geo.errors import RunError
from weft_geo.vector.arrays import Ints

BATCH_BYTES = 2 << 20
BATCH_ROWS = 1 << 15


class Spool:
    """Record batches on disk.

    Args:
        path: of the temporary file; its folder exists.
        schema: of the batches, with an `id` first and a binary `geometry` last.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path = path
        self.schema = schema
        self._keys: list[Ints] = []
        self._bytes: list[Ints] = []
        self._sink = pa.OSFile(str(path), "wb")
        self._writer = pa.ipc.new_file(self._sink, schema)

    def __len__(self) -> int:
        return sum(map(len, self._keys))

    def add(self, batch: pa.RecordBatch, first: Ints) -> None:
        """Lay down some objects.

        Args:
            batch: of the schema; the ids are given later.
            first: [rows] what the final order goes by.

        Raises:
            RunError: the disk is full, or something of the kind.
        """
        for begin in range(0, len(first), BATCH_ROWS):
            try:
                self._writer.write_batch(batch.slice(begin, BATCH_ROWS))
            except OSError as error:
                raise self._cannot_write(error) from error
            self._keys.append(first[begin : begin + BATCH_ROWS].astype(np.int64))
            size = np.asarray(pa.compute.binary_length(batch.column("geometry").slice(begin, BATCH_ROWS)))
            self._bytes.append(size.astype(np.int64))

    def close(self) -> None:
        """End the file; nothing can be added after.

        Raises:
            RunError: the disk is full, or something of the kind.
        """
        try:
            self._writer.close()
            self._sink.close()
        except OSError as error:
            raise self._cannot_write(error) from error

    def abandon(self) -> None:
        """Let go of the file, whether it is ended or not."""
        if not self._sink.closed:
            for part in (self._writer, self._sink):
                with suppress(OSError):  # what is still to be written is of no use to anybody
                    part.close()

    def _cannot_write(self, error: OSError) -> RunError:
        reason = os.strerror(error.errno) if error.errno else error
        return RunError(f"objects could not be kept in {self.path.parent}: {reason}; is the disk full?")

    def ordered(self) -> Iterator[pa.RecordBatch]:
        """All objects in order, ids 1…n, in batches of bounded size. Call `close` first."""
        if not len(self):
            return
        batch_of = np.repeat(np.arange(len(self._keys)), [len(some) for some in self._keys])
        row_of = np.concatenate([np.arange(len(some)) for some in self._keys])
        order = np.argsort(np.concatenate(self._keys), kind="stable")
        volume = np.cumsum(np.concatenate(self._bytes)[order] + 64)
        with pa.OSFile(str(self.path), "rb") as source, pa.ipc.open_file(source) as reader:
            begin, held = 0, dict[int, pa.RecordBatch]()
            while begin < len(order):
                before = int(volume[begin - 1]) if begin else 0
                end = int(np.searchsorted(volume, before + BATCH_BYTES, side="right"))
                end = min(max(end, begin + 1), begin + BATCH_ROWS, len(order))
                some = order[begin:end]
                needed, which = np.unique(batch_of[some], return_inverse=True)
                held = {int(k): held.get(int(k)) or reader.get_batch(int(k)) for k in needed}
                offset = np.cumsum([0, *(len(held[int(k)]) for k in needed)])
                rows = pa.concat_batches([held[int(k)] for k in needed]).take(pa.array(offset[which] + row_of[some]))
                yield rows.set_column(0, self.schema.field(0), pa.array(np.arange(begin + 1, end + 1)))
                begin = end
