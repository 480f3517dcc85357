"""Rasters that lie elsewhere: how GDAL is to read them over a network that fails now and then."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar
from xml.sax.saxutils import unescape

from rasterio.errors import RasterioError

from weft_geo.geo.access import is_file

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
    # Decoding in threads, GDAL asks for many ranges at once, does not ask again for one that fails, and goes on with
    # wrong pixels without a word (seen with GDAL 3.10).
    "GDAL_NUM_THREADS": "1",
}
"""GDAL's own settings (https://gdal.org/user/configoptions.html). It asks again after 429 and 5xx; connections that
break are ours to repeat, see ``patiently``."""

WAITS = (0.5, 2.0, 8.0)
"""Seconds before a read is tried again."""


REMOTE = re.compile(r"/vsi(curl|s3|gs|az|adls|oss|swift|webhdfs)(_streaming)?[/?]|(^|[+>])(https?|ftp|s3|gs|az|oss)://")
"""GDAL's and rasterio's names for what lies elsewhere, streamed or not, be it in an archive."""

ARCHIVES = {"zip": "/vsizip/", "tar": "/vsitar/", "gzip": "/vsigzip/"}
STORES = {"file": "", "s3": "/vsis3/", "gs": "/vsigs/", "az": "/vsiaz/", "oss": "/vsioss/"}


def gdal_name(path: str) -> str:
    """How GDAL calls what rasterio opens by a URL, such as ``s3://…`` or ``zip+https://…/a.zip!b.tif``."""
    scheme, found, rest = path.partition("://")
    if not found:
        return path
    outer, _, inner = scheme.partition("+")
    if outer in ARCHIVES:
        rest = rest.replace("!", "/")
        return ARCHIVES[outer] + (gdal_name(f"{inner}://{rest}") if inner else rest)
    if scheme in ("http", "https", "ftp"):
        return f"/vsicurl/{path}"
    return STORES.get(scheme, f"{scheme}://") + rest


def is_remote(path: str) -> bool:
    """Whether a path leads over a network, be it by the sources of a local VRT."""
    if path.lower().endswith(".vrt") and is_file(vrt := Path(path)):
        return _has_remote_sources(path, vrt.stat().st_mtime_ns)
    return REMOTE.search(path) is not None


@lru_cache(maxsize=64)
def _has_remote_sources(vrt: str, written_ns: int) -> bool:
    found = [Path(vrt)]
    for one in found:  # grows meanwhile: the sources of a VRT may be VRTs
        try:
            text = one.read_text(encoding="utf-8", errors="replace")
        except OSError:  # whoever opens it says why it cannot be read
            continue
        text = re.sub(r"<Metadata\b.*?</Metadata>", "", text, flags=re.DOTALL)  # a maker's address is no source
        if REMOTE.search(text):
            return True
        inside = (one.parent / unescape(name) for name in re.findall(r">([^<>]+\.vrt)<", text, re.IGNORECASE))
        found += [other for other in inside if is_file(other) and other not in found]
    return False


REFUSALS = {
    401: "the server wants to know who asks; give it credentials or a signed address",
    403: "the server does not let it be read; look at the credentials, or at whether the signed address is still valid",
    404: "the server has no such file",
    410: "the server has no such file any more",
}
"""What a server says that it will say again."""


def refusal(error: Exception) -> str | None:
    """What a server's answer means that asking again does not change; None if it may."""
    code = re.search(r"HTTP response code: (\d+)", f"{error} {error.__cause__}")
    return REFUSALS.get(int(code[1])) if code else None


def patiently(read: Callable[[], Value], path: str) -> Value:
    """Calls ``read``, again after a while if it fails and the path leads over a network, unless the server refuses.

    Raises:
        RasterioError: If it fails for good.
    """
    for wait in WAITS if is_remote(path) else ():
        try:
            return read()
        except RasterioError as error:
            if refusal(error):
                raise
            time.sleep(wait)
    return read()
