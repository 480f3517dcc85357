"""How large a pixel is on the ground, and by how much a scene must be resampled to suit a model.

Sizes are geodesic, on the CRS' own ellipsoid, at the scene's centre. So EPSG:3857, whose metres are longer than real
ones by 1/cos(latitude), and EPSG:4326, which has no metres, are measured truly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import pyproj
from affine import Affine
from pyproj.exceptions import CRSError, ProjError
from rasterio.crs import CRS
from rasterio.errors import CRSError as RasterioCRSError

from weft_geo.errors import CrsError, InputError

TOLERATED_RATIO = 1.5
"""A scene is resampled automatically if its pixels differ from the model's by more than this factor."""

MAX_AUTO_ENLARGEMENT = 8.0
"""Automatic resampling never enlarges a scene more than this: there is no detail to be gained, only work."""

MAX_ENLARGEMENT = 100.0
"""Nor is it enlarged more than this when it is asked for: the unit must have been another."""


class PixelSize(NamedTuple):
    """Metres on the ground between the centres of neighbouring pixels."""

    down_m: float
    """From one row to the next."""
    across_m: float
    """From one column to the next."""

    @property
    def mean_m(self) -> float:
        """Side of the square pixel of the same area."""
        return math.sqrt(self.down_m * self.across_m)


def measure_pixel(transform: Affine, crs: CRS, height: int, width: int) -> PixelSize:
    """Measures the pixel at a raster's centre on the ground.

    Args:
        transform: Pixel (column, row) → CRS coordinates.
        crs: The raster's CRS.
        height: Rows.
        width: Columns.

    Raises:
        CrsError: If the CRS cannot be related to the Earth, or the centre lies outside of where it is valid.
    """
    row, col = height / 2, width / 2
    xs, ys = zip(
        *(transform @ point for point in ((col, row - 0.5), (col, row + 0.5), (col - 0.5, row), (col + 0.5, row))),
        strict=True,
    )
    try:
        proj = pyproj.CRS.from_wkt(crs.to_wkt())
        geodetic, geod = proj.geodetic_crs, proj.get_geod()
        if geodetic is None or geod is None:
            raise CrsError(
                f"the CRS {crs_name(crs)} is not tied to the Earth, so nothing can be measured in metres. "
                "Give one that is with --crs EPSG:…"
            )
        to_degrees = pyproj.Transformer.from_crs(proj, geodetic, always_xy=True)
        lon, lat = to_degrees.transform(xs, ys, errcheck=True)
        down_m = geod.inv(lon[0], lat[0], lon[1], lat[1])[2]
        across_m = geod.inv(lon[2], lat[2], lon[3], lat[3])[2]
    except (CRSError, ProjError) as error:
        raise CrsError(f"pixels cannot be measured in {crs_name(crs)}: {error}") from error
    if not (math.isfinite(down_m) and math.isfinite(across_m) and down_m > 0 and across_m > 0):
        raise CrsError(
            f"the raster's centre {transform @ (col, row)} is not a place in {crs_name(crs)}. "
            "If the CRS is wrong, give the right one with --crs EPSG:…"
        )
    return PixelSize(down_m, across_m)


def parse_crs(crs: str | CRS) -> CRS:
    """Reads a CRS as the user gave it.

    Raises:
        CrsError: If it is not one.
    """
    try:
        return CRS.from_user_input(crs)
    except (RasterioCRSError, ValueError) as error:  # EPSG:x is the latter
        raise CrsError(f"{crs!r} is not a CRS; give one as EPSG:n or WKT") from error


def crs_name(crs: CRS) -> str:
    """``EPSG:n`` if the CRS has a number, else its name."""
    code = crs.to_epsg()
    return f"EPSG:{code}" if code else str(pyproj.CRS.from_wkt(crs.to_wkt()).name)


@dataclass(frozen=True)
class Resampling:
    """A change of grid: pixels of the new grid are ``down`` × ``across`` pixels of the old one (above 1 is coarser)."""

    down: float
    across: float
    reason: str

    @property
    def coarser(self) -> bool:
        """Whether the new grid has larger pixels, by area."""
        return self.down * self.across > 1

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the new grid, which keeps the extent exactly."""
        return max(1, round(height / self.down)), max(1, round(width / self.across))


def parse_gsd(gsd: str | float) -> str | float:
    """Reads ``auto``, ``native`` or a number of metres.

    Raises:
        InputError: If it is neither.
    """
    if gsd in ("auto", "native"):
        return gsd
    try:
        metres = float(gsd)
    except (TypeError, ValueError):
        metres = math.nan
    if not (math.isfinite(metres) and metres > 0):
        raise InputError(f"gsd must be auto, native, or a positive number of metres per pixel, got {gsd!r}")
    return metres


def choose_resampling(pixel: PixelSize, gsd: str | float, model_gsd_m: float | None) -> Resampling | None:
    """Decides whether a scene is resampled before the model sees it.

    Args:
        pixel: The scene's pixel on the ground.
        gsd: ``auto`` resamples if either side differs from the model's by more than ``TOLERATED_RATIO``; ``native``
            never; a number always, to that many metres.
        model_gsd_m: What the model was trained at, or None.

    Returns:
        None to leave the scene as it is.

    Raises:
        InputError: It would be enlarged by more than ``MAX_ENLARGEMENT``.
    """
    gsd = parse_gsd(gsd)
    here = f"the scene has {describe_pixel(pixel)} a pixel"
    if isinstance(gsd, float):
        if gsd * MAX_ENLARGEMENT < (coarsest := max(pixel)):
            raise InputError(
                f"{here}; {gsd:g} m would enlarge it {coarsest / gsd:,.0f} times, and {MAX_ENLARGEMENT:g} is the most; "
                f"give --gsd {coarsest / MAX_ENLARGEMENT:.3g} or more"
            )
        wanted = Resampling(gsd / pixel.down_m, gsd / pixel.across_m, f"{here}; resampled to {gsd:g} m, as asked")
        return None if max(abs(wanted.down - 1), abs(wanted.across - 1)) < 1e-3 else wanted
    if gsd == "native" or model_gsd_m is None:
        return None
    down, across = model_gsd_m / pixel.down_m, model_gsd_m / pixel.across_m
    if max(down, across, 1 / down, 1 / across) <= TOLERATED_RATIO:
        return None
    reason = f"{here} and the model expects {model_gsd_m:g} m; resampled to that (--gsd native leaves it as it is)"
    largest = max(1 / down, 1 / across)
    if largest > MAX_AUTO_ENLARGEMENT:
        ease = largest / MAX_AUTO_ENLARGEMENT
        down, across = down * ease, across * ease
        reason = (
            f"{here} and the model expects {model_gsd_m:g} m; it cannot show what the model looks for. "
            f"Enlarged {MAX_AUTO_ENLARGEMENT:g} times, no more"
            f"{f' (--gsd {model_gsd_m:g} insists)' if largest <= MAX_ENLARGEMENT else ''}"
        )
    return Resampling(down, across, reason)


def describe_pixel(pixel: PixelSize) -> str:
    """``0.30 m``, or ``0.30 × 0.21 m`` (down × across) if a pixel is not square on the ground."""
    if abs(pixel.down_m / pixel.across_m - 1) < 0.02:
        return f"{pixel.mean_m:.3g} m"
    return f"{pixel.down_m:.3g} × {pixel.across_m:.3g} m"
