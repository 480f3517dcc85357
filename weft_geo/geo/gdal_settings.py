"""GDAL's settings (https://gdal.org/user/configoptions.html) and the threads in which they hold."""

from __future__ import annotations

from collections.abc import Callable

from rasterio.env import defenv, getenv, hasenv

CAREFUL_OPTIONS = {"VRT_NUM_THREADS": "1", "GTI_NUM_THREADS": "1"}
"""Where GDAL reads the sources of a mosaic in several threads and one of them is damaged, its pixels become 0 and no
error is returned (seen with GDAL 3.10 and rasterio 1.4). The blocks of a source may still be decoded in threads."""


def hand_over_settings() -> Callable[[], None]:
    """What another thread is to call first, so that the settings of this one hold there too.

    Set in the main thread they hold in all; set in any other, by ``rasterio.Env`` or here, in that one alone. Without
    this, a caller's credentials would be missing where its scene is read.
    """
    options = getenv() if hasenv() else {}
    return lambda: defenv(**options)
