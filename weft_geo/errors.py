"""Every error the library raises on purpose.

    WeftGeoError
    ├── InputError (ValueError)              what the caller gave cannot be used; the message says what to do
    │   ├── RasterError (OSError)            a raster is missing, unreadable, or lacks what is needed
    │   ├── CrsError                         a CRS is missing, unknown, or cannot be measured in
    │   ├── VectorError                      a vector layer is missing, unreadable, or has no usable geometry
    │   ├── DatasetError (FileNotFoundError) a data set is missing, incomplete, or has files that cannot be used
    │   ├── ContractError                    a model and a scene do not fit each other
    │   ├── CheckpointError                  a checkpoint or model file is not what its name says
    │   ├── UnknownNameError (LookupError)   a name that is not known; the message lists the known ones
    │   ├── OutputExistsError (FileExistsError)   an output is already there and may not be overwritten
    │   ├── OutputBusyError                  another run is writing that output at this moment
    │   └── MissingExtraError (ImportError)  an optional dependency is needed; the message says which extra brings it
    └── RunError (RuntimeError)              the input was fine, and the run failed all the same
        ├── PartialRunError                  some of the work is done, and a ledger lists what failed
        └── InterruptedRunError              stopped on request; what was finished is kept

The command line turns `InputError` into exit code 2, `PartialRunError` into 3, `InterruptedRunError` into 130 and any
other `WeftGeoError` into 1, each with the message as one line on stderr.
"""

from __future__ import annotations


def one_line(error: BaseException) -> str:
    """What another library's error says, as part of a line of ours."""
    return " ".join(str(error).split())[:300]


class WeftGeoError(Exception):
    """Root of every error that weft-geo raises on purpose."""


class InputError(WeftGeoError, ValueError):
    """What the caller gave cannot be used."""


class RasterError(InputError, OSError):
    """A raster is missing, unreadable, or lacks what is needed."""


class CrsError(InputError):
    """A CRS is missing, unknown, or cannot be measured in."""


class VectorError(InputError):
    """A vector layer is missing, unreadable, or has no usable geometry."""


class DatasetError(InputError, FileNotFoundError):
    """A data set is missing, incomplete, or has files that cannot be used."""


class ContractError(InputError):
    """A model and a scene do not fit each other."""


class CheckpointError(InputError):
    """A checkpoint or model file is not what its name says."""


class UnknownNameError(InputError, LookupError):
    """A name that is not known."""

    def __init__(self, kind: str, name: str, known: list[str]) -> None:
        super().__init__(f"unknown {kind} {name!r}; known: {', '.join(sorted(known))}")
        self._given = kind, name, known

    def __reduce__(self) -> tuple[type[UnknownNameError], tuple[str, str, list[str]]]:
        return type(self), self._given  # the message is not what it is made from again in another process


class OutputExistsError(InputError, FileExistsError):
    """An output is already there and may not be overwritten."""


class OutputBusyError(InputError):
    """Another run is writing an output."""


class MissingExtraError(InputError, ImportError):
    """An optional dependency is needed.

    Args:
        need: What needs it.
        extra: What brings it.
        instead: What to do where the extra does not bring it.
    """

    def __init__(self, need: str, extra: str, instead: str | None = None) -> None:
        how = instead or f'pip install "weft-geo[{extra}]"'
        super().__init__(f'{need} needs the "{extra}" extra: {how}')
        self._given = need, extra, instead

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str, str | None]]:
        return type(self), self._given


class RunError(WeftGeoError, RuntimeError):
    """The input was fine, and the run failed all the same."""


class PartialRunError(RunError):
    """Some of the work is done, and a ledger lists what failed."""


class InterruptedRunError(RunError):
    """Stopped on request; what was finished is kept."""
