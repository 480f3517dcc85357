"""Corners to rings: the outlines of many pixel components at once, without following any of them step by step.

Sorted along the grid lines, the corners of one component pair up into its horizontal edges; sorted across, into its
vertical ones. Together they make a permutation of the horizontal edges whose cycles are the rings, and pointer doubling
puts each cycle in order (list ranking; Wyllie 1979).

Rings run with the object on their right as one looks at the image: shells clockwise, holes counter-clockwise.

At a grid point where two pixels of a component touch by the corner alone, a ring may pass twice. There the ring is cut
in two, so that every ring is simple: a shell that pinches becomes a shell and a hole that touches it, as OGC validity
wants it. GDAL's polygonize leaves the pinched ring whole, which is the same area but not valid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from weft_geo.vector.arrays import Bools, Ints
from weft_geo.vector.outline import BOTTOM, END


@dataclass(frozen=True)
class Rings:
    """Rings of many components, shell first within each, components in order.

    Attributes:
        points: [n, 2] grid columns and rows, ints; rings not closed.
        offsets: [r + 1] where each ring starts in `points`.
        component: [r] the component of each ring.
        area_px: [r] signed area in pixels: positive for shells, negative for holes.
    """

    points: Ints
    offsets: Ints
    component: Ints
    area_px: Ints


def following(start: Ints) -> Ints:
    """Index [n] of the point after each one along its ring, for rings that start at `start` [rings + 1]."""
    after = np.arange(1, start[-1] + 1)
    after[start[1:] - 1] = start[:-1]
    return after


def preceding(start: Ints) -> Ints:
    """Index [n] of the point before each one along its ring."""
    before = np.arange(-1, start[-1] - 1)
    before[start[:-1]] = start[1:] - 1
    return before


def link_rings(
    component: Ints, row: Ints, col: Ints, kind: npt.NDArray[np.uint8], joined: Bools | None = None
) -> Rings:
    """Link corners into rings.

    Args:
        component: [n] component of each corner, numbered from 0.
        row: [n] grid line.
        col: [n] grid column.
        kind: [n] bits `END` and `BOTTOM` of `weft_geo.vector.outline`.
        joined: [n] at which corners the pixels that touch by it alone are one; at the others they are apart. Such
            rings may pass a point twice, and are fit for sub-pixel outlines alone. None: they are apart, and rings are
            cut so that every one is simple.

    Returns:
        All rings.
    """
    if not len(row):
        return Rings(np.zeros((0, 2), int), np.zeros(1, int), np.zeros(0, int), np.zeros(0, int))
    end = (kind & END).astype(np.int64)
    bottom = (kind >> 1).astype(np.int64)
    assert BOTTOM == 2
    r, c = row - row.min(), col - col.min()
    tall, wide = int(r.max()) + 1, int(c.max()) + 1
    # At one point, the corner that closes a run comes first along the line, and the one below a run first across it.
    along = ((component * tall + r) * wide + c) * 2 + (1 - end)
    across = ((component * wide + c) * tall + r) * 2 + (1 - bottom)
    order = np.argsort(along)
    first, second = order[0::2], order[1::2]
    # Upper left and lower right corners start a horizontal edge; the other two end one and start a vertical edge.
    starts = end[first] == bottom[first]
    tail, head = np.where(starts, first, second), np.where(starts, second, first)
    vertical = np.empty(len(row), dtype=np.int64)
    vertical[np.argsort(across)] = np.arange(len(row)) >> 1
    arrives, leaves = vertical[tail], vertical[head]

    doubled = np.flatnonzero((along[second[:-1]] >> 1) == (along[first[1:]] >> 1))
    ring, place = _rank(_successor(arrives, leaves))
    if len(doubled):
        swap = doubled[ring[doubled] == ring[doubled + 1] if joined is None else joined[second[doubled]]]
        if len(swap):
            falling = starts[swap + 1]  # the two pixels lie along the main diagonal: both corners start an edge
            for edges, chosen in ((arrives, swap[falling]), (leaves, swap[~falling])):
                edges[chosen], edges[chosen + 1] = edges[chosen + 1], edges[chosen]
            ring, place = _rank(_successor(arrives, leaves))

    leader = ring == np.arange(len(ring))
    number = np.cumsum(leader) - 1
    ring = number[ring]
    sizes = np.bincount(ring)
    begin = np.cumsum(sizes) - sizes
    edge_at = np.empty(len(ring), dtype=np.int64)
    edge_at[begin[ring] + place] = np.arange(len(ring))
    points = np.empty((len(ring), 2, 2), dtype=np.int64)
    points[:, 0, 0], points[:, 1, 0] = col[tail[edge_at]], col[head[edge_at]]
    points[:, :, 1] = row[tail[edge_at], None]
    strip = (points[:, 0, 0] - points[:, 1, 0]) * points[:, 0, 1]
    return Rings(
        points=points.reshape(-1, 2),
        offsets=np.append(begin, len(ring)) * 2,
        component=component[tail[leader]],
        area_px=np.add.reduceat(strip, begin),
    )


def _successor(arrives: Ints, leaves: Ints) -> Ints:
    """The horizontal edge after each one, over the vertical edge that both know."""
    at = np.empty(len(arrives), dtype=np.int64)
    at[arrives] = np.arange(len(arrives))
    return at[leaves]


def _rank(successor: Ints) -> tuple[Ints, Ints]:
    """The smallest member of each cycle of a permutation, and every member's distance behind it.

    Returns:
        [n] leader of each member's cycle, and [n] steps from the leader to the member.
    """
    count = len(successor)
    jump = successor
    # High bits: the smallest member seen ahead; low bits: the steps to it.
    ahead = np.arange(count) << 32
    span = 1
    while True:
        further = ahead[jump] + span
        np.minimum(ahead, further, out=ahead)
        leader = ahead >> 32
        if np.array_equal(leader, leader[successor]):
            break
        jump = jump[jump]
        span *= 2
    steps = ahead & 0xFFFFFFFF
    sizes = np.bincount(leader, minlength=count)[leader]
    return leader, np.where(steps == 0, 0, sizes - steps)
