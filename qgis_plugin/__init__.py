"""The weft-geo plugin: objects from images, inside QGIS.

It holds no model. `weft-geo` runs as a child process with a Python of its own, so nothing is installed into QGIS.
"""

from __future__ import annotations


def classFactory(iface):  # noqa: N802, the name that QGIS calls
    """Give QGIS the plugin.

    Args:
        iface: QGIS' `QgisInterface`.
    """
    from .translation import speak_as_qgis

    speak_as_qgis()  # before any other text of the plugin is read
    from .plugin import WeftGeoPlugin

    return WeftGeoPlugin(iface)
