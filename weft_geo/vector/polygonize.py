"""A raster to a GeoDataFrame of objects."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine

from weft_geo.vector.options import VectorOptions
from weft_geo.vector.stream import ObjectStream


def polygonize(
    raster: str | os.PathLike[str] | npt.NDArray[Any],
    transform: Affine | None = None,
    crs: Any = None,
    threshold: float = 0.5,
    outline: str = "pixel",
    **options: Any,
) -> geopandas.GeoDataFrame:
    valid = None
    if not isinstance(raster, np.ndarray):
        with rasterio.open(raster) as source:
            valid = source.dataset_mask() > 0
            transform, crs = source.transform, source.crs
            raster = source.read()
    array = raster[None] if raster.ndim == 2 else raster
    if array.dtype == np.uint8:
        array = (array > 0).astype(np.float32) if array.max(initial=0) <= 1 else array.astype(np.float32) / 255
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "objects.parquet"
        with ObjectStream(
            out,
            width=array.shape[2],
            height=array.shape[1],
            transform=transform or Affine.identity(),
            crs=crs,
            classes=[f"class_{k + 1}" for k in range(len(array))] if len(array) > 1 else ["object"],
            options=VectorOptions(threshold=threshold, outline=outline, **options),
        ) as stream:
            stream.push(array.astype(np.float32), valid)
        return geopandas.read_parquet(out)
