"""Columns of a scene that is too wide to be held: worked on block by block, each from the top to the bottom.

A block owns the pixels from the start of its first window to the start of the next block's first window. Windows that
reach into those pixels from the left are run again for it (one column of windows a seam, as a rule), so every pixel of
a block is blended from the same windows with the same weights as in one piece: the result does not depend on the
blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from weft_geo.geo.windows import WindowGrid


@dataclass(frozen=True)
class ColumnBlock:
    """Some columns of a grid.

    Attributes:
        first: First column of windows that reaches into the block.
        end: Column of windows after the last that does.
        left: First pixel that the block owns.
        right: Pixel after the last.
        origin: First pixel that its windows touch, at most ``left``.
        width: Pixels that its windows touch.
    """

    first: int
    end: int
    left: int
    right: int
    origin: int
    width: int

    @property
    def owned(self) -> slice:
        """The pixels it owns, counted from ``origin``."""
        return slice(self.left - self.origin, self.right - self.origin)


def split_columns(grid: WindowGrid, count: int) -> tuple[ColumnBlock, ...]:
    """Shares the columns of windows among at most ``count`` blocks of about the same width."""
    cols = grid.cols
    total = len(cols.starts)
    count = min(count, total)
    edges = [total * number // count for number in range(count + 1)]
    blocks = []
    for begin, end in pairwise(edges):
        left = cols.starts[begin]
        right = cols.starts[end] if end < total else cols.length
        first = next(col for col, start in enumerate(cols.starts) if start + cols.inside > left)
        origin = cols.starts[first]
        blocks.append(ColumnBlock(first, end, left, right, origin, cols.starts[end - 1] + cols.inside - origin))
    return tuple(blocks)
