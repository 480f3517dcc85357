"""Polygons that reach over 180° or around a pole, in longitudes from −180° to 180° (RFC 7946, section 3.1.9).

Turned into longitude and latitude, the corners of such a polygon jump from one end of the world to the other. Its rings
are followed without the jumps, and what then lies beyond 180° is cut off and moved to where it belongs.
"""

from __future__ import annotations

import numpy as np
import pyproj
import shapely

from weft_geo.vector.arrays import Bools, Floats, Shapes
from weft_geo.vector.polygons import POLYGON


def to_longitudes(shapes: Shapes, change: pyproj.Transformer) -> Shapes:
    """Polygons in longitude and latitude, cut at 180°.

    Args:
        shapes: Polygons and MultiPolygons in a CRS.
        change: from that CRS to longitude and latitude in degrees, always in this order.

    Returns:
        As many Polygons and MultiPolygons.
    """
    moved = shapely.transform(shapes, lambda xy: np.column_stack(change.transform(xy[:, 0], xy[:, 1])))
    for k in np.flatnonzero(_reaches_over(moved) | ~shapely.is_valid(moved)):
        parts = [_around_the_earth(part, change) for part in shapely.get_parts(shapes[k])]
        moved[k] = _cut(shapely.union_all(parts))
    return np.asarray(moved, dtype=object)


def _reaches_over(moved: Shapes) -> Bools:
    """[shapes] whether a corner lies beyond 180°, or two that follow each other lie more than that apart."""
    parts, of_part = shapely.get_parts(moved, return_index=True)
    rings, part = shapely.get_rings(parts, return_index=True)
    points, ring = shapely.get_coordinates(rings, return_index=True)
    far = np.abs(points[:, 0]) > 180
    far[1:] |= (np.abs(np.diff(points[:, 0])) > 180) & (np.diff(ring) == 0)
    found = np.zeros(len(moved), dtype=bool)
    found[of_part[part[ring[far]]]] = True
    return found


def _around_the_earth(polygon: shapely.Polygon, change: pyproj.Transformer) -> shapely.Geometry:
    """One polygon in longitudes without jumps, which may lie beyond 180°."""
    for every_degree in (False, True):
        shell, *holes = (
            _without_jumps(shapely.get_coordinates(ring), change, every_degree) for ring in shapely.get_rings(polygon)
        )
        out = shapely.Polygon(shell)
        # Near a pole a long edge of the CRS, drawn straight in degrees, may cross others.
        if shapely.is_valid(out):
            break
    west = shell[:, 0].min()
    out = shapely.make_valid(out, method="structure", keep_collapsed=False)
    for hole in holes:
        hole = hole - [360 * np.floor((hole[:, 0].min() - west + 1e-9) / 360), 0]
        # A shell around a pole ends where it begins, and a hole may lie on both sides of that.
        for turn in (0, -360):
            out = shapely.difference(out, shapely.make_valid(shapely.Polygon(np.add(hole, [turn, 0]))))
    return out


def _without_jumps(xy: Floats, change: pyproj.Transformer, every_degree: bool) -> Floats:
    """A ring [n, 2] of the CRS in longitudes that go on beyond 180°; around a pole, the ring takes that in.

    `every_degree` keeps points on edges that span more than one.
    """
    lon, lat = change.transform(xy[:, 0], xy[:, 1])
    if change.source_crs is not None and change.source_crs.is_geographic:
        unit = np.degrees(change.source_crs.axis_info[0].unit_conversion_factor)
        return np.column_stack([lon + 360 * np.round((xy[:, 0] * unit - lon) / 360), lat])
    pieces = np.maximum(np.ceil(np.abs(np.diff(lon))), 1).astype(np.int64)
    edge = np.repeat(np.arange(len(pieces)), pieces)
    share = (np.arange(len(edge)) - (np.cumsum(pieces) - pieces)[edge]) / pieces[edge]
    fine = np.vstack([xy[:-1][edge] + share[:, None] * np.diff(xy, axis=0)[edge], xy[-1:]])
    lon, lat = change.transform(fine[:, 0], fine[:, 1])
    ring = np.column_stack([np.unwrap(lon, period=360), lat])
    if abs(ring[-1, 0] - ring[0, 0]) > 180:
        # The meridian from the corner nearest to the pole crosses nothing of the ring on its way there.
        nearest = int(np.abs(lat).argmax())
        lon, lat = (np.append(v[nearest:-1], v[: nearest + 1]) for v in (lon, lat))
        ring = np.column_stack([np.unwrap(lon, period=360), lat])
        pole = np.copysign(90.0, lat[0])
        return np.vstack([ring, [[ring[-1, 0], pole], [ring[0, 0], pole]]])
    return ring if every_degree else np.asarray(ring[np.append(share == 0, True)])


def _cut(shape: shapely.Geometry) -> shapely.Geometry:
    """A shape of any longitudes in those from −180° to 180°."""
    west, _, east, _ = shape.bounds
    parts = []
    for turn in range(int(np.floor((west + 180) / 360)), int(np.ceil((east + 180) / 360))):
        some = shapely.intersection(shape, shapely.box(360 * turn - 180, -90, 360 * turn + 180, 90))
        parts += shapely.get_parts(shapely.transform(some, lambda xy, turn=turn: xy - [360 * turn, 0])).tolist()
    polygons = [part for part in parts if shapely.get_type_id(part) == POLYGON]
    return polygons[0] if len(polygons) == 1 else shapely.MultiPolygon(polygons)
