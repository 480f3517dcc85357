"""What a raster is, without its pixels: size, bands, type, place, nodata, blocks, overviews."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from affine import Affine
from rasterio.crs import CRS
from rasterio.enums import MaskFlags

from weft_geo.errors import CrsError
from weft_geo.geo.ground import PixelSize, Resampling, choose_resampling, crs_name, measure_pixel


@dataclass(frozen=True)
class RasterInfo:
    """What a raster is, without its pixels.

    Attributes:
        path: As it was given.
        driver: GDAL's short name of the format.
        height: Rows.
        width: Columns.
        bands: Bands, an alpha band included.
        dtype: numpy name of the first band's type.
        crs: The CRS, the override if one was given, or None.
        stored_crs: The CRS that the file itself names, or None.
        transform: Pixel (column, row), corner-based → CRS coordinates; may be rotated or south-up.
        nodata: The first band's nodata value, or None.
        masked: Whether an alpha band or a mask band says which pixels are valid.
        colors: GDAL's colour interpretation of each band: ``red``, ``gray``, ``alpha``, ``palette``, ``undefined`` …
            Where it says no colour, that of the band's description if it is ``red``, ``green`` or ``blue``.
        block_shape: (height, width) of the blocks in which the first band is stored.
        overviews: Decimation factors of the overviews.
    """

    path: str
    driver: str
    height: int
    width: int
    bands: int
    dtype: str
    crs: CRS | None
    stored_crs: CRS | None
    transform: Affine
    nodata: float | None
    masked: bool
    colors: tuple[str, ...]
    block_shape: tuple[int, int]
    overviews: tuple[int, ...]

    @classmethod
    def of(cls, dataset: Any, path: str, crs: CRS | None) -> RasterInfo:
        """What an open dataset of rasterio is, with `crs` in the place of its own."""
        colors = tuple(map(_color, dataset.colorinterp, dataset.descriptions))
        flags = {flag for band in dataset.mask_flag_enums for flag in band}
        nodata = dataset.nodata
        return cls(
            path=path,
            driver=dataset.driver,
            height=dataset.height,
            width=dataset.width,
            bands=dataset.count,
            dtype=dataset.dtypes[0],
            crs=crs or None,
            stored_crs=dataset.crs or None,
            transform=dataset.transform,
            nodata=None if nodata is None else math.nan if math.isnan(nodata) else float(nodata),
            masked="alpha" in colors or MaskFlags.per_dataset in flags,
            colors=colors,
            block_shape=dataset.block_shapes[0],
            overviews=tuple(dataset.overviews(1)),
        )

    @property
    def name(self) -> str:
        """The last part of the path, for messages."""
        return Path(self.path).name or self.path

    @property
    def georeferenced(self) -> bool:
        """Whether the raster says where it lies, in whichever CRS."""
        return bool(self.transform != Affine.identity())

    def describe_replaced_crs(self) -> str | None:
        """What to say where another CRS was given than the file names."""
        if self.crs is None or self.stored_crs is None or self.crs == self.stored_crs:
            return None
        return f"{self.name} says {crs_name(self.stored_crs)}; {crs_name(self.crs)} is used instead"

    @property
    def pixel(self) -> PixelSize:
        """The pixel's true size on the ground, at the centre.

        Raises:
            CrsError: If there is no CRS or it cannot be measured in.
        """
        return measure_pixel(self.transform, self.required_crs, self.height, self.width)

    def resampling(self, gsd: str | float, model_gsd_m: float | None) -> Resampling | None:
        """How the raster is resampled for a model; never of itself where a pixel's size is not known.

        Args:
            gsd: As for ``weft_geo.geo.ground.choose_resampling``.
            model_gsd_m: What the model was trained at, or None.

        Returns:
            None to leave it as it is.

        Raises:
            CrsError: If there is no CRS or it cannot be measured in.
            InputError: If ``gsd`` cannot be.
        """
        if not self.georeferenced and gsd == "auto":
            return None
        return choose_resampling(self.pixel, gsd, model_gsd_m)

    @property
    def required_crs(self) -> CRS:
        """The CRS.

        Raises:
            CrsError: If there is none; the message says what to do.
        """
        if self.crs is not None:
            return self.crs
        if self.georeferenced:
            raise CrsError(f"{self.name} has no CRS, so polygons cannot be placed. Give one with --crs EPSG:…")
        raise CrsError(
            f"{self.name} has neither a CRS nor a transform, so polygons cannot be placed. Georeference it "
            "(gdal_translate -a_srs EPSG:… -a_ullr left top right bottom), or give --crs EPSG:… to take pixels as units"
        )


def _color(interpretation: Any, description: str | None) -> str:
    name = "undefined" if interpretation is None else str(interpretation.name)
    told = (description or "").strip().lower()
    return told if name in ("undefined", "gray") and told in ("red", "green", "blue") else name
