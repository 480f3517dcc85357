"""The layers that a run writes: objects, mask, probability. All of them appear at the end, whole, or none does."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from weft_geo.errors import InputError
from weft_geo.geo.cog import CogWriter, check_output
from weft_geo.inference.plan import SceneJob
from weft_geo.vector import ObjectStream, VectorOptions

MASK_NODATA = 255
"""Value of a mask where the scene holds no image, or lies outside of the area of interest."""

RASTER_SUFFIXES = (".tif", ".tiff")


@dataclass(frozen=True)
class Outputs:
    """Paths of the layers, None for one that is not wanted."""

    objects: Path | None
    mask: Path | None
    probability: Path | None

    @classmethod
    def check(
        cls,
        scene: str | Path,
        objects: str | Path | None,
        mask: str | Path | None,
        probability: str | Path | None,
        overwrite: bool,
    ) -> Outputs:
        """Finds out before any work whether the outputs can be written.

        Raises:
            OutputExistsError: If one is there and ``overwrite`` is not set.
            InputError: If none is wanted, two are the same file, one is the scene itself, or one cannot be written.
        """
        given = {"objects": objects, "mask": mask, "probability": probability}
        paths = {name: Path(path) for name, path in given.items() if path is not None}
        if not paths:
            raise InputError("nothing is to be written; give at least one of objects, mask and probability")
        places = [path.absolute() for path in paths.values()]
        if len(set(places)) < len(places):
            raise InputError(f"two outputs have the same path: {', '.join(map(str, paths.values()))}")
        for name, path in paths.items():
            if path.exists() and Path(scene).exists() and path.samefile(scene):
                raise InputError(f"{path} is the scene itself; write the {name} to another file")
            check_output(path, overwrite=overwrite, suffixes=None if name == "objects" else RASTER_SUFFIXES)
        return cls(paths.get("objects"), paths.get("mask"), paths.get("probability"))


class Layers:
    """Takes finished rows from top to bottom and writes every layer that is wanted.

    Use as a context manager: ``push`` all rows, then ``finish``. Leaving without ``finish`` leaves nothing behind.

    Args:
        outputs: Where to.
        job: Grid and CRS of the layers.
        classes: Names of the classes.
        options: What makes an object.
        overwrite: Replace what is there.
        provenance: How the layers came about.

    Attributes:
        objects: Objects written, after ``finish``; None if there is no such layer.
        valid_pixels: Pixels wanted, so far.
        object_pixels: Pixels of objects among them, so far.
    """

    def __init__(
        self,
        outputs: Outputs,
        job: SceneJob,
        classes: tuple[str, ...],
        options: VectorOptions,
        overwrite: bool,
        provenance: dict[str, Any],
    ) -> None:
        self.objects: int | None = None
        self.valid_pixels = 0
        self.object_pixels = 0
        self._threshold = options.threshold
        self._rasters = ExitStack()
        self._vectors = ExitStack()
        height, width = job.shape
        place = {"height": height, "width": width, "crs": job.crs, "transform": job.transform}
        tags = {"WEFT_GEO_PROVENANCE": json.dumps(provenance, ensure_ascii=False)}
        self._mask = outputs.mask and CogWriter(
            outputs.mask,
            bands=1,
            nodata=MASK_NODATA,
            average=False,
            descriptions=("class",),
            tags=tags | {"CLASSES": json.dumps(["background", *classes], ensure_ascii=False)},
            **place,
        )
        self._probability = outputs.probability and CogWriter(
            outputs.probability,
            bands=len(classes),
            nodata=None,
            average=True,
            descriptions=classes,
            tags=tags | {"SCALE": "probability = value / 255"},
            **place,
        )
        self._stream = outputs.objects and ObjectStream(
            outputs.objects, classes=classes, options=options, overwrite=overwrite, provenance=provenance, **place
        )

    def __enter__(self) -> Self:
        with ExitStack() as rasters:
            for writer in (self._mask, self._probability):
                if writer:
                    rasters.enter_context(writer)
            if self._stream:
                self._vectors.enter_context(self._stream)
            self._rasters = rasters.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._rasters:
            self._vectors.__exit__(kind, error, trace)

    def push(self, probability: NDArray[np.float32], valid: NDArray[np.bool_]) -> None:
        """Appends finished rows.

        Args:
            probability: float32 ``[K, rows, width]``; set to 0 in place where not valid.
            valid: ``[rows, width]``.

        Raises:
            RunError: If they cannot be written.
        """
        probability *= valid
        best = probability.max(axis=0) if len(probability) > 1 else probability[0]
        is_object = (best >= self._threshold) & valid
        self.valid_pixels += int(valid.sum())
        self.object_pixels += int(is_object.sum())
        if self._mask:
            classes = is_object.astype(np.uint8)
            if len(probability) > 1:
                classes *= probability.argmax(axis=0).astype(np.uint8) + np.uint8(1)
            classes[~valid] = MASK_NODATA
            self._mask.write(classes[None], valid)
        if self._probability:
            self._probability.write(np.rint(probability * 255).astype(np.uint8), valid)
        if self._stream:
            self._stream.push(probability, valid)

    def finish(self) -> None:
        """Completes every layer, then puts them in place.

        Raises:
            RunError: If one cannot be written; then none is in place.
        """
        for writer in (self._mask, self._probability):
            if writer:
                writer.finish()
        self._vectors.close()
        if self._stream:
            self.objects = self._stream.count
        for writer in (self._mask, self._probability):
            if writer:
                writer.commit()
