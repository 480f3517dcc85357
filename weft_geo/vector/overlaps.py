"""New outlines (simplified, right-angled) that would overlap another object give way to the plain ones.

A group of touching objects takes its new outlines only if the interior of none of them meets the plain or the new
outline of an object outside the group; within it they share their edges already. The rule looks at each group with its
neighbours alone, so it does not matter in which order or in which strips the objects come, and no decision ever has to
be taken back.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import shapely

from weft_geo.vector.outline import Bools

PLAIN_FIELDS = [
    pa.field("plain", pa.binary()),
    pa.field("plain_area_m2", pa.float64()),
    pa.field("plain_perimeter_m", pa.float64()),
    pa.field("group", pa.int64()),
    pa.field("top", pa.float64()),
    pa.field("bottom", pa.float64()),
]
"""Beside each object while it waits: its plain outline (null where that is its outline anyway) with its measures, the
first pixel of its group, the row of its own, and the last row that either outline reaches."""


def without_overlaps(batches: Iterable[pa.RecordBatch], rise: float) -> Bools:
    """Decide which objects take their new outline.

    Holds no more objects at once than one batch and those that the sweep line crosses.

    Args:
        batches: in the order of the first pixels, with `PLAIN_FIELDS`.
        rise: how many rows a new outline may begin above its object's first pixel, at most.

    Returns:
        [objects] whether the outline in `geometry` stands.
    """
    plain, new = np.zeros(0, dtype=object), np.zeros(0, dtype=object)
    group, bottom = np.zeros(0, dtype=np.int64), np.zeros(0)
    groups, rejected = [group], [group]
    for batch in batches:
        held = len(plain)
        geometry = shapely.from_wkb(np.asarray(batch.column("geometry")))
        has_new = np.asarray(batch.column("plain").is_valid())
        before = geometry.copy()
        before[has_new] = shapely.from_wkb(np.asarray(batch.column("plain").filter(pa.array(has_new))))
        groups.append(np.asarray(batch.column("group")))
        group = np.append(group, groups[-1])
        plain, new = np.append(plain, before), np.append(new, np.where(has_new, geometry, None))
        bottom = np.append(bottom, np.asarray(batch.column("bottom")))

        mine = np.flatnonzero(~shapely.is_missing(new))
        shapes, owner = np.append(plain, new[mine]), np.append(np.arange(len(plain)), mine)
        left, right = shapely.STRtree(shapes).query(new[mine], predicate="intersects")
        one, other = mine[left], owner[right]
        fresh = (group[one] != group[other]) & ((one >= held) | (other >= held))
        clash = shapely.relate_pattern(new[one[fresh]], shapes[right[fresh]], "T********")
        rejected.append(np.unique(group[one[fresh]][clash]))

        ahead = bottom >= batch.column("top")[-1].as_py() - rise
        plain, new, group, bottom = plain[ahead], new[ahead], group[ahead], bottom[ahead]
    return ~np.isin(np.concatenate(groups), np.concatenate(rejected))


def choose(batch: pa.RecordBatch, stands: Bools, schema: pa.Schema) -> pa.RecordBatch:
    """A batch with the outlines that were decided on.

    Args:
        batch: with `PLAIN_FIELDS`.
        stands: [rows] whether the outline in `geometry` does.
        schema: of the result, without those fields.
    """
    plain = pa.array(~stands & np.asarray(batch.column("plain").is_valid()))
    swap = {"geometry": "plain", "area_m2": "plain_area_m2", "perimeter_m": "plain_perimeter_m"}
    columns = [
        pa.compute.if_else(plain, batch.column(swap[name]), batch.column(name)) if name in swap else batch.column(name)
        for name in schema.names
    ]
    return pa.record_batch(columns, schema=schema)
