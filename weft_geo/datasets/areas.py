"""Divides scenes into an area to train on and one to validate on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray

from weft_geo.errors import InputError

Bounds = tuple[float, float, float, float]


@dataclass(frozen=True)
class Areas:
    """Rectangles (minx, miny, maxx, maxy) in the CRS of the scenes, one of each for every scene."""

    train: list[Bounds]
    val: list[Bounds]

    def to_learn(self, shapes: NDArray[np.object_]) -> NDArray[np.object_]:
        """Polygons without what lies in an area that validates, as it may where rasters overlap; some may be empty."""
        train, val = (shapely.union_all([shapely.box(*area) for area in areas]) for areas in (self.train, self.val))
        if not shapely.area(shapely.intersection(train, val)):
            return shapes
        return np.asarray(shapely.difference(shapely.make_valid(shapes), val))


def split_by_area(
    scenes: Sequence[Bounds], objects: gpd.GeoDataFrame, share: float, pixel: tuple[float, float] | None = None
) -> Areas:
    """Keep a strip of each scene, along one of its four sides, for validation.

    Of the four strips, the one is taken that holds the share of the objects' area which is nearest to its share of the
    scene, so that both parts have objects. Nothing is drawn at random: the split is the same every time. Chips are cut
    from one part or from the other, so no pixel is in both, as it would be if overlapping chips were divided.

    Args:
        scenes: rectangles of the scenes.
        objects: polygons in the same CRS.
        share: of each scene's area that is kept for validation, in (0, 1).
        pixel: width and height of a pixel; strips are then of whole pixels, one at least, so that chips that begin at
            their edges show pixels as they are. None for any width.

    Raises:
        InputError: `share` is out of range, or would leave nothing of a scene.
    """
    if not 0 < share < 1:
        raise InputError(f"the share kept for validation must lie between 0 and 1, got {share}")
    shapes = objects.geometry.array
    train, val = [], []
    for scene in scenes:
        inside = shapely.clip_by_rect(shapes[shapely.intersects(shapes, shapely.box(*scene))], *scene)
        total = float(shapely.area(inside).sum())

        def unlike(parts: tuple[Bounds, Bounds], inside: object = inside, total: float = total) -> float:
            held = float(shapely.area(shapely.clip_by_rect(inside, *parts[1])).sum())
            return abs(held / total - share) if total else 0.0

        rest, strip = min(_strips(scene, share, pixel), key=unlike)
        train.append(rest)
        val.append(strip)
    return Areas(train, val)


def _strips(scene: Bounds, share: float, pixel: tuple[float, float] | None) -> list[tuple[Bounds, Bounds]]:
    """(what is left, strip) for the bottom, the top, the left and the right."""
    x0, y0, x1, y1 = scene
    dx, dy = (x1 - x0) * share, (y1 - y0) * share
    if pixel is not None:
        dx, dy = (max(round(reach / side), 1) * side for reach, side in zip((dx, dy), pixel, strict=True))
        if dx > x1 - x0 - pixel[0] / 2 or dy > y1 - y0 - pixel[1] / 2:
            raise InputError(
                f"a raster of {(x1 - x0) / pixel[0]:.1f} × {(y1 - y0) / pixel[1]:.1f} pixels cannot be divided; leave "
                "it out, give a smaller --gsd, or keep another share for validation"
            )
    return [
        ((x0, y0 + dy, x1, y1), (x0, y0, x1, y0 + dy)),
        ((x0, y0, x1, y1 - dy), (x0, y1 - dy, x1, y1)),
        ((x0 + dx, y0, x1, y1), (x0, y0, x0 + dx, y1)),
        ((x0, y0, x1 - dx, y1), (x1 - dx, y0, x1, y1)),
    ]
