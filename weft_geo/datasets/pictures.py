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


OBJECT = 128
"""What is brighter than this is object."""
LARGEST_CLASS = 63
"""Numbers up to this are taken for classes where they, and none between them and 255, outnumber the pixels of 255."""
JPEG_NOISE = 8
"""What an empty mask may hold all the same."""

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
            raise DatasetError(
                f"{path} is a coloured mask; expected one channel with 0 and 255, or 0 and 1. Make one of the "
                "colour that is meant"
            )
        values = values[..., 0]
    return values.copy()


def read_mask(path: Path) -> NDArray[np.uint8]:
    """Read a mask as uint8 [H, W]: 0 background, 1 object, 255 unknown.

    Masks of 0 and 1 may hold 255 where nothing is known, as in mmsegmentation. Of any other mask, what is brighter than
    128 is object, as PySODMetrics has it.

    Raises:
        DatasetError: as for `read_grey`; or it is not empty, and yet nothing in it would be an object.
    """
    values = read_grey(path)
    counts = np.bincount(values.ravel(), minlength=256)
    present = np.flatnonzero(counts)
    if 1 in present and set(present) <= {0, 1, IGNORE}:
        return values
    brightest = int(present.max(initial=0))
    noise = JPEG_NOISE if path.suffix.lower() in (".jpg", ".jpeg") else 0
    numbered, between = counts[noise + 1 : LARGEST_CLASS + 1].sum(), counts[LARGEST_CLASS + 1 : IGNORE].sum()
    if brightest == IGNORE and numbered > counts[IGNORE] and not between:
        raise DatasetError(
            f"{path} holds the numbers {', '.join(map(str, present[:6]))}{' …' if len(present) > 6 else ''}: it seems "
            "to number classes, with 255 where nothing is known; expected 0 and 255, or 0, 1 and 255. Make a mask of "
            "one class"
        )
    if noise < brightest <= OBJECT:
        raise DatasetError(
            f"{path} is a mask of 0 … {brightest}; expected 0 and 255, or 0 and 1. If it numbers classes, make a mask "
            f"of one of them; else scale it (gdal_translate -scale 0 {brightest} 0 255)"
        )
    return (values > OBJECT).astype(np.uint8)


def read_map(path: Path, peak: float = 255) -> NDArray[np.float32]:
    """Read a probability map as float32 [H, W] on 0…1.

    Args:
        path: 8 bits, 16 bits, or float on 0…1.
        peak: what stands for 1 in 8 bits.

    Raises:
        DatasetError: it is missing, damaged or coloured, or its floats are not probabilities.
    """
    with _open(path) as picture:
        deep = picture.mode not in _EIGHT_BITS
        values = np.asarray(_decode(path, picture)) if deep else None
    if values is None:
        return np.minimum(read_grey(path) / np.float32(peak), 1)
    if values.dtype.kind in "iu":
        return (values / np.float32(65535)).clip(0, 1)
    if not (np.isfinite(values).all() and values.min(initial=0) >= 0 and values.max(initial=0) <= 1):
        raise DatasetError(
            f"{path} holds floats from {values.min():.4g} to {values.max():.4g}; expected probabilities on 0…1"
        )
    return values.astype(np.float32)


def picture_size(path: Path) -> tuple[int, int]:
    """(height, width) from the header alone."""
    with _open(path) as picture:
        return picture.height, picture.width


def _open(path: Path) -> Image.Image:
    try:
        return Image.open(path)
    except FileNotFoundError as error:
        raise DatasetError(f"{path} does not exist") from error
    except PermissionError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}; see to it that you may read it") from error
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
