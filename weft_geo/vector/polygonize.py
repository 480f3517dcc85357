"""Rasters that exist already, to objects: into a GeoDataFrame or into a file."""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import rasterio
import shapely
from affine import Affine
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from weft_geo.errors import InputError
from weft_geo.geo.access import is_endless
from weft_geo.geo.ground import measure_pixel
from weft_geo.geo.not_opened import require_path
from weft_geo.geo.raster import Raster, open_raster
from weft_geo.geo.stamps import changed_meanwhile, have_changed, stamps_of
from weft_geo.geo.whole_files import is_one_of
from weft_geo.progress import Progress, silent
from weft_geo.vector.budget import choose_budget
from weft_geo.vector.export import SCHEMA
from weft_geo.vector.ground import Ground
from weft_geo.vector.options import VectorOptions
from weft_geo.vector.source import PROVENANCE_TAG, Source
from weft_geo.vector.stream import ObjectStream
from weft_geo.vector.vectorizer import Vectorizer
from weft_geo.version import __version__

if TYPE_CHECKING:
    import geopandas


def polygonize(
    raster: str | os.PathLike[str] | npt.NDArray[Any],
    transform: Affine | None = None,
    crs: Any = None,
    threshold: float = 0.5,
    outline: str = "pixel",
    *,
    classes: Sequence[str] | None = None,
    min_area_m2: float = 0.0,
    min_hole_m2: float = 0.0,
    simplify_m: float = 0.0,
    regularize: bool = False,
    connectivity: int = 8,
) -> geopandas.GeoDataFrame:
    """Objects of a mask, a class map or a probability raster.

    With pixel outlines and nothing to clean, the polygons are those of GDAL's polygonize of the thresholded raster:
    as many, with the same areas. What GDAL writes as one ring that touches itself (pixels that meet at a corner alone)
    is written here as a MultiPolygon, or as a hole that touches its shell, which is the same area and OGC-valid.

    Args:
        raster: a path, read in strips, or an array [height, width] or [K, height, width]. What its numbers mean is
            told in `weft_geo.vector.source`.
        transform: pixel to CRS coordinates; for arrays (default: one unit a pixel, rows downwards as y).
        crs: for arrays, or for a raster in place of its own. Without any, the result has none and areas are in the
            square of the transform's unit.
        threshold: see `VectorOptions`, as for all that follow.
        outline: "pixel" or "subpixel".
        classes: names of the classes 1…K; integers are a class map then.
        min_area_m2: drop smaller objects.
        min_hole_m2: fill smaller holes.
        simplify_m: tolerance in metres.
        regularize: right angles.
        connectivity: 8 or 4.

    Returns:
        One row an object, in the order of the first pixels, with the columns `id`, `class`, `score`, `score_max`,
        `area_m2`, `perimeter_m` (of the shells), `touches_edge`, `touches_nodata` and `geometry`.

    Raises:
        CrsError: the CRS is not understood, or the raster lies at no place in it.
        InputError: an option or the raster is unusable.
    """
    options = VectorOptions(threshold, outline, min_area_m2, min_hole_m2, simplify_m, regularize, connectivity)
    if isinstance(raster, np.ndarray):
        source = Source.from_array(raster, classes)
        return _collect(source, Ground(transform or Affine.identity(), crs), options)
    if not isinstance(raster, (str, os.PathLike)):
        raise InputError(
            f"a raster is a path or a NumPy array, not an object of type {type(raster).__name__}; "
            "give an open dataset's name, or the values of anything else (numpy.asarray)"
        )
    if transform is not None:
        raise InputError(f"transform is for arrays, and {raster} has its own; leave it out, or give its values")
    with _open(raster, crs, classes) as (opened, source):
        return _collect(source, Ground(opened.info.transform, opened.info.crs), options)


