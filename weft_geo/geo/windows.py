"""The overlapping grid of windows that covers a raster exactly. Integers only; no pixel is left out, none is invented.

Along each axis windows start every ``window − overlap`` pixels, and the last one is shifted inward so that it ends with
the raster. An axis shorter than the window has one window, padded by reflection. Rows and columns are independent.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from weft_geo.errors import InputError


@dataclass(frozen=True)
class WindowAxis:
    """Windows along one axis.

    Attributes:
        length: Pixels of the raster along the axis, at least 1.
        window: Pixels of a window, at least 1; may exceed ``length``, then the excess is padding.
        overlap: Pixels that neighbours share, 0 ≤ overlap < window; the last pair may share more.

    Raises:
        InputError: If a number is out of its range.
    """

    length: int
    window: int
    overlap: int

    def __post_init__(self) -> None:
        if self.length < 1 or self.window < 1:
            raise InputError(f"a raster axis and its window need at least 1 px, got {self.length} and {self.window}")
        _check_overlap(self.overlap, self.window)

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """First pixel of each window, strictly increasing."""
        last = max(self.length - self.window, 0)
        return (*range(0, last, self.window - self.overlap), last)

    @property
    def inside(self) -> int:
        """Pixels of a window that lie in the raster: ``window``, or ``length`` if that is shorter."""
        return min(self.window, self.length)

    def finished(self, index: int) -> int:
        """Number of pixels from the axis' start that no window after ``index`` touches."""
        return self.starts[index + 1] if index + 1 < len(self.starts) else self.length

    def around(self, first: int, count: int) -> tuple[int, WindowAxis]:
        """The windows that touch some pixels, as an axis of their own.

        Args:
            first: The first of the pixels.
            count: How many.

        Returns:
            The pixel that it begins at, and the axis.
        """
        touching = [start for start in self.starts if start < first + count and start + self.inside > first]
        begin, end = touching[0], touching[-1] + self.inside
        return begin, WindowAxis(end - begin, self.window, self.overlap)


@dataclass(frozen=True)
class WindowGrid:
    """The windows of a raster: every window of ``rows`` crossed with every window of ``cols``."""

    rows: WindowAxis
    cols: WindowAxis

    def __len__(self) -> int:
        return len(self.rows.starts) * len(self.cols.starts)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels of what the model is given, padding included."""
        return self.rows.window, self.cols.window

    @classmethod
    def cover(
        cls, height: int, width: int, window: int, overlap: int, multiple_of: int = 1, *, fixed: bool = False
    ) -> WindowGrid:
        """Covers a raster of ``height`` × ``width`` pixels.

        Args:
            height: Rows of the raster.
            width: Columns of the raster.
            window: Side of a window; a multiple of ``multiple_of``.
            overlap: Pixels that neighbours share.
            multiple_of: A short axis is padded up to a multiple of this, and no further.
            fixed: The model takes nothing but ``window`` × ``window``, so a short axis is padded up to that.

        Raises:
            InputError: If the numbers do not fit each other.
        """
        if window % multiple_of:
            raise InputError(f"window must be a multiple of {multiple_of} for this model, got {window}")
        _check_overlap(overlap, window)

        def axis(length: int) -> WindowAxis:
            if fixed or length >= window:
                return WindowAxis(length, window, overlap)
            side = -(-length // multiple_of) * multiple_of
            return WindowAxis(length, side, min(overlap, side - 1))

        return cls(axis(height), axis(width))


def _check_overlap(overlap: int, window: int) -> None:
    if not 0 <= overlap < window:
        raise InputError(f"overlap must be at least 0 and smaller than the window of {window} px, got {overlap}")


def reflect_index(length: int, target: int) -> NDArray[np.intp]:
    """Positions that extend ``length`` pixels to ``target`` by reflection, as often as it takes.

    The edge pixel is not doubled: ``reflect_index(3, 8)`` is ``0 1 2 1 0 1 2 1``. A single pixel is repeated.

    Returns:
        ``[target]`` indices into 0..length−1; the first ``length`` of them are 0, 1, 2, ….
    """
    if length == 1:
        return np.zeros(target, np.intp)
    period = 2 * (length - 1)
    position = np.arange(target, dtype=np.intp) % period
    return np.minimum(position, period - position)
