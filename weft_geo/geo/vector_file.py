"""A vector file by its name: which names mean no other file, and what is in it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

from weft_geo.errors import VectorError
from weft_geo.geo.access import is_there

if TYPE_CHECKING:
    import geopandas

PARQUET_SUFFIXES = (".parquet", ".geoparquet")
"""GDAL reads them only where it was built with Arrow, and pyogrio's own is not."""


def require_plain_name(path: str | os.PathLike[str], given: str | os.PathLike[str] | None = None) -> None:
    """Makes sure that pyogrio takes the name of a local file for that file.

    It reads every name as a URL or as ``archive!file``, so it would look for another file, or write there. GeoParquet
    is not its business.

    Args:
        path: What it is asked for.
        given: What the user knows of it, for the message.

    Raises:
        VectorError: If it does not.
    """
    name = str(path)
    if name.startswith("/vsi") or Path(path).suffix.lower() in PARQUET_SUFFIXES:
        return
    parts = urlparse(name, allow_fragments=False)
    taken = parts.path + (f"?{parts.query}" if parts.query else "")
    if not parts.scheme and ("!" in name or taken != name):
        raise VectorError(
            f"{str(given or path)!r} would be taken for another file, for it begins with // or has a ! in it, or its "
            "last part a ; or a line break; rename it, or if it is a folder that is called so, work inside of that one"
        )


def read_vector_file(path: str | os.PathLike[str], **options: Any) -> geopandas.GeoDataFrame:
    """A layer of a vector file; also a local one that GDAL would not read.

    Args:
        path: A file, a URL, or anything else that GDAL opens.
        **options: Of ``geopandas.read_file``; GeoParquet, which has one layer, takes none.

    Raises:
        VectorError: If the name would be taken for another file. Besides, whatever pyogrio and pyarrow raise.
    """
    import geopandas  # half a second to import, and few runs need it

    if Path(path).suffix.lower() in PARQUET_SUFFIXES:
        return geopandas.read_parquet(path)
    if is_there(path):
        require_plain_name(path)
    return geopandas.read_file(path, **options)
