"""Which bands a model is given, and how their values become the model's numbers.

Scaling is decided once for the scene, never for a window: else one roof would look different from window to window.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weft_geo.errors import ContractError, InputError
from weft_geo.geo.contract import SCENE_SCALE, ModelContract
from weft_geo.geo.raster import Raster
from weft_geo.geo.raster_info import RasterInfo

Bands = str | tuple[int, ...] | list[int]
"""1-based band numbers in the model's order, or the same as ``"3,2,1"``."""

STRETCH_PERCENTILES = (2.0, 98.0)
"""What QGIS calls a cumulative count cut, with its default limits."""

HEADROOM = 0.25
"""What ``scene_range`` leaves free at either end, as a share of what lies between: bright roofs keep their texture."""


def parse_bands(bands: Bands) -> tuple[int, ...]:
    """Reads ``"3,2,1"`` or a sequence of 1-based band numbers.

    Raises:
        InputError: If it is neither.
    """
    parts = bands.split(",") if isinstance(bands, str) else list(bands)
    try:
        return tuple(int(part) for part in parts)
    except ValueError as error:
        raise InputError(f"bands must be band numbers such as 3,2,1, got {bands!r}") from error


def select_bands(info: RasterInfo, wanted: int, requested: Bands | None = None) -> tuple[tuple[int, ...], list[str]]:
    """Chooses the scene's bands for a model.

    Without a request: red, green and blue by their colour interpretation if three are wanted and they are marked; else
    the first bands; a lone band serves for all three colours. An alpha band is never an image band.

    Args:
        info: The scene.
        wanted: Bands that the model takes.
        requested: 1-based band numbers, in the model's order.

    Returns:
        1-based band numbers in the model's order, and warnings.

    Raises:
        InputError: If a requested band is not there.
        ContractError: If scene and model do not fit.
    """
    if requested is not None:
        bands = parse_bands(requested)
        if missing := [band for band in bands if not 1 <= band <= info.bands]:
            raise InputError(f"{info.name} has bands 1 to {info.bands}, but {missing[0]} was asked for")
        if len(bands) != wanted:
            raise ContractError(f"the model takes {wanted} bands, but {len(bands)} were given: {list(bands)}")
        return bands, []
    if "palette" in info.colors:
        raise ContractError(
            f"{info.name} holds numbers of palette colours, not an image; expand it first (gdal_translate -expand rgb)"
        )
    if wanted == 3 and {"red", "green", "blue"} <= set(info.colors):
        return tuple(info.colors.index(color) + 1 for color in ("red", "green", "blue")), []
    image = [band for band, color in enumerate(info.colors, start=1) if color != "alpha"]
    if wanted == 3 and len(image) == 1:
        return (image[0],) * 3, [f"{info.name} has one band; it serves as red, green and blue"]
    if len(image) < wanted:
        raise ContractError(
            f"the model takes {wanted} bands, but {info.name} has {len(image)}. "
            f"Give which to use with --bands, repeating one if it must be ({','.join(['1'] * wanted)})"
        )
    chosen = tuple(image[:wanted])
    if len(image) == wanted:
        return chosen, []
    listed = ", ".join(str(band) for band in chosen)
    return chosen, [
        f"{info.name} has {len(image)} bands and does not say which are which; the model's {wanted} are taken to be "
        f"{listed}. Give others with --bands"
    ]


@dataclass(frozen=True)
class Normalizer:
    """Turns stored values into the model's numbers: ``(clip((v − low) · 255/(high − low), 0, 255) − mean) / std``.

    Attributes:
        low: Per band, the value that becomes 0.
        high: Per band, the value that becomes 255.
        mean: Per band, on 0..255.
        std: Per band, on 0..255.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(
        self, values: NDArray[Any], valid: NDArray[np.bool_] | None, out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Normalises one rectangle.

        Args:
            values: ``[C, h, w]`` as stored.
            valid: ``[h, w]``; other pixels become 0, which is the mean. None if all are.
            out: float32 ``[C, h, w]`` to write to; None makes one.

        Returns:
            float32 ``[C, h, w]``.
        """
        # 24 bits of a float32 hold any 16-bit value; wider types lose their offset unless it is taken off first.
        narrow = values.dtype.itemsize <= 2
        normal = np.empty(values.shape, np.float32) if out is None else out
        bands = zip(self.low, self.high, self.mean, self.std, strict=True)
        for band, (low, high, mean, std) in enumerate(bands):
            scaled = normal[band] if narrow else np.empty(values.shape[1:], np.float64)
            with np.errstate(invalid="ignore", over="ignore"):
                if values.dtype == np.uint8 and (low, high) == (0, 255):  # on 0..255 as it is
                    np.subtract(values[band], np.float32(mean), out=scaled, dtype=np.float32)
                else:
                    np.subtract(values[band], scaled.dtype.type(low), out=scaled, dtype=scaled.dtype)
                    scaled *= 255 / (high - low)
                    np.clip(scaled, 0, 255, out=scaled)
                    scaled -= mean
                if std != 1:
                    scaled /= std
            if not narrow:
                normal[band] = scaled
        if valid is not None and not valid.all():
            normal[:, ~valid] = 0
        return normal


def measure_normalizer(
    raster: Raster,
    bands: tuple[int, ...],
    contract: ModelContract,
    sample: tuple[NDArray[Any], NDArray[np.bool_]] | None = None,
) -> Normalizer:
    """Decides how a scene's values are scaled for a model.

    The contract's range if it has one; the scene's own if it says so (``scene_range``); else uint8 as it is, and any
    other type from the scene's percentiles, band by band. What a scene tells comes from one decimated read of the
    whole of it.

    Args:
        raster: The scene on its own grid, so that resampling does not change the answer.
        bands: 1-based band numbers in the model's order.
        contract: The model's.
        sample: What ``raster.sample(bands)`` gave, for who has it already.

    Raises:
        RunError: If the scene cannot be read.
    """
    if isinstance(contract.scale, tuple):
        limits = [contract.scale] * len(bands)
    elif contract.scale == SCENE_SCALE:
        values, valid = sample or raster.sample(bands)
        limits = [scene_range(values[:, valid], raster.info.nodata)] * len(bands)
    elif raster.info.dtype == "uint8":
        limits = [(0.0, 255.0)] * len(bands)
    else:
        values, valid = sample or raster.sample(bands)
        limits = [_percentiles(band[valid], raster.info.nodata) for band in values]
    low, high = zip(*limits, strict=True)
    return Normalizer(low, high, contract.means, contract.stds)


def scene_range(values: NDArray[Any], nodata: float | None = None) -> tuple[float, float]:
    """The range of values that suits a scene, whatever its exposure: percentiles over all bands, with headroom.

    One range for all bands keeps the colours as they are.

    Args:
        values: Of all bands, any shape, as stored.
        nodata: A value that does not count.

    Returns:
        The values that become 0 and 255. Neither needs to occur, nor to fit the type.
    """
    low, high = _percentiles(values, nodata)
    free = HEADROOM * (high - low)
    return low - free, high + free


def _percentiles(values: NDArray[Any], nodata: float | None) -> tuple[float, float]:
    if nodata is not None:
        values = values[values != nodata]
    if not values.size:
        return 0.0, 1.0
    low, high = np.percentile(values.astype(np.float64), STRETCH_PERCENTILES)
    # A constant band has no range; any will do, as long as it is one.
    return float(low), float(high) if high > low else float(low) + 1.0
