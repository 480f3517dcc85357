"""From strips to ordered rows: stitch, outline, clean, measure, and wait on disk."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from weft_geo.errors import InputError
from weft_geo.geo.processors import count_processors
from weft_geo.vector.attributes import WAITING_SCHEMA, Rows, describe
from weft_geo.vector.budget import LOT_PIXELS
from weft_geo.vector.export import SCHEMA
from weft_geo.vector.ground import DRAWN_SHARE, EXACT_SHARE, Ground
from weft_geo.vector.options import VectorOptions
from weft_geo.vector.overlaps import choose, without_overlaps
from weft_geo.vector.spool import Spool
from weft_geo.vector.stitch import Stitcher
from weft_geo.vector.strip import Strip, join_strips

LEAST_LOT_PIXELS = 1 << 18
"""Fewer rows than this wait for more, which keeps the time down when they arrive one by one."""

OUTLINERS = min(4, count_processors())
"""Lots outlined at once; each costs memory, and more would wait for the stitching, which is not divided."""


class Vectorizer:
    """Strips to the rows of a layer.

    Rows are stitched in the caller's thread, one lot after the other. What a lot closes is outlined, cleaned and
    measured in other threads meanwhile; NumPy and GEOS let go of Python's lock for most of that.

    Args:
        folder: for the temporary file.
        width: of the raster, pixels.
        height: of the raster, pixels.
        ground: where the pixels lie.
        classes: names of the classes 1…K.
        options: how to outline and clean.
    """

    def __init__(
        self, folder: Path, width: int, height: int, ground: Ground, classes: Sequence[str], options: VectorOptions
    ) -> None:
        self.shape = (height, width)
        subpixel = options.outline == "subpixel"
        self.ground = ground.rounded(DRAWN_SHARE if subpixel or options.has_new_outlines else EXACT_SHARE)
        self.classes, self.options = tuple(classes), options
        self.multi = False
        self._stitcher = Stitcher(
            width,
            height,
            options.connectivity,
            # Neighbours share edges, so they are cleaned together; sub-pixel outlines of several classes are drawn so.
            grouped=options.has_new_outlines or (subpixel and len(classes) > 1),
            threshold=options.threshold if subpixel else None,
        )
        self._spool = Spool(folder / "objects.arrow", WAITING_SCHEMA if options.has_new_outlines else SCHEMA)
        self._outliners = ThreadPoolExecutor(OUTLINERS, thread_name_prefix="outline")
        self._outlined: deque[Future[Rows | None]] = deque()
        self._rise = 1.0
        self._waiting: list[Strip] = []
        self._rows = 0

    def push(self, strip: Strip) -> None:
        """Add some rows, from top to bottom.

        Raises:
            InputError: there are more rows than were announced.
        """
        height, width = self.shape[0], strip.classes.shape[1]
        if self.options.outline == "pixel":
            strip = replace(strip, probability=None)
        self._rows += len(strip.classes)
        if self._rows > height:
            raise InputError(f"{self._rows} rows came and {height} were announced; check the height of the raster")
        if len(strip.classes) * width < LEAST_LOT_PIXELS and strip.columns is None:
            self._waiting.append(strip.copy())
            if sum(len(some.classes) for some in self._waiting) * width < LEAST_LOT_PIXELS and self._rows < height:
                return
            strip, self._waiting = join_strips(self._waiting), []
        elif self._waiting:
            strip, self._waiting = join_strips([*self._waiting, strip]), []
        lot = LOT_PIXELS // max(width, 1) or 1
        for begin in range(0, len(strip.classes), lot):
            self._work(strip.rows(slice(begin, begin + lot)))

    def _work(self, strip: Strip) -> None:
        finished = self._stitcher.push(strip)
        if len(finished.value):
            self._outlined.append(
                self._outliners.submit(describe, finished, self.shape, self.ground, self.options, self.classes)
            )
        self._lay_down(OUTLINERS)

    def _lay_down(self, left: int) -> None:
        """Spool what is outlined, waiting for it until no more than so many lots are left."""
        while self._outlined and (len(self._outlined) > left or self._outlined[0].done()):
            rows = self._outlined.popleft().result()
            if rows is not None:
                self._spool.add(rows.batch, rows.first)
                self.multi |= rows.multi
                self._rise = max(self._rise, rows.rise)

    def finish(self) -> int:
        """End of the raster.

        Returns:
            The number of objects.

        Raises:
            InputError: rows are missing.
        """
        if self._rows != self.shape[0]:
            raise InputError(f"{self._rows} rows came and {self.shape[0]} were announced")
        self._lay_down(0)
        self._spool.close()
        return len(self._spool)

    def ordered(self) -> Iterator[pa.RecordBatch]:
        """All rows in the order of their ids; after `finish`."""
        if not self.options.has_new_outlines:
            yield from self._spool.ordered()
            return
        stands = without_overlaps(self._spool.ordered(), self._rise + 1)
        done = 0
        for batch in self._spool.ordered():
            yield choose(batch, stands[done : done + len(batch)], SCHEMA)
            done += len(batch)

    def close(self) -> None:
        """Let go of the threads and of the temporary file."""
        self._outliners.shutdown(cancel_futures=True)
        self._spool.abandon()
