"""What the numbers of a raster mean, and the raster as strips of classes and scores.

| raster | is taken as |
| --- | --- |
| floats | probabilities in [0, 1], one band a class |
| bool, or integers up to 1 | a mask |
| integers with a `CLASSES` tag or a `classes` argument | a class map: 0 background, 1…K |
| uint8 with a `SCALE` tag, or with several bands | probabilities × 255, one band a class |
| integers up to 31, or with a palette up to 254 | a class map whose classes bear their numbers as names |
| uint8 above that | probabilities × 255, of which a mask of 0 and 255 is the plainest |

Both tags are those that `weft-geo predict --mask` and `--probability` write. Pixels that the raster declares invalid
(by nodata, mask band, alpha, or NaN) belong to no object. A nodata value of 0 in a mask means the background.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from weft_geo.errors import InputError, RasterError
from weft_geo.geo.raster import Raster
from weft_geo.vector.arrays import Bools, Ints
from weft_geo.vector.budget import LOT_PIXELS
from weft_geo.vector.row_reader import RowReader
from weft_geo.vector.strip import Strip

PROVENANCE_TAG = "WEFT_GEO_PROVENANCE"
"""The tag in which a mask or probability raster of `weft-geo predict` says how it came about, as JSON."""
MAX_CLASS_GUESSED = 31
MAX_CLASS_OF_PALETTE = 254
MOST_CLASSES = 255

Values = npt.NDArray[Any]
Reader = Callable[[int, int], tuple[Values, Bools | None, Ints | None]]
"""(first row, rows) → values [bands, rows, width], their validity [rows, width], and the columns they are of, if some
are left out (`Strip.columns`)."""


@dataclass(frozen=True)
class Meaning:
    """How values become classes.

    Attributes:
        kind: "probability" or "classes".
        names: of the classes 1…K.
        scale: the value that stands for probability 1.
    """

    kind: str
    names: tuple[str, ...]
    scale: float = 1.0


class Source:
    """A raster or an array, to be read in strips.

    Args:
        name: for messages.
        shape: (height, width).
        meaning: of the values.
        read: reads some rows.
        rows: how many rows to read at once.
        lot_pixels: how many pixels a strip has, at most.
    """

    def __init__(
        self, name: str, shape: tuple[int, int], meaning: Meaning, read: Reader, rows: int, lot_pixels: int
    ) -> None:
        self.name, self.shape, self.meaning, self._read, self.rows = name, shape, meaning, read, rows
        self.lot_pixels = lot_pixels

    @classmethod
    def from_array(cls, array: Values, classes: Sequence[str] | None = None) -> Source:
        """An array [height, width] or [K, height, width].

        Raises:
            InputError: its shape or type is unusable.
        """
        if isinstance(array, np.ma.MaskedArray):
            raise InputError("a masked array came; give its values with NaN, or 0 in a mask, where they are masked")
        if array.ndim not in (2, 3) or not array.size:
            raise InputError(
                f"an array of shape {array.shape} came; expected [height, width] or [classes, height, width]"
            )
        values = array[None] if array.ndim == 2 else array
        tops = (int(some.max()) for some in values) if values.dtype.kind in "iu" else ()
        meaning = find_meaning("the array", values.dtype, len(values), {}, (), classes, tops)

        def read(top: int, rows: int) -> tuple[Values, Bools | None, Ints | None]:
            some = values[:, top : top + rows]
            return some, np.asarray(np.isfinite(some).all(axis=0)) if some.dtype.kind == "f" else None, None

        width = values.shape[2]
        return cls("the array", (values.shape[1], width), meaning, read, max(1, LOT_PIXELS // width), LOT_PIXELS)

    @classmethod
    def from_raster(
        cls,
        raster: Raster,
        classes: Sequence[str] | None,
        lot_pixels: int,
    ) -> Source:
        """An open raster; an alpha band counts as its mask.

        Args:
            raster: as `weft_geo.geo.raster.open_raster` gives it.
            classes: names of the classes 1…K.
            lot_pixels: how many pixels a strip has, at most.

        Raises:
            InputError: its type is unusable, or it looks like an image.
        """
        info = raster.info
        bands = tuple(k + 1 for k, color in enumerate(info.colors) if color != "alpha")
        if {"red", "green", "blue"} <= set(info.colors):
            raise RasterError(
                f"{info.name} is an image, not a mask or a probability raster; use weft-geo predict for it"
            )
        # Whole blocks, so that none is decoded twice.
        block = info.block_shape[0]
        rows = max(block, lot_pixels // max(info.width, 1) // block * block)

        read = RowReader(raster, bands)

        def tops() -> Iterator[int]:
            for top in range(0, info.height, rows):
                values, valid, _ = read(top, min(rows, info.height - top))
                yield int((values if valid is None or valid.all() else values[:, valid]).max(initial=0))

        meaning = find_meaning(
            info.name,
            np.dtype(info.dtype),
            len(bands),
            raster.tags,
            [raster.descriptions[k - 1] for k in bands],
            classes,
            tops(),
            MAX_CLASS_OF_PALETTE if "palette" in info.colors else MAX_CLASS_GUESSED,
        )
        return cls(info.name, (info.height, info.width), meaning, read, rows, lot_pixels)

    def strips(self, threshold: float) -> Iterator[Strip]:
        """The rows from top to bottom.

        Raises:
            InputError: a value is out of the range that its meaning allows.
        """
        height = self.shape[0]
        for top in range(0, height, self.rows):
            values, valid, columns = self._read(top, min(self.rows, height - top))
            lot = self.lot_pixels // max(values.shape[2], 1) or 1
            # Rows of blocks may be many; a lot of them at a time keeps what is made of them in the processor's cache.
            for begin in range(0, values.shape[1], lot):
                some = None if valid is None else valid[begin : begin + lot]
                if self.meaning.kind == "classes":
                    strip = self._class_strip(values[0, begin : begin + lot], some)
                else:
                    strip = self._probability_strip(values[:, begin : begin + lot], some, threshold)
                yield strip if columns is None else replace(strip, columns=columns)

    def _class_strip(self, values: Values, valid: Bools | None) -> Strip:
        if values.dtype != np.bool_ and self._beyond(values, valid):
            raise InputError(
                f"{self.name} has values outside 0…{len(self.meaning.names)}; name as many classes as it has, "
                "or declare other values as nodata"
            )
        classes = values.view(np.uint8) if values.dtype == np.bool_ else values.astype(np.uint8, copy=False)
        return mask_strip(Strip(classes), valid)

    def _beyond(self, values: Values, valid: Bools | None) -> bool:
        most = len(self.meaning.names)
        if values.min(initial=0) >= 0 and values.max(initial=0) <= most:
            return False
        known = values if valid is None else values[valid]
        return bool(((known < 0) | (known > most)).any())

    def _probability_strip(self, values: Values, valid: Bools | None, threshold: float) -> Strip:
        if values.dtype.kind == "f":
            known = values if valid is None or valid.all() else values[:, valid]
            low, high = known.min(initial=0), known.max(initial=0)
            if low < -1e-3 or high > 1 + 1e-3:
                raise InputError(
                    f"{self.name} has values from {low:g} to {high:g}; probabilities lie in 0…1. "
                    "Divide them, or give a uint8 mask"
                )
        return mask_strip(probability_strip(values, threshold, self.meaning.scale), valid)


def find_meaning(
    name: str,
    dtype: np.dtype[Any],
    bands: int,
    tags: dict[str, str],
    descriptions: Sequence[str | None],
    classes: Sequence[str] | None,
    tops: Iterable[int],
    most_guessed: int = MAX_CLASS_GUESSED,
) -> Meaning:
    """Decide what values mean; the table at the top of this file says how.

    Args:
        name: of the raster, for messages.
        dtype: of the values.
        bands: how many, alpha aside.
        tags: metadata of the file.
        descriptions: of the bands.
        classes: names given by the caller.
        tops: greatest values of the strips, looked at one by one until they tell.
        most_guessed: integers up to this are a class map.

    Raises:
        InputError: the values cannot be classes nor probabilities, or the names do not fit the bands.
    """
    if isinstance(classes, str):
        raise InputError(f"classes must be a list of names, not the single string {classes!r}")
    if dtype == np.bool_ and bands == 1:
        return Meaning("classes", _names(name, classes, 1))
    tagged = _tagged_classes(tags.get("CLASSES", ""))
    if tagged and classes is None:
        return Meaning("classes", tagged)
    if dtype.kind not in "iuf":
        raise InputError(f"{name} holds {dtype}; give integers or floats")
    if dtype.kind == "f" or "SCALE" in tags or bands > 1:
        if dtype.kind != "f" and dtype != np.uint8:
            raise InputError(f"{name} holds {bands} bands of {dtype}; probabilities are uint8 (× 255) or floats (0…1)")
        told = [text for text in descriptions if text]
        if classes is None and len(told) == bands:
            classes = told
        return Meaning("probability", _names(name, classes, bands), 1.0 if dtype.kind == "f" else 255.0)
    if classes is not None and len(classes) > 1:
        if len(classes) > MOST_CLASSES:
            raise InputError(f"{len(classes)} classes were named; {MOST_CLASSES} at most can be told apart")
        return Meaning("classes", tuple(classes))
    top = 0
    for some in tops:
        top = max(top, some)
        if top > most_guessed:
            break
    if top <= 1:
        return Meaning("classes", _names(name, classes, 1))
    if top <= most_guessed:
        return Meaning("classes", tuple(str(k + 1) for k in range(top)) if classes is None else tuple(classes))
    if dtype == np.uint8:
        return Meaning("probability", _names(name, classes, 1), 255.0)
    raise InputError(
        f"{name} holds {dtype} up to {top} or more; name the classes, or give uint8 or float probabilities"
    )


def _tagged_classes(text: str) -> tuple[str, ...]:
    """Names of the classes 1…K in a tag as `weft-geo predict --mask` writes it; none if it is another program's."""
    try:
        told = json.loads(text)
    except ValueError:
        return ()
    return tuple(map(str, told[1:])) if isinstance(told, list) and len(told) <= MOST_CLASSES + 1 else ()


