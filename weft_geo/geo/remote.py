"""Rasters that lie elsewhere: how GDAL is to read them over a network that fails now and then."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from rasterio.errors import RasterioError

Value = TypeVar("Value")

NETWORK_OPTIONS: dict[str, Any] = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",  # a folder's listing may be long, and few servers give one
    "GDAL_HTTP_MAX_RETRY": "4",
    "GDAL_HTTP_RETRY_DELAY": "0.5",
    "GDAL_HTTP_CONNECTTIMEOUT": "20",
    "GDAL_HTTP_LOW_SPEED_TIME": "30",  # a connection that has gone silent counts as failed
    "GDAL_HTTP_LOW_SPEED_LIMIT": "1",
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "CPL_VSIL_CURL_USE_HEAD": "NO",  # signed URLs allow GET alone
}
"""GDAL's own settings (https://gdal.org/user/configoptions.html). It asks again after 429 and 5xx; connections that
break are ours to repeat, see ``patiently``."""

WAITS = (0.5, 2.0, 8.0)
"""Seconds before a read is tried again."""


def is_remote(path: str) -> bool:
    """Whether a path leads over a network."""
    return (
        path.startswith(("http://", "https://", "s3://", "gs://", "az://", "zip+http"))
        or "/vsicurl" in path
        or path.startswith(("/vsis3/", "/vsigs/", "/vsiaz/"))
    )


def patiently(read: Callable[[], Value], path: str) -> Value:
    """Calls ``read``, again after a while if it fails and the path leads over a network.

    Raises:
        RasterioError: If it fails for good.
    """
    for wait in WAITS if is_remote(path) else ():
        try:
            return read()
        except RasterioError:
            time.sleep(wait)
    return read()
