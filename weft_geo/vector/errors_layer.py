"""What was right, wrong and missed, as a layer to look at: every object of two layers, and what came of it.

| attribute | |
| --- | --- |
| `result` | `true_positive`, `false_positive` or `false_negative` |
| `source` | the layer that the object comes from: `objects` or `truth`; a pair is there twice, as found and as true |
| `class` | what the object is said to be, where its layer says so |
| `iou` | of the pair; empty without a partner |
| `id` | the object's own `id`, `fid` or `osm_id` there, as text; empty where there is none |

Objects that take no part (points, lines, exact duplicates, what does not count in an area of interest) are not in it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import shapely
from affine import Affine

from weft_geo.errors import CrsError, InputError
from weft_geo.geo.whole_files import is_one_of
from weft_geo.vector.equal_area import FlatLayer
from weft_geo.vector.ground import Ground, as_pyproj
from weft_geo.vector.layer_file import LayerFile
from weft_geo.vector.object_classes import CLASS, Names, as_words
from weft_geo.vector.pairs import ObjectPairs
from weft_geo.vector.polygons import MULTIPOLYGON
from weft_geo.vector.style import RESULT_STYLE

if TYPE_CHECKING:
    import geopandas

SCHEMA = pa.schema(
    [
        ("result", pa.string()),
        ("source", pa.string()),
        ("class", pa.string()),
        ("iou", pa.float64()),
        ("id", pa.string()),
        ("geometry", pa.binary()),
    ]
)
ID_FIELDS = ("id", "fid", "osm_id")
BATCH_ROWS = 10_000


@contextmanager
def open_errors(
    path: str | os.PathLike[str], overwrite: bool = False, inputs: Iterable[str | None] = ()
) -> Iterator[LayerFile]:
    """Find out before any work whether the layer can be written, and keep other runs from it while the block runs.

    Args:
        path: the output; its suffix chooses the format, as for the objects of `predict`.
        overwrite: whether a file that is there may be replaced.
        inputs: files that are read, which it must not replace.

    Raises:
        InputError: it cannot.
        OutputExistsError: it is there already.
        OutputBusyError: another run is writing it.
    """
    if is_one_of(Path(path), filter(None, inputs)):
        raise InputError(f"{path} is one of the files to compare; write the errors to another file")
    with LayerFile(path, overwrite).open() as file:
        yield file


def write_errors(
    file: LayerFile,
    predicted: geopandas.GeoDataFrame,
    truth: geopandas.GeoDataFrame,
    pairs: ObjectPairs,
    by: str | None = None,
    provenance: dict[str, Any] | None = None,
) -> int:
    """Write what `pair_objects` found of two layers, in the CRS of the predicted one; whole, or not at all.

    Args:
        file: from `open_errors`.
        predicted: the layer that was compared.
        truth: with this one.
        pairs: what came of it.
        by: attribute that was taken for the class; None stands for `class`, where a layer has it.
        provenance: how the layer came to be.

    Returns:
        The number of rows.

    Raises:
        CrsError: the true objects have no place in that CRS, or GeoJSON is wanted without a CRS.
        RunError: it cannot be written.
    """
    crs = as_pyproj(predicted.crs) or as_pyproj(truth.crs)
    if file.suffix == ".geojson" and not Ground(Affine.identity(), crs).is_geodesic:
        raise CrsError(
            "GeoJSON is in longitude and latitude, and these layers are not on the Earth; write .gpkg instead"
        )
    sides = (
        ("objects", predicted, pairs.found, pairs.left, pairs.found_counts, "false_positive"),
        ("truth", truth, pairs.true, pairs.right, pairs.true_counts, "false_negative"),
    )
    tables, multi = [], False
    for source, layer, side, paired, counts, alone in sides:
        original = np.asarray(shapely.force_2d(np.asarray(layer.geometry.array, dtype=object)[side.rows]), dtype=object)
        here = FlatLayer(original, side.rows, side.classes).take(counts).reproject(as_pyproj(layer.crs), crs)
        iou = np.full(len(layer), np.nan)
        iou[side.rows[paired]] = pairs.iou
        columns = {
            "result": np.where(np.isnan(iou), alone, "true_positive")[here.rows],
            "source": np.full(len(here.rows), source),
            "class": read_attribute(layer, (by, CLASS))[here.rows],
            "iou": pa.array(iou[here.rows], from_pandas=True),
            "id": read_attribute(layer, ID_FIELDS)[here.rows],
            "geometry": shapely.to_wkb(shapely.orient_polygons(here.shapes), byte_order=1),
        }
        tables.append(
            pa.table(
                [pa.array(columns[name], kind) for name, kind in zip(SCHEMA.names, SCHEMA.types, strict=True)],
                schema=SCHEMA,
            )
        )
        multi |= bool((shapely.get_type_id(here.shapes) == MULTIPOLYGON).any())
    table = pa.concat_tables(tables)
    batches = iter(table.combine_chunks().to_batches(max_chunksize=BATCH_ROWS))
    file.write(batches, crs, multi, provenance, SCHEMA, RESULT_STYLE)
    file.publish()
    return int(table.num_rows)


def read_attribute(layer: geopandas.GeoDataFrame, names: Sequence[str | None]) -> Names:
    """The first of some attributes that a layer has, as words; None where there is nothing."""
    there = [name for name in names if name is not None and name in layer.columns]
    return as_words(layer, there[0]) if there else np.full(len(layer), None, dtype=object)