def _names(name: str, classes: Sequence[str] | None, bands: int) -> tuple[str, ...]:
    if bands > MOST_CLASSES:
        raise InputError(f"{name} has {bands} bands; {MOST_CLASSES} classes at most can be told apart")
    if classes is None:
        return ("object",) if bands == 1 else tuple(str(k + 1) for k in range(bands))
    if len(classes) != bands:
        raise InputError(f"{name} has {bands} bands of probabilities and {len(classes)} classes were named")
    return tuple(classes)


def probability_strip(probability: Values, threshold: float, scale: float = 1.0) -> Strip:
    """Probabilities to a class map with scores.

    Args:
        probability: [K, rows, width]; NaN belongs to no class.
        threshold: least probability of an object pixel.
        scale: the value that stands for probability 1.

    Returns:
        Classes by the greatest probability, the first of equal ones.
    """
    # Integers are rounded probabilities, so the one nearest to the threshold is on it.
    least = threshold * scale if probability.dtype.kind == "f" else max(1, int(np.ceil(threshold * scale - 1e-9)))
    if len(probability) == 1:
        score = probability[0]
        found = score >= least
        # A mask of 0 and 255 has nothing to add up.
        certain = score.dtype == np.uint8 and np.count_nonzero(score == scale) == np.count_nonzero(found)
        return Strip(found.view(np.uint8), None if certain else score, scale, probability=probability)
    if probability.dtype.kind == "f":
        probability = np.nan_to_num(probability, nan=-1.0)
    score = probability.max(axis=0)
    classes = np.where(score >= least, probability.argmax(axis=0) + 1, 0).astype(np.uint8)
    return Strip(classes, score, scale, probability=probability)


def mask_strip(strip: Strip, valid: Bools | None) -> Strip:
    """A strip whose invalid pixels belong to no object."""
    if valid is None or valid.all():
        return strip
    return Strip(strip.classes * valid, strip.score, strip.scale, ~valid, strip.probability)
