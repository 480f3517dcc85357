"""Says in words whether a scene and a model fit each other, and what will be done where they do not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from weft_geo.errors import InputError
from weft_geo.geo.contract import SCENE_SCALE, ModelContract
from weft_geo.geo.ground import crs_name, describe_pixel
from weft_geo.geo.normalize import select_bands
from weft_geo.geo.raster_info import RasterInfo


@dataclass(frozen=True)
class FitNote:
    """One finding.

    Attributes:
        level: ``ok``; ``warning`` if a run works but deserves a look; ``error`` if it would be refused.
        message: What was found, and what to do.
    """

    level: Literal["ok", "warning", "error"]
    message: str


def check_fit(info: RasterInfo, contract: ModelContract) -> list[FitNote]:
    """Compares a scene with a model: place, bands, values, ground sampling distance, size.

    Args:
        info: The scene.
        contract: The model's.

    Returns:
        Findings in this order; the pair fits if none is an ``error``.
    """
    return [
        *_check_bands(info, contract),
        _check_values(info, contract),
        *_check_ground(info, contract),
        _check_size(info, contract),
    ]


def _check_bands(info: RasterInfo, contract: ModelContract) -> list[FitNote]:
    try:
        bands, warnings = select_bands(info, contract.bands)
    except InputError as error:
        return [FitNote("error", str(error))]
    listed = ", ".join(str(band) for band in bands)
    return [FitNote("ok", f"bands {listed} go to the model"), *(FitNote("warning", text) for text in warnings)]


def _check_values(info: RasterInfo, contract: ModelContract) -> FitNote:
    if contract.scale == SCENE_SCALE:
        return FitNote("ok", "values are scaled by the scene's own range, all bands alike")
    if isinstance(contract.scale, tuple):
        return FitNote("ok", f"values {contract.scale[0]:g} to {contract.scale[1]:g} are mapped to 0 to 255")
    if info.dtype == "uint8":
        return FitNote("ok", "uint8 values are used as they are")
    return FitNote("ok", f"{info.dtype} values are stretched from the scene's own 2nd to 98th percentile, band by band")


def _check_ground(info: RasterInfo, contract: ModelContract) -> list[FitNote]:
    try:
        pixel = info.pixel
    except InputError as error:
        return [FitNote("error", str(error))]
    placed = FitNote("ok", f"placed in {crs_name(info.required_crs)}, {describe_pixel(pixel)} a pixel on the ground")
    if not info.georeferenced:
        return [FitNote("warning", units_for_pixels(info))]
    if contract.gsd_m is None:
        return [placed, FitNote("warning", "the model does not say at which ground sampling distance it was trained")]
    change = info.resampling("auto", contract.gsd_m)
    if change is None:
        return [placed, FitNote("ok", f"the model was trained at {contract.gsd_m:g} m, which is near enough")]
    return [placed, FitNote("warning", change.reason)]


def units_for_pixels(info: RasterInfo) -> str:
    """What is said of a raster that has a CRS, given or its own, and no transform."""
    return (
        f"{info.name} does not say where it lies; its pixels are taken as units of {crs_name(info.required_crs)}, "
        "also in areas, and are not resampled unless --gsd says so"
    )


def _check_size(info: RasterInfo, contract: ModelContract) -> FitNote:
    if min(info.height, info.width) >= contract.window:
        return FitNote("ok", f"windows of {contract.window} px that share {contract.overlap} px cover it")
    return FitNote("ok", f"smaller than the model's window of {contract.window} px; padded by reflection")
