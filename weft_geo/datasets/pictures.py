"""Reads pictures and masks, and says in one line what is wrong with those that cannot be used. No torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from weft_geo.datasets.labels import IGNORE
from weft_geo.errors import DatasetError, MissingExtraError

try:
    from PIL import Image
except ImportError as error:
    raise MissingExtraError("reading pictures and masks", "metrics") from error


_EIGHT_BITS = ("1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "YCbCr")


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read a picture as uint8 [3, H, W], red, green, blue.

    Raises:
        DatasetError: it is missing, damaged, or not 8 bits deep.
    """
    with _open(path) as picture:
        if picture.mode not in _EIGHT_BITS:
            raise DatasetError(
                f"{path} is a {_depth(picture)} picture; expected 8 bits. Scale it (gdal_translate -ot Byte -scale)"
            )
        values = np.asarray(_decode(path, picture).convert("RGB"))
    return np.ascontiguousarray(values.transpose(2, 0, 1))


def read_grey(path: Path) -> NDArray[np.uint8]:
    """Read a map or mask of one channel as uint8 [H, W], palette numbers as they are.

    Raises:
        DatasetError: it is missing, damaged, coloured, or not 8 bits deep.
    """
    with _open(path) as picture:
        if picture.mode not in _EIGHT_BITS:
            raise DatasetError(
                f"{path} is a {_depth(picture)} mask; expected 8 bits with 0 and 255, or 0 and 1. "
                "Convert it (gdal_translate -ot Byte -scale 0 MAX 0 255)"
            )
        values = np.asarray(_decode(path, picture))
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * 255
    if values.ndim == 3:
        colours = values[..., : 3 if values.shape[2] > 2 else 1]
        if np.ptp(colours, axis=2).max(initial=0) > 8:  # JPEG leaves a trace of colour in grey
            raise DatasetError(f"{path} is a coloured mask; expected one channel with 0 and 255, or 0 and 1")
        values = values[..., 0]
    return np.ascontiguousarray(values)


def read_mask(path: Path) -> NDArray[np.uint8]:
    """Read a mask as uint8 [H, W]: 0 background, 1 object, 255 unknown.

    Masks of 0 and 1 may hold 255 where nothing is known, as in mmsegmentation. Of any other mask, what is brighter than
    128 is object, as PySODMetrics has it.

    Raises:
        DatasetError: as for `read_grey`.
    """
    values = read_grey(path)
    present = np.flatnonzero(np.bincount(values.ravel(), minlength=256))
    if 1 in present and set(present) <= {0, 1, IGNORE}:
        return values
    return (values > 128).astype(np.uint8)


def picture_size(path: Path) -> tuple[int, int]:
    """(height, width) from the header alone."""
    with _open(path) as picture:
        return picture.height, picture.width


def _open(path: Path) -> Image.Image:
    try:
        return Image.open(path)
    except FileNotFoundError as error:
        raise DatasetError(f"{path} does not exist") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise DatasetError(
            f"{path} cannot be opened as a picture; it is damaged or of another kind. Fetch it again"
        ) from error


def _decode(path: Path, picture: Image.Image) -> Image.Image:
    try:
        picture.load()
    except (OSError, SyntaxError, ValueError, IndexError) as error:
        raise DatasetError(f"{path} is damaged ({error}); fetch it again, or remove it with its partner") from error
    return picture


def _depth(picture: Image.Image) -> str:
    return {"F": "float"}.get(picture.mode, "32-bit" if picture.mode == "I" else "16-bit")
