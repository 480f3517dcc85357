"""Metres on the ground, for any transform and any CRS."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pyproj
import shapely
from affine import Affine

from weft_geo.errors import CrsError
from weft_geo.vector.arrays import Floats

EXACT_EXTENT_M = 5_000.0
"""Objects longer than this are measured edge by edge on the ellipsoid; smaller ones by the metric at their centre,
which agrees to better than 1e-6 (what is left is of second order in the object's size over the Earth's radius)."""


LONGEST_EDGE_DEG = 5.0
"""Edges that span more than this are cut when they are measured: straight in the CRS, they run far from the geodesic
between their ends, which for an edge around the Earth has no length at all."""

EXACT_SHARE, DRAWN_SHARE = 1e-6, 1e-4
"""Share of a pixel that coordinates are rounded to: corners of pixels are where they are, and rounding only takes the
noise off the last bits; outlines between them are not known better than to a ten-thousandth of one."""


class Ground:
    """The raster's pixel grid laid on the ellipsoid.

    Args:
        transform: pixel (column, row) to CRS coordinates, corner based as in rasterio.
        crs: anything pyproj understands, or None: then the unit of the transform counts as a metre.

    A CRS that cannot be turned into longitude and latitude (an engineering or local one) is measured in its plane, in
    its own unit turned into metres.

    Raises:
        CrsError: the CRS is not understood.
    """

    def __init__(self, transform: Affine, crs: Any) -> None:
        self.transform = transform
        self.crs = as_pyproj(crs)
        self.geod: pyproj.Geod | None = None
        self.unit_m = 1.0
        self.digits = self._digits(EXACT_SHARE)
        self._lonlat: pyproj.Transformer | None = None
        if self.crs is None:
            return
        flat = self.crs.to_2d()
        if flat.is_bound and flat.source_crs is not None:
            flat = flat.source_crs
        geographic = flat.geodetic_crs
        if flat.is_geographic:
            geographic = flat.source_crs if flat.is_derived and flat.source_crs is not None else flat
        if geographic is None or geographic.is_geocentric:
            axes = flat.axis_info
            self.unit_m = float(axes[0].unit_conversion_factor) if axes else 1.0
            return
        geographic = geographic.to_2d()
        self.geod = geographic.get_geod()
        self._degrees = float(np.degrees(geographic.axis_info[0].unit_conversion_factor))
        self._lonlat = pyproj.Transformer.from_crs(flat, geographic, always_xy=True)

    @property
    def is_geodesic(self) -> bool:
        """Whether measures are taken on an ellipsoid (otherwise in the plane)."""
        return self._lonlat is not None

    def _digits(self, share: float) -> int:
        """How many decimals the coordinates need to be right to a share of a pixel."""
        a, b, _, d, e, _ = self.transform[:6]
        side = min(np.hypot(a, d), np.hypot(b, e))
        return int(-np.floor(np.log10(share * side))) if side > 0 else 0

    def rounded(self, share: float) -> Ground:
        """The same ground, with `coordinates` right to this share of a pixel and no finer."""
        other = copy.copy(self)
        other.digits = self._digits(share)
        return other

    def coordinates(self, points: Floats) -> Floats:
        """Pixel columns and rows [n, 2] to CRS coordinates [n, 2], with as many digits as a layer is to have."""
        return np.asarray(np.round(np.column_stack(self.place(points[:, 0], points[:, 1])), self.digits))

    def place(self, cols: Floats, rows: Floats) -> tuple[Floats, Floats]:
        """Pixel columns and rows (0, 0 is the outer corner of the first pixel) to CRS coordinates."""
        a, b, c, d, e, f = self.transform[:6]
        return a * cols + b * rows + c, d * cols + e * rows + f

    def lonlat(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """CRS coordinates to longitude and latitude, degrees, on the CRS's own datum.

        Raises:
            CrsError: some have none.
        """
        assert self._lonlat is not None
        lon, lat = self._lonlat.transform(x, y)
        if not (np.isfinite(lon).all() and np.isfinite(lat).all()):
            raise CrsError(
                "the raster reaches places where its CRS has no longitude and latitude, so areas cannot be measured; "
                "check its CRS and transform, or crop it to the area of use of the CRS"
            )
        # Grids of the whole Earth that are registered at their centres reach half a pixel over the poles.
        return np.asarray(lon) * self._degrees, np.clip(np.asarray(lat) * self._degrees, -90.0, 90.0)

    def metric(self, cols: Floats, rows: Floats, reach_px: Floats | float = 1.0) -> Floats:
        """Metric tensor of the pixel grid at some places.

        Args:
            cols: [n] pixel columns (fractions allowed; 0 is the left edge of the raster).
            rows: [n] pixel rows.
            reach_px: half the span over which the differences are taken, in pixels; cut at `EXACT_EXTENT_M`, since a
                chord through the Earth tells nothing of its surface.

        Returns:
            [n, 3]: E, F, G in m² per pixel²; a step (dc, dr) is sqrt(E dc² + 2 F dc dr + G dr²) metres long, and a
            pixel covers sqrt(EG − F²) m².
        """
        cols, rows = np.asarray(cols, float), np.asarray(rows, float)
        if self._lonlat is None:
            a, b, _, d, e, _ = self.transform[:6]
            one = np.array([a * a + d * d, a * b + d * e, b * b + e * e]) * self.unit_m**2
            return np.tile(one, (len(cols), 1))
        near = self._differences(cols, rows, np.full(cols.shape, 1 / 64))
        most = EXACT_EXTENT_M / np.maximum(np.sqrt(np.maximum(near[:, 0], near[:, 2])), 1e-9)
        return self._differences(cols, rows, np.minimum(np.maximum(np.asarray(reach_px, float), 1.0), most))

    def _differences(self, cols: Floats, rows: Floats, reach: Floats) -> Floats:
        """The metric by differences over twice a reach [n], in pixels."""
        c = np.stack([cols + reach, cols - reach, cols, cols])
        r = np.stack([rows, rows, rows + reach, rows - reach])
        x, y = self.place(c, r)
        points = self._geocentric(*self.lonlat(x, y))
        along_c = (points[0] - points[1]) / (2 * reach[:, None])
        along_r = (points[2] - points[3]) / (2 * reach[:, None])
        return np.stack([(along_c**2).sum(1), (along_c * along_r).sum(1), (along_r**2).sum(1)], axis=1)

    def _geocentric(self, lon: Floats, lat: Floats) -> Floats:
        """Longitude and latitude in degrees to geocentric metres [..., 3]: no seam at 180° and none at the poles."""
        assert self.geod is not None
        lam, phi = np.radians(lon), np.radians(lat)
        normal = self.geod.a / np.sqrt(1 - self.geod.es * np.sin(phi) ** 2)
        flat = normal * np.cos(phi)
        return np.stack([flat * np.cos(lam), flat * np.sin(lam), normal * (1 - self.geod.es) * np.sin(phi)], axis=-1)

    def exact(self, geometry: shapely.Geometry) -> tuple[float, float]:
        """Area in m² and length of the shells in m of one geometry in CRS coordinates, edge by edge."""
        area, perimeter = 0.0, 0.0
        for part in shapely.get_parts(geometry):
            for k, ring in enumerate(shapely.get_rings(part)):
                if self.geod is None:
                    ring_area, ring_length = shapely.Polygon(ring).area * self.unit_m**2, ring.length * self.unit_m
                else:
                    ring_area, ring_length = self._ring(*shapely.get_coordinates(ring).T)
                area += abs(ring_area) if k == 0 else -abs(ring_area)
                perimeter += ring_length if k == 0 else 0.0
        return area, perimeter

    def _ring(self, x: Floats, y: Floats) -> tuple[float, float]:
        """Area in m² and length in m of one closed ring in CRS coordinates."""
        assert self.geod is not None
        lon, lat = self.lonlat(x, y)
        span = np.maximum(np.abs(np.diff(lon)), np.abs(np.diff(lat)))
        pieces = np.maximum(np.ceil(span / LONGEST_EDGE_DEG), 1).astype(np.int64)
        if pieces.max() > 1:
            edge = np.repeat(np.arange(len(pieces)), pieces)
            share = (np.arange(len(edge)) - (np.cumsum(pieces) - pieces)[edge]) / pieces[edge]
            lon, lat = self.lonlat(*(v[:-1][edge] + share * np.diff(v)[edge] for v in (x, y)))
        area, length = self.geod.polygon_area_perimeter(lon, lat)
        onward = np.unwrap(lon, period=360.0)
        if np.ptp(onward) > 180 and abs(onward[-1] - onward[0]) < 180:  # wide, and not around a pole
            # Geod gives either side of a ring; which one is inside follows from the area on a sphere, to within 1 %.
            # The sign of Geod's does not tell: of a ring around the Earth it is that of what rounding leaves.
            eighth, _ = self.geod.polygon_area_perimeter([0, 90, 0], [0, 0, 90])
            lam, height = np.radians(onward), np.sin(np.radians(lat))
            sphere = self.geod.a**2 * abs((np.diff(lam) * (height[:-1] + height[1:]) / 2).sum())
            area = min((abs(area), 8 * eighth - abs(area)), key=lambda side: abs(side - sphere))
        return area, length


def metric_frame(metric: Floats) -> Floats:
    """The linear map [2, 2] from pixel steps (column, row) to metres of a metric [3].

    Args:
        metric: E, F, G as `Ground.metric` gives them. Of the maps that have this metric, the upper triangular one.
    """
    e, f, g = metric
    return np.array([[np.sqrt(e), f / np.sqrt(e)], [0.0, np.sqrt(max(g - f * f / e, 0.0))]])


def lay(points: Floats, frame: Floats) -> Floats:
    """Points [n, 2] under a linear map [2, 2]; equal points stay equal to the last bit (a matrix product may not)."""
    x, y = points[:, 0], points[:, 1]
    return np.column_stack([frame[0, 0] * x + frame[0, 1] * y, frame[1, 0] * x + frame[1, 1] * y])


def as_pyproj(crs: Any) -> pyproj.CRS | None:
    """A pyproj CRS from whatever was given (rasterio, pyproj, "EPSG:32636", WKT, 32636), or None from None.

    Raises:
        CrsError: it is not understood.
    """
    if crs is None:
        return None
    try:
        text = crs.to_wkt() if hasattr(crs, "to_wkt") else crs
        return pyproj.CRS.from_user_input(text) if text else None
    except Exception as error:
        raise CrsError(f"{crs!r} is not a CRS; give one as EPSG:N or WKT ({error})") from error
