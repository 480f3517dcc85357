"""What one strip tells of its components: the marks of their outlines, and their sums.

Both are kept as rows of flat tables, keyed by component. What several strips tell of one component is only put together
when its object is whole.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from weft_geo.vector.arrays import Bools, Ints
from weft_geo.vector.crossings import find_crossings
from weft_geo.vector.outline import (
    ACROSS,
    ALONG,
    BOTTOM,
    END,
    Runs,
    find_corners,
    max_runs,
    run_at,
    sum_runs,
)
from weft_geo.vector.strip import Strip

Table = npt.NDArray[np.void]

MARK = np.dtype([("component", "i8"), ("row", "i4"), ("col", "i4"), ("kind", "u1"), ("offset", "f4"), ("loss", "f2")])
"""One mark of an outline: a corner, or (for sub-pixel outlines) a crossing, which alone has an offset and a loss
(`weft_geo.vector.crossings.find_crossings`)."""

PART = np.dtype(
    [
        ("component", "i8"),
        ("value", "u1"),
        ("count", "i8"),
        ("first", "i8"),
        ("total", "f8"),
        ("best", "f8"),
        ("edge", "?"),
        ("nodata", "?"),
    ]
)
"""What one strip knows of one component: class, pixels, first pixel (row × width + column), sum and maximum of the
scores, and whether it touches the raster's rim or nodata. Scores are in the strip's unit: sums of integers are exact,
so they do not depend on where a strip ends."""


def corner_marks(runs: Runs, held: int, upper: Ints, lower: Ints, component: Ints, waiting: Bools) -> Table:
    """Corners that a strip settles.

    Args:
        runs: those of the row above the strip, then those of the strip.
        held: how many lie in the row above; their upper sides were settled before.
        upper: upper runs of the touching pairs.
        lower: lower runs of the touching pairs.
        component: [runs] component of each.
        waiting: [runs] those whose lower side only the next strip will settle.

    Returns:
        `MARK` rows.
    """
    on_top, below = find_corners(runs, upper, lower)
    on_top[:, :held] = False
    below[:, waiting] = False
    found = []
    for side, columns in enumerate((runs.start, runs.end)):
        for mask, kind, down in ((on_top[side], 0, 0), (below[side], BOTTOM, 1)):
            index = np.flatnonzero(mask)
            marks = np.empty(len(index), dtype=MARK)
            marks["component"] = component[index]
            marks["row"] = runs.row[index] + down
            marks["col"] = columns[index]
            marks["kind"] = kind | (END if side else 0)
            marks["offset"] = marks["loss"] = 0
            found.append(marks)
    return np.concatenate(found)


def crossing_marks(
    strip: Strip, above: Strip | None, first_row: int, runs: Runs, component: Ints, threshold: float
) -> Table:
    """Crossings of the threshold within a strip, and between it and the row above.

    Args:
        strip: the rows.
        above: the row above them; None for the rim of the raster, which counts as nodata.
        first_row: row number of the strip's first row.
        runs: of the row above and of the strip.
        component: [runs] component of each.
        threshold: a probability.

    Returns:
        `MARK` rows, one for each side of an edge that is an object.
    """
    none = np.zeros_like(strip.classes, dtype=bool)
    if above is None:
        above = Strip(np.zeros_like(strip.classes[:1]), None, strip.scale, ~none[:1], strip.probability, strip.columns)
    above = above.on_columns(strip.columns)
    invalid = [part if known is None else known for part, known in ((none[:1], above.invalid), (none, strip.invalid))]
    probability = None
    if strip.probability is not None and above.probability is not None:
        probability = np.concatenate([above.probability[:, -1:], strip.probability], axis=1)
    classes = np.concatenate([above.classes, strip.classes])
    row, col, kind, offset, loss = find_crossings(classes, probability, np.concatenate(invalid), threshold, strip.scale)
    found = []
    for down, right in ((0, 0), (kind == ALONG, kind == ACROSS)):
        r, c = row - down, col - right
        mine = classes[r, c] != 0
        marks = np.empty(int(mine.sum()), dtype=MARK)
        place, beside = (some[mine] if strip.columns is None else strip.columns[some[mine]] for some in (col, c))
        marks["component"] = component[run_at(runs, r[mine] + (first_row - 1), beside)]
        marks["row"], marks["col"] = row[mine] + (first_row - 1), place
        marks["kind"], marks["offset"], marks["loss"] = kind[mine], offset[mine], loss[mine]
        found.append(marks)
    return np.concatenate(found)


def measure_parts(
    strip: Strip, above_invalid: Bools, first_row: int, shape: tuple[int, int], runs: Runs, found: Runs, component: Ints
) -> Table:
    """One part for each component, those of the row above included (they may touch nodata below them).

    Args:
        strip: the rows.
        above_invalid: bool [1, width] of the row above.
        first_row: row number of the strip's first row.
        shape: (height, width) of the raster.
        runs: those of the row above, then those of the strip.
        found: those of the strip, by the strip's own columns.
        component: [runs] component of each, numbered from 0.

    Returns:
        `PART` rows, in the order of the components.
    """
    height, width = shape
    held = len(runs) - len(found)
    fresh = runs.take(np.arange(held, len(runs)))
    n = int(component.max()) + 1 if len(component) else 0
    mine = component[held:]
    parts = np.zeros(n, dtype=PART)
    parts["component"] = np.arange(n)
    parts["value"][component] = runs.value
    parts["count"] = np.bincount(mine, fresh.end - fresh.start, n)
    parts["first"] = np.iinfo(np.int64).max
    parts["first"][mine[::-1]] = (fresh.row * width + fresh.start)[::-1]  # the first run of each comes last, and stays
    if strip.score is None:
        parts["total"], parts["best"] = parts["count"] * strip.scale, (parts["count"] > 0) * strip.scale
    else:
        parts["total"] = np.bincount(mine, sum_runs(strip.score, found, first_row), n)
        np.maximum.at(parts["best"], mine, max_runs(strip.score, found, first_row))
    rim = (fresh.start == 0) | (fresh.end == width) | (fresh.row == 0) | (fresh.row == height - 1)
    parts["edge"][mine[rim]] = True
    if above_invalid.any() or (strip.invalid is not None and strip.invalid.any()):
        invalid = np.zeros_like(strip.classes, dtype=bool) if strip.invalid is None else strip.invalid
        rows = np.pad(np.concatenate([above_invalid, invalid]), 1)
        wide = rows[:, :-2] | rows[:, 1:-1] | rows[:, 2:]
        near = wide[:-2] | wide[1:-1] | wide[2:]
        parts["nodata"][component[max_runs(near.view(np.uint8), runs, first_row - 1) > 0]] = True
    return parts
