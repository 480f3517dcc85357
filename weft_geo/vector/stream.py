"""Strips of probability in, one layer of objects out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import rasterio.features
import shapely
import shapely.geometry
from affine import Affine

from weft_geo.errors import InputError
from weft_geo.vector.export import SCHEMA, LayerFile
from weft_geo.vector.ground import Ground
from weft_geo.vector.options import VectorOptions


class ObjectStream:
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
    ) -> None:
        self.file = LayerFile(Path(path), overwrite)
        self.width, self.height, self.classes = width, height, tuple(classes)
        self.options = options or VectorOptions()
        self.ground = Ground(transform, crs)
        self.provenance = provenance
        self.count = 0
        self._probs: list[Any] = []
        self._valids: list[Any] = []
        self._rows = 0

    def __enter__(self) -> ObjectStream:
        self.file.open()
        return self

    def push(self, probability: npt.NDArray[Any], valid: npt.NDArray[np.bool_] | None = None) -> None:
        if probability.ndim != 3 or probability.shape[0] != len(self.classes) or probability.shape[2] != self.width:
            raise InputError(f"strip of shape {probability.shape}; expected [{len(self.classes)}, rows, {self.width}]")
        self._probs.append(probability)
        self._valids.append(np.ones(probability.shape[1:], bool) if valid is None else valid)
        self._rows += probability.shape[1]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self.file.discard()

    def _finish(self) -> None:
        if self._rows != self.height:
            raise InputError(f"{self._rows} rows came, {self.height} were announced")
        p = np.nan_to_num(np.concatenate(self._probs, axis=1))
        valid = np.concatenate(self._valids)
        best = p.argmax(0)
        top = p.max(0)
        mask = valid & (top >= self.options.threshold)
        labels = np.where(mask, best + 1, 0).astype(np.uint8)
        near = np.zeros_like(valid)
        pad = np.pad(~valid, 1)
        for dr in range(3):
            for dc in range(3):
                near |= pad[dr : dr + valid.shape[0], dc : dc + valid.shape[1]]
        rows = []
        for shape, value in rasterio.features.shapes(labels, mask=mask, connectivity=self.options.connectivity):
            geometry = shapely.make_valid(shapely.geometry.shape(shape), method="structure")
            inside = rasterio.features.rasterize([geometry], labels.shape).astype(bool) & (labels == value)
            r, c = np.nonzero(inside)
            placed = shapely.transform(geometry, lambda xy: np.column_stack(self.ground.place(xy[:, 0], xy[:, 1])))
            area, perimeter = self.ground.exact(placed)
            if area < self.options.min_area_m2:
                continue
            scores = top[inside]
            edge = bool(
                (r == 0).any() or (c == 0).any() or (r == labels.shape[0] - 1).any() or (c == labels.shape[1] - 1).any()
            )
            rows.append(
                (r[0], c[0], self.classes[int(value) - 1], scores.mean(), scores.max(), area, perimeter, edge,
                 bool(near[inside].any()), shapely.orient_polygons(placed))
            )  # fmt: skip
        rows.sort(key=lambda row: (row[0], row[1]))
        self.count = len(rows)
        columns = [np.arange(1, len(rows) + 1), *(list(col) for col in list(zip(*rows, strict=True))[2:])] if rows else [[]] * 9
        if rows:
            columns[-1] = list(shapely.to_wkb(np.array(columns[-1], dtype=object)))
        batch = pa.record_batch(
            [pa.array(col, field.type) for col, field in zip(columns, SCHEMA, strict=True)], schema=SCHEMA
        )
        multi = any(row[-1].geom_type == "MultiPolygon" for row in rows)
        self.file.write(iter([batch] if rows else []), self.ground.crs, multi, self.provenance)
