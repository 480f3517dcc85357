"""What may go wrong, told in one sentence with the remedy.

PluginError
├── InterpreterError     there is no weft-geo to start, or it does not start
├── LayerError           a layer cannot be given to weft-geo
├── RunFailed            weft-geo ran and failed
└── RunCancelled         the user stopped it
"""

from __future__ import annotations

from .translation import tr

OPTIONS_PAGE = tr("Settings ▸ Options ▸ weft-geo")
"""Where the remedy of most failures is."""

CANCELLED = tr("Cancelled; nothing was written.")
"""What is said of a run that the user stopped."""


class PluginError(Exception):
    """One sentence: what happened and what to do."""


class InterpreterError(PluginError):
    """There is no weft-geo to start, or it does not start."""


class LayerError(PluginError):
    """A layer cannot be given to weft-geo."""


class RunFailed(PluginError):  # noqa: N818, as QGIS' own names go
    """It ran and failed."""


class RunCancelled(PluginError):  # noqa: N818
    """The user stopped it."""
