"""Read a vector layer that a command was given."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from weft_geo.errors import VectorError
from weft_geo.geo.access import is_local, what_hinders
from weft_geo.geo.vector_file import PARQUET_SUFFIXES, read_vector_file, require_plain_name

if TYPE_CHECKING:
    import geopandas


def read_layer(path: str) -> geopandas.GeoDataFrame:
    """Read the only layer of a file, or its layer `objects`.

    Raises:
        VectorError: The file is missing, is no vector file, or has several layers and none called `objects`.
    """
    import pyogrio
    from shapely.errors import GEOSException

    if is_local(path):
        if hindrance := what_hinders(path):
            raise VectorError(f"{path} {hindrance}")
        require_plain_name(path)
    try:
        if Path(path).suffix.lower() in PARQUET_SUFFIXES:
            return read_vector_file(path)
        layers = [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]
        if not layers:
            raise VectorError(f"{path} holds no layer with geometry")
        if len(layers) > 1 and "objects" not in layers:
            raise VectorError(
                f"{path} holds the layers {', '.join(layers)}; give a file with one, or one called objects"
            )
        return read_vector_file(path, layer="objects" if "objects" in layers else layers[0])
    except VectorError:
        raise
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, GEOSException, ValueError, OSError) as error:
        raise VectorError(f"{path} cannot be read as a vector layer: {error}") from error
