"""Objects to files: GeoPackage, FlatGeobuf, GeoParquet, GeoJSON and Shapefile.

Batches of objects stream into a temporary folder beside the output, which is renamed into place when it is whole.

| suffix | driver | provenance | notes |
| --- | --- | --- | --- |
| .gpkg | GPKG 1.3, R-tree | inside, as GeoPackage metadata | layer `objects`, and its style for QGIS (`style.py`) |
| .fgb | FlatGeobuf, R-tree | .fgb.json beside | the R-tree orders the file by place; sort by `id` for the usual order |
| .parquet | GeoParquet 1.1, bbox column | inside, key `weft_geo.provenance` | |
| .geojson | RFC 7946 | .geojson.json beside | always WGS 84, counter-clockwise shells, 7 digits |
| .shp | ESRI Shapefile | .shp.json beside | 2 GB a part; ten letters a field name (see `SHAPEFILE_FIELDS`) |
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyproj
import shapely

from weft_geo.errors import InputError, OutputExistsError, RunError
from weft_geo.geo.whole_files import beginning_with, check_name, move_into_place, place_of
from weft_geo.vector.antimeridian import to_longitudes
from weft_geo.vector.geoparquet import write_geoparquet
from weft_geo.vector.style import add_style

LAYER = "objects"
SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("class", pa.string()),
        ("score", pa.float64()),
        ("score_max", pa.float64()),
        ("area_m2", pa.float64()),
        ("perimeter_m", pa.float64()),
        ("touches_edge", pa.bool_()),
        ("touches_nodata", pa.bool_()),
        ("geometry", pa.binary()),
    ]
)
"""One object a row; geometry is little-endian WKB in the CRS of the scene."""

DRIVERS = {
    ".gpkg": "GPKG",
    ".fgb": "FlatGeobuf",
    ".parquet": "Parquet",
    ".geojson": "GeoJSON",
    ".shp": "ESRI Shapefile",
}
SHAPEFILE_FIELDS = {"touches_edge": "touch_edge", "touches_nodata": "touch_nod", "perimeter_m": "perim_m"}
LEAST_ROOM_BYTES = 4 << 20
SHAPEFILE_PARTS = (".shp", ".shx", ".dbf", ".prj", ".cpg", ".qix", ".sbn", ".sbx", ".qpj")
COMPANIONS = {".shp": SHAPEFILE_PARTS[1:], ".gpkg": (".gpkg-wal", ".gpkg-shm", ".gpkg-journal")}


def refuse_other_parts(path: Path) -> None:
    """Makes sure that a new shapefile takes the place of nobody's .dbf or .prj.

    Raises:
        OutputExistsError: A file is there that would be one of its parts.
    """
    parts = [path.with_suffix(part) for part in SHAPEFILE_PARTS[1:]] if path.suffix.lower() == ".shp" else []
    if there := [part for part in parts if part.exists()]:
        raise OutputExistsError(f"{there[0]} is already there; overwrite it (--overwrite) or give another name")


class LayerFile:
    """One output file that appears whole or not at all.

    Args:
        path: the output; its suffix chooses the format.
        overwrite: whether a file that is there may be replaced.

    Raises:
        InputError: the suffix is not known, or the folder does not exist.
        OutputExistsError: the output is there and `overwrite` is False.
    """

    def __init__(self, path: str | os.PathLike[str], overwrite: bool = False) -> None:
        self.path = place_of(path)
        check_name(self.path)
        self.suffix = self.path.suffix.lower()
        if self.suffix not in DRIVERS:
            raise InputError(f"{self.path.name} has no known vector format; known suffixes: {', '.join(DRIVERS)}")
        if not self.path.parent.is_dir():
            raise InputError(f"the folder of {self.path} does not exist; create it first")
        if self.path.exists() and not overwrite:
            raise OutputExistsError(f"{self.path} is already there; overwrite it (--overwrite) or give another name")
        if not overwrite:
            refuse_other_parts(self.path)
        if self.path.is_dir():
            raise InputError(f"{self.path} is a folder; give the name of a file")
        self.scratch = self.path.parent / f".{self.path.name}.{os.getpid()}.part"
        self._made = self.scratch / "made"

    def open(self) -> None:
        """Make the scratch folder, and clear away those of runs that were killed."""
        for old in beginning_with(f".{self.path.name}.", self.path.parent):
            if old.suffix == ".part" and (not _is_running(old.name.rsplit(".", 2)[-2]) or old == self.scratch):
                shutil.rmtree(old, ignore_errors=True)
        try:
            self._made.mkdir(parents=True)
        except OSError as error:
            raise InputError(f"cannot write beside {self.path}: {error.strerror}; choose another folder") from error

    def discard(self) -> None:
        """Leave nothing behind."""
        shutil.rmtree(self.scratch, ignore_errors=True)

    def write(
        self,
        batches: Iterator[pa.RecordBatch],
        crs: pyproj.CRS | None,
        multi: bool,
        provenance: dict[str, Any] | None,
    ) -> None:
        """Write all batches, still beside the output; `publish` puts them in their place.

        Args:
            batches: of `SCHEMA`, in the order of the file.
            crs: the CRS of the geometries; GeoJSON is transformed to WGS 84 from it.
            multi: whether any object is a MultiPolygon (then all are written as such).
            provenance: how the layer came to be; anything that JSON can hold.

        Raises:
            RunError: the driver failed.
        """
        target = self._made / f"{LAYER}{self.suffix}"  # some names mean other things to a driver
        schema = SCHEMA
        if self.suffix == ".geojson":
            batches, crs = _to_rfc7946(batches, crs), None if crs is None else pyproj.CRS.from_epsg(4326)
        if self.suffix == ".shp":
            schema = pa.schema([field.with_name(SHAPEFILE_FIELDS.get(field.name, field.name)) for field in SCHEMA])
        from pyogrio.errors import DataLayerError, DataSourceError  # brings geopandas, which is slow to come

        try:
            if self.suffix == ".parquet":
                write_geoparquet(target, SCHEMA, batches, crs, provenance)
            else:
                # GeoJSON and shapefiles take both kinds side by side; the others want one kind a layer.
                kind = "Unknown" if self.suffix == ".geojson" else "MultiPolygon" if multi else "Polygon"
                if multi and self.suffix in (".gpkg", ".fgb"):
                    batches = (_promote(batch) for batch in batches)
                renamed = (pa.record_batch(batch.columns, schema=schema) for batch in batches)
                with _batches_that_say_why(schema, renamed) as reader:
                    self._write_arrow(target, reader, crs, kind, provenance)
                if self.suffix == ".gpkg":
                    add_style(target, LAYER)
        except (DataSourceError, DataLayerError, pa.ArrowException, OSError, sqlite3.Error) as error:
            full = shutil.disk_usage(self.path.parent).free < LEAST_ROOM_BYTES  # drivers give the oddest reasons for it
            raise RunError(f"{self.path} could not be written: {'the disk is full' if full else error}") from error
        if provenance is not None and self.suffix in (".fgb", ".geojson", ".shp"):
            beside = self._made / f"{target.name}.json"
            beside.write_text(json.dumps(provenance, indent=2, default=str) + "\n", encoding="utf-8")

    def _write_arrow(
        self,
        target: Path,
        reader: pa.RecordBatchReader,
        crs: pyproj.CRS | None,
        kind: str,
        provenance: dict[str, Any] | None,
    ) -> None:
        import pyogrio

        extra: dict[str, Any] = {}
        if self.suffix == ".gpkg":
            extra = {"dataset_options": {"VERSION": "1.3"}, "layer_options": {"SPATIAL_INDEX": "YES"}}
            if provenance is not None:
                extra["layer_metadata"] = {
                    key: value if isinstance(value, str) else json.dumps(value, default=str)
                    for key, value in provenance.items()
                }
        elif self.suffix == ".geojson":
            extra = {"layer_options": {"RFC7946": "YES", "WRITE_BBOX": "NO"}}
        elif self.suffix == ".shp":
            extra = {"layer_options": {"ENCODING": "UTF-8"}}
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="'crs' was not provided")
            pyogrio.write_arrow(
                reader,
                target,
                layer=LAYER,
                driver=DRIVERS[self.suffix],
                geometry_name="geometry",
                geometry_type=kind,
                crs=crs.to_wkt() if crs is not None else None,
                **extra,
            )

    def publish(self) -> None:
        """Put what was written in its place, over an older output if there is one.

        Raises:
            RunError: the disk does not take it.
        """
        made = {self._final_name(item.name): item for item in sorted(self._made.iterdir())}
        for suffix in COMPANIONS.get(self.suffix, ()):
            stale = self.path.with_suffix(suffix)
            if stale.name not in made:
                stale.unlink(missing_ok=True)
        # The file that carries the output's name comes last: while it is not there, nothing claims to be finished.
        for name, item in sorted(made.items(), key=lambda pair: pair[0] == self.path.name):
            if item.is_file():
                try:
                    move_into_place(item, self.path.parent / name)
                except OSError as error:
                    raise RunError(f"{self.path} could not be written: {error}") from error
        self.discard()

    def _final_name(self, made: str) -> str:
        """What a file that was written is called in its place."""
        main = f"{LAYER}{self.suffix}"
        if made.startswith(main):
            return self.path.name + made.removeprefix(main)
        return self.path.stem + made.removeprefix(LAYER)


def _is_running(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return False
    except OSError:
        return True
    return True


@contextmanager
def _batches_that_say_why(schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatchReader]:
    """A reader for GDAL, which says of whatever fails in there that it failed: what it was goes on from here."""
    failures: list[Exception] = []

    def noting() -> Iterator[pa.RecordBatch]:
        try:
            yield from batches
        except Exception as error:
            failures.append(error)
            raise

    try:
        yield pa.RecordBatchReader.from_batches(schema, noting())
    except Exception:
        if failures:
            raise failures[0] from None
        raise


def _promote(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Every geometry as a MultiPolygon."""
    shapes = shapely.from_wkb(np.asarray(batch.column("geometry")))
    single = shapely.get_type_id(shapes) == shapely.GeometryType.POLYGON
    shapes[single] = shapely.multipolygons(shapes[single], indices=np.arange(single.sum()))
    return _with_geometry(batch, shapes)


