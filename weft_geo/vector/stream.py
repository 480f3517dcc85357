"""Strips of probability in, one layer of whole objects out."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from affine import Affine

from weft_geo.errors import CrsError, InputError
from weft_geo.vector.arrays import Bools
from weft_geo.vector.ground import Ground
from weft_geo.vector.layer_file import LayerFile
from weft_geo.vector.options import VectorOptions
from weft_geo.vector.source import mask_strip, probability_strip
from weft_geo.vector.strip import Strip
from weft_geo.vector.style import SCORE_STYLE, class_style
from weft_geo.vector.vectorizer import Vectorizer


class ObjectStream:
    """Writes objects while their raster goes by, from top to bottom.

        with ObjectStream("objects.gpkg", width=w, height=h, transform=transform, crs=crs) as objects:
            for probability, valid in strips:
                objects.push(probability, valid)
        print(objects.count)

    Leaving the block finishes the layer and puts it in its place; leaving it by an exception leaves nothing behind.

    Args:
        path: the output; .gpkg, .fgb, .parquet, .geojson or .shp.
        width: of the raster, pixels.
        height: of the raster, pixels.
        transform: pixel to CRS coordinates, as rasterio has it.
        crs: anything pyproj understands; None leaves the layer without one and measures in the transform's unit.
        classes: names of the K classes, without the background.
        options: how to outline and clean.
        overwrite: replace an output that is there.
        provenance: how the layer came to be; kept in or beside the output.
        locked: the caller holds the output's lock, which else is held while the block runs.

    Raises:
        OutputExistsError: the output is there already.
        InputError: the suffix or a size is unusable.
        CrsError: the CRS is not understood, or GeoJSON cannot be written in it.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        width: int,
        height: int,
        transform: Affine,
        crs: Any,
        classes: Sequence[str] = ("object",),
        options: VectorOptions | None = None,
        overwrite: bool = False,
        provenance: dict[str, Any] | None = None,
        locked: bool = False,
    ) -> None:
        if width < 1 or height < 1:
            raise InputError(f"the raster is {height} × {width} pixels; it needs at least one")
        if not 1 <= len(classes) <= 255:
            raise InputError(f"{len(classes)} classes were named; 1 to 255 can be told apart")
        self.options = options or VectorOptions()
        self.file = LayerFile(path, overwrite, locked)
        self.ground = Ground(transform, crs)
        if self.file.suffix == ".geojson" and not self.ground.is_geodesic:
            name = "no CRS" if self.ground.crs is None else f"the CRS {self.ground.crs.name}"
            raise CrsError(
                f"GeoJSON is in longitude and latitude, and {name} cannot be turned into that; write .gpkg instead"
            )
        self.width, self.height = width, height
        self.classes = tuple(classes)
        self.provenance = provenance
        self.count = 0
        self._vectorizer: Vectorizer | None = None
        self._finished = False
        self._block = ExitStack()

    def __enter__(self) -> Self:
        return self._block.enter_context(self.open())

    @contextmanager
    def open(self) -> Iterator[Self]:
        """The same block, at whose end only that stays which was published: `finish`, then `file.publish`.

        Raises:
            InputError, RunError: as `LayerFile.open`.
        """
        with self.file.open():
            self._vectorizer = Vectorizer(
                self.file.scratch, self.width, self.height, self.ground, self.classes, self.options
            )
            with closing(self._vectorizer):
                yield self

    def push(self, probability: npt.NDArray[np.floating[Any]], valid: Bools | None = None) -> None:
        """Add the next rows.

        A pixel belongs to the class of its greatest probability, if that is at least the threshold and the pixel valid.

        Args:
            probability: float [K, rows, width] in [0, 1]; NaN counts as 0.
            valid: bool [rows, width]; None means all.

        Raises:
            InputError: the shape does not fit, or too many rows came.
        """
        expected = (len(self.classes), self.width)
        if probability.ndim != 3 or (probability.shape[0], probability.shape[2]) != expected:
            raise InputError(
                f"a strip of shape {probability.shape} came; expected [{expected[0]}, rows, {expected[1]}]"
            )
        if valid is not None and valid.shape != probability.shape[1:]:
            raise InputError(f"a valid mask of shape {valid.shape} came with a strip of {probability.shape}")
        if np.isnan(probability).any():
            probability = np.where(np.isnan(probability), 0, probability)
        self.push_strip(mask_strip(probability_strip(probability, self.options.threshold), valid))

    def push_strip(self, strip: Strip) -> None:
        """Add the next rows as a class map, for callers who have one already."""
        assert self._vectorizer is not None, "push inside the with block"
        self._vectorizer.push(strip)

    def finish(self) -> None:
        """Write the layer, still beside the output; leaving the block does so unless it is done by then.

        Raises:
            InputError: rows are missing.
            RunError: the layer cannot be written.
        """
        assert self._vectorizer is not None, "finish inside the with block"
        self.count = self._vectorizer.finish()
        style = class_style(self.classes) if len(self.classes) > 1 else SCORE_STYLE
        self.file.write(
            self._vectorizer.ordered(), self.ground.crs, self._vectorizer.multi, self.provenance, style=style
        )
        self._finished = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._block:
            if kind is None:
                if not self._finished:
                    self.finish()
                self.file.publish()
