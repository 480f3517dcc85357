"""Many polygons at once, as flat arrays in pixel coordinates, and what is measured on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from weft_geo.vector.arrays import Bools, Floats, Ints, Shapes
from weft_geo.vector.ground import EXACT_EXTENT_M, Ground
from weft_geo.vector.rings import following

POLYGON, MULTIPOLYGON = int(shapely.GeometryType.POLYGON), int(shapely.GeometryType.MULTIPOLYGON)


@dataclass(frozen=True)
class Polygons:
    """The polygons of some objects; an object may have several, a polygon has one shell and any number of holes.

    Attributes:
        points: [n, 2] columns and rows in pixels (0, 0 is the outer corner of the first pixel); rings are not closed,
            and have the object on their right as one looks at the image.
        ring_start: [rings + 1] where each ring starts in `points`.
        is_shell: [rings] whether it is a shell; the holes of a shell follow it.
        owner: [rings] object of each ring, ascending.
        count: number of objects.
    """

    points: Floats
    ring_start: Ints
    is_shell: Bools
    owner: Ints
    count: int

    @classmethod
    def from_shapely(cls, shapes: Shapes) -> Polygons:
        """Polygons and MultiPolygons in pixel coordinates, one an object."""
        shapes = shapely.orient_polygons(shapes, exterior_cw=False)
        parts, owner = shapely.get_parts(shapes, return_index=True)
        rings, part = shapely.get_rings(parts, return_index=True)
        is_shell = np.diff(part, prepend=-1) > 0
        points, ring = shapely.get_coordinates(rings, return_index=True)
        last = np.append(np.diff(ring) > 0, True)[: len(ring)]
        start = np.append(0, np.cumsum(np.bincount(ring[~last], minlength=len(rings))))
        return cls(points[~last], start, is_shell, owner[part], len(shapes))

    def to_shapely(self, ground: Ground | None = None) -> Shapes:
        """One geometry an object: a Polygon, or a MultiPolygon where it has several.

        Args:
            ground: where the pixels lie; None leaves pixel coordinates.

        Returns:
            [objects] geometries, shells counter-clockwise in the coordinates returned.
        """
        points, flip = self.points, False
        if ground is not None:
            points = ground.coordinates(points)
            a, b, _, d, e, _ = ground.transform[:6]
            flip = a * e - b * d < 0
        size = np.diff(self.ring_start)
        closed_start = self.ring_start + np.arange(len(self.ring_start))
        index = np.arange(closed_start[-1]) - np.repeat(closed_start[:-1], size + 1)
        index[closed_start[1:] - 1] = 0
        if flip:
            index = np.where(index > 0, np.repeat(size, size + 1) - index, 0)
        index += np.repeat(self.ring_start[:-1], size + 1)
        shell = np.flatnonzero(self.is_shell)
        polygons = shapely.from_ragged_array(
            shapely.GeometryType.POLYGON, points[index], (closed_start, np.append(shell, len(size)))
        )
        owner = self.owner[shell]
        parts = np.bincount(owner, minlength=self.count)
        out = np.empty(self.count, dtype=object)
        alone = parts[owner] == 1
        out[owner[alone]] = polygons[alone]
        if not alone.all():
            several, number = np.unique(owner[~alone], return_inverse=True)
            out[several] = shapely.multipolygons(polygons[~alone], indices=number)
        return out

    def keep_rings(self, keep: Bools) -> Polygons:
        """Without some rings; the number of objects stays."""
        if keep.all():
            return self
        size = np.diff(self.ring_start)
        return Polygons(
            self.points[np.repeat(keep, size)],
            np.append(0, np.cumsum(size[keep])),
            self.is_shell[keep],
            self.owner[keep],
            self.count,
        )

    def keep_objects(self, keep: Bools) -> Polygons:
        """Without some objects."""
        if keep.all():
            return self
        left = self.keep_rings(keep[self.owner])
        number = np.cumsum(keep) - 1
        return Polygons(left.points, left.ring_start, left.is_shell, number[left.owner], int(keep.sum()))

    def bounds(self) -> tuple[Floats, Floats]:
        """Least and greatest column and row of each object, [objects, 2] each."""
        begin = self.ring_start[np.searchsorted(self.owner, np.arange(self.count))]
        return np.minimum.reduceat(self.points, begin), np.maximum.reduceat(self.points, begin)

    def measure(self, ground: Ground) -> Measures:
        """Measure every ring and object on the ground."""
        size = np.diff(self.ring_start)
        begin = self.ring_start[:-1]
        first_ring = np.searchsorted(self.owner, np.arange(self.count))
        origin = self.points[begin[first_ring]]
        low, high = self.bounds()

        local = self.points - np.repeat(origin[self.owner], size, axis=0)
        step = local[following(self.ring_start)] - local
        cross = local[:, 0] * step[:, 1] - local[:, 1] * step[:, 0]
        ring_px = np.add.reduceat(cross, begin) / 2
        moment = np.add.reduceat((2 * local + step) * cross[:, None], begin) / 6
        area_px = np.add.reduceat(ring_px, first_ring)
        centre = np.add.reduceat(moment, first_ring) / np.maximum(area_px, 1e-12)[:, None] + origin
        centre = np.clip(centre, low, high)

        metric = ground.metric(centre[:, 0], centre[:, 1], (high - low).max(axis=1) / 2)
        scale = np.sqrt(np.maximum(metric[:, 0] * metric[:, 2] - metric[:, 1] ** 2, 0))
        e, f, g = np.repeat(metric[self.owner], size, axis=0).T
        length = np.sqrt(e * step[:, 0] ** 2 + 2 * f * step[:, 0] * step[:, 1] + g * step[:, 1] ** 2)
        ring_m = np.where(self.is_shell, np.add.reduceat(length, begin), 0)
        extent = np.hypot(*((high - low) * np.sqrt(metric[:, [0, 2]])).T)
        return Measures(
            ring_m2=np.abs(ring_px) * scale[self.owner],
            area_m2=area_px * scale,
            perimeter_m=np.add.reduceat(ring_m, first_ring),
            metric=metric,
            exact=(extent > EXACT_EXTENT_M) & ground.is_geodesic,
        )


@dataclass(frozen=True)
class Measures:
    """What was measured on some objects, by the metric of the ground at the centre of each.

    Attributes:
        ring_m2: [rings] area inside each ring.
        area_m2: [objects] area.
        perimeter_m: [objects] length of the shells, as pyproj's `Geod.geometry_area_perimeter` has it.
        metric: [objects, 3] see `Ground.metric`.
        exact: [objects] so large that it should be measured edge by edge instead.
    """

    ring_m2: Floats
    area_m2: Floats
    perimeter_m: Floats
    metric: Floats
    exact: Bools