def _with_geometry(batch: pa.RecordBatch, shapes: Any) -> pa.RecordBatch:
    wkb = pa.array(shapely.to_wkb(shapes, byte_order=1), pa.binary())
    return batch.set_column(batch.schema.get_field_index("geometry"), SCHEMA.field("geometry"), wkb)


def _to_rfc7946(batches: Iterator[pa.RecordBatch], crs: pyproj.CRS | None) -> Iterator[pa.RecordBatch]:
    """WGS 84 longitude and latitude at 7 digits, valid after rounding, shells counter-clockwise."""
    change = None if crs is None else pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    for batch in batches:
        shapes = shapely.from_wkb(np.asarray(batch.column("geometry")))
        if change is not None:
            shapes = to_longitudes(shapes, change)
        rounded = shapely.transform(shapes, lambda xy: np.round(xy, 7))
        bad = ~shapely.is_valid(rounded)
        if bad.any():
            # Near a pole a long edge of the CRS, drawn straight in degrees, may cross others of its polygon.
            whole = shapely.make_valid(shapes[bad], method="structure", keep_collapsed=False)
            snapped = shapely.set_precision(whole, 1e-7)
            # An object thinner than a centimetre keeps its own digits rather than vanish.
            rounded[bad] = np.where(shapely.is_empty(snapped), shapes[bad], snapped)
        yield _with_geometry(batch, shapely.orient_polygons(rounded))
