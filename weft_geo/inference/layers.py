"""The layers that a run writes: objects, mask, probability. All of them appear at the end, whole, or none does."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from weft_geo.errors import InputError
from weft_geo.geo.access import is_there
from weft_geo.geo.cog import CogWriter
from weft_geo.geo.whole_files import check_output, is_one_of, place_of
from weft_geo.inference.blending import LEVELS
from weft_geo.inference.interrupts import stoppably
from weft_geo.inference.job import SceneJob
from weft_geo.inference.journal import was_publishing
from weft_geo.inference.provenance import read_maker
from weft_geo.inference.rows import FinishedRows
from weft_geo.vector import ObjectStream, VectorOptions
from weft_geo.vector.layer_file import refuse_other_parts, require_layer_name
from weft_geo.vector.source import PROVENANCE_TAG, mask_strip, probability_strip

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
    def at(cls, objects: str | Path | None, mask: str | Path | None, probability: str | Path | None) -> Outputs:
        """Those at some paths, or where links at these lead.

        Raises:
            InputError: If none is wanted, or two are the same file.
        """
        outputs = cls(*(None if path is None else place_of(path) for path in (objects, mask, probability)))
        if not outputs.paths:
            raise InputError("nothing is to be written; give at least one of objects, mask and probability")
        if len({path.absolute() for path in outputs.paths}) < len(outputs.paths):
            raise InputError(f"two outputs have the same path: {', '.join(map(str, outputs.paths))}")
        return outputs

    def check(self, scene: str | Path, overwrite: bool, run: str | None) -> None:
        """Finds out whether the outputs can be written.

        Args:
            scene: What they are made of.
            overwrite: Whether any may be replaced that is there.
            run: Name of the run over many scenes whose outputs may be replaced; a worker that died has left them.

        Raises:
            OutputExistsError: If one is there that may not be replaced.
            InputError: If one is the scene itself, or cannot be written, or a driver would take its name for another.
        """
        for path in self.paths:
            if is_one_of(path, [scene]):
                raise InputError(f"{path} is the scene itself; write the output to another file")
            # A run that was stopped while it put its outputs in place has left some; they are its own.
            may = overwrite or was_publishing(self.paths[0], path)
            may = may or (run is not None and is_there(path) and read_maker(path, str(scene)) == run)
            check_output(path, overwrite=may, suffixes=None if path == self.objects else RASTER_SUFFIXES)
            if path == self.objects:
                require_layer_name(path)
            if not may:
                refuse_other_parts(path)

    def refuse_to_replace(self, sources: Sequence[str]) -> None:
        """Makes sure that no output takes the place of a file that the run reads, whatever its name there.

        Raises:
            InputError: One would.
        """
        for path in self.paths:
            if is_one_of(path, sources):
                raise InputError(f"the run reads {path}; write to another file")

    @property
    def paths(self) -> list[Path]:
        """Those that are wanted; the journal lies beside the first."""
        return [path for path in (self.objects, self.mask, self.probability) if path is not None]


class Layers:
    """Takes finished rows from top to bottom and writes every layer that is wanted.

    Use as a context manager, holding the locks of the outputs: ``push`` all rows, then ``finish``, then ``publish``.
    Leaving before that leaves nothing behind.

    Args:
        outputs: Where to.
        job: Grid and CRS of the layers.
        classes: Names of the classes.
        options: What makes an object.
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
        provenance: dict[str, Any],
    ) -> None:
        self.objects: int | None = None
        self.valid_pixels = 0
        self.object_pixels = 0
        self._threshold = options.threshold
        self._output, self._row = job.output, 0
        self._opened = ExitStack()
        height, width = job.shape
        place = {"height": height, "width": width, "crs": job.crs, "transform": job.transform}
        tags = {PROVENANCE_TAG: json.dumps(provenance, ensure_ascii=False)}
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
            outputs.objects,
            classes=classes,
            options=options,
            overwrite=True,
            provenance=provenance,
            locked=True,
            **place,
        )

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            for writer in (self._mask, self._probability):
                if writer:
                    opened.enter_context(writer)
            if self._stream:
                opened.enter_context(self._stream.open())
            self._opened = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    def push(self, rows: FinishedRows) -> None:
        """Appends finished rows of the grid; what lies outside of the output is left out.

        Raises:
            RunError: If they cannot be written.
        """
        top, left, height, width = self._output
        inside = slice(max(top - self._row, 0), max(top + height - self._row, 0))
        self._row += len(rows.wanted)
        levels = rows.levels[:, inside, left : left + width]
        valid = rows.wanted[inside, left : left + width]
        if not len(valid):
            return
        all_valid = bool(valid.all())
        if not all_valid:
            levels = levels * valid
        strip = probability_strip(levels, self._threshold, LEVELS)
        strip = strip if all_valid else mask_strip(strip, valid)
        self.valid_pixels += int(np.count_nonzero(valid))
        self.object_pixels += int(np.count_nonzero(strip.classes))
        if self._mask:
            classes = strip.classes if all_valid else np.where(valid, strip.classes, np.uint8(MASK_NODATA))
            self._mask.write(classes[None], valid)
        if self._probability:
            rounded = (levels * np.uint32(255) + np.uint32(LEVELS // 2)) // np.uint32(LEVELS)
            self._probability.write(rounded.astype(np.uint8), valid)
        if self._stream:
            self._stream.push_strip(strip)

    def finish(self) -> None:
        """Completes every layer, still beside its output.

        What takes long here are single calls of GDAL, so it is done in ways that a signal can end.

        Raises:
            RunError: If one cannot be written.
        """
        for writer in (self._mask, self._probability):
            if writer:
                writer.finish()
        if self._stream:
            stoppably(self._stream.finish, self._scratch_files)
            self.objects = self._stream.count

    def _scratch_files(self) -> Iterator[Path]:
        """The files that the object layer is read from and written to until it is complete."""
        if self._stream:
            yield from (path for path in self._stream.file.scratch.rglob("*") if path.is_file())

    def publish(self) -> None:
        """Puts the layers in place; they are complete.

        Raises:
            RunError: If the disk does not take one.
        """
        if self._stream:
            self._stream.file.publish()
        for writer in (self._mask, self._probability):
            if writer:
                writer.commit()