def vectorize_raster(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    options: VectorOptions | None = None,
    crs: Any = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    classes: Sequence[str] | None = None,
    max_memory: str | int | None = None,
) -> int:
    """A mask, class map or probability raster to a layer of objects, in bounded memory.

    Args:
        path: of the raster; what its numbers mean is told in `weft_geo.vector.source`.
        out: of the layer; the suffix chooses the format.
        options: how to outline and clean.
        crs: in place of the raster's own.
        overwrite: replace a layer that is there.
        progress: told of every strip.
        classes: names of the classes 1…K; integers are a class map then.
        max_memory: that the process may take, in bytes or as "1GB". Less of the raster is worked on at a time then.

    Returns:
        The number of objects.

    Raises:
        OutputExistsError: the layer is there already.
        OutputBusyError: another run is writing the layer.
        RasterError: the raster cannot be opened.
        CrsError: there is no CRS, and none was given.
        InputError: an option or the raster is unusable, or the raster is read from the layer.
        RunError: reading or writing failed on the way, or the raster was changed meanwhile.
    """
    options = options or VectorOptions()
    tell = progress or silent
    with _open(path, crs, classes, max_memory) as (opened, source):
        info, files = opened.info, opened.files
        before = stamps_of(files)
        if is_one_of(Path(out), files):
            raise InputError(f"the raster is read from {out}; write the objects to another file")
        if Ground(info.transform, info.required_crs).is_geodesic:
            measure_pixel(info.transform, info.required_crs, info.height, info.width)  # refuses what is no place
        provenance = {
            "software": f"weft-geo {__version__}",
            "scene": str(path),
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "values": source.meaning.kind,
            "parameters": asdict(options),
        }
        if origin := _origin_in(opened.tags):
            provenance["origin"] = origin
        stream = ObjectStream(
            out,
            width=info.width,
            height=info.height,
            transform=info.transform,
            crs=info.required_crs,
            classes=source.meaning.names,
            options=options,
            overwrite=overwrite,
            provenance=provenance,
        )
        tell("start", "vectorize", 0, info.height, f"{info.name}: {info.height} × {info.width} pixels")
        if replaced := info.describe_replaced_crs():
            tell("warning", "vectorize", 0, info.height, replaced)
        with stream:
            done = 0
            for strip in source.strips(options.threshold):
                stream.push_strip(strip)
                done += len(strip.classes)
                tell("progress", "vectorize", done, info.height, "")
            if have_changed(files, before):
                raise changed_meanwhile(path)
        tell("done", "vectorize", info.height, info.height, f"{stream.count} objects in {Path(out).name}")
    return stream.count


def read_origin(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a mask or probability raster of ours says of how it came about; empty for any other file."""
    if is_endless(path):
        return {}
    try:
        with warnings.catch_warnings(action="ignore", category=NotGeoreferencedWarning), rasterio.open(path) as dataset:
            return _origin_in(dataset.tags())
    except RasterioError:  # whoever opens it next says why it cannot be read
        return {}


def _origin_in(tags: dict[str, str]) -> dict[str, Any]:
    try:
        found = json.loads(tags.get(PROVENANCE_TAG, "{}"))
    except ValueError:  # another program's
        return {}
    return found if isinstance(found, dict) else {}


@contextmanager
def _open(
    path: str | os.PathLike[str], crs: Any, classes: Sequence[str] | None, max_memory: str | int | None = None
) -> Iterator[tuple[Raster, Source]]:
    require_path(path)
    with open_raster(str(path), crs) as opened:
        budget = choose_budget(opened.info, max_memory)
        opened.require_unpacked()
        with rasterio.Env(GDAL_CACHEMAX=budget.cache_bytes):
            yield opened, Source.from_raster(opened, classes, budget.lot_pixels)


def _collect(source: Source, ground: Ground, options: VectorOptions) -> geopandas.GeoDataFrame:
    height, width = source.shape
    with tempfile.TemporaryDirectory(prefix="weft-geo-") as folder:
        vectorizer = Vectorizer(Path(folder), width, height, ground, source.meaning.names, options)
        try:
            for strip in source.strips(options.threshold):
                vectorizer.push(strip)
            vectorizer.finish()
            table = pa.Table.from_batches(vectorizer.ordered(), SCHEMA)
        finally:
            vectorizer.close()
    if ground.crs is not None and ground.is_geodesic:
        measure_pixel(ground.transform, CRS.from_wkt(ground.crs.to_wkt()), height, width)  # refuses what is no place
    import geopandas  # half a second and 50 MB that a run from file to file does without

    geometry = shapely.from_wkb(np.asarray(table.column("geometry")))
    frame = table.drop_columns("geometry").to_pandas()
    return geopandas.GeoDataFrame(frame, geometry=geometry, crs=ground.crs)
