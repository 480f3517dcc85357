"""A dataset of rasterio that is read again where a read fails; of a VRT, another one each time.

GDAL remembers which source of a VRT it could not open, by the source's name and the address of the VRT, and says
nothing the second time: its pixels are 0, and no error is returned (seen with GDAL 3.10 and rasterio 1.4). So a VRT
that failed is not read again, and stays open until the process ends, that no other one gets its address.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

from rasterio.errors import RasterioError

from weft_geo.geo.remote import patiently

Value = TypeVar("Value")

_spoilt: list[Any] = []
"""VRTs that failed."""


class Dataset:
    """A dataset that is open for the block of a ``with``, and is another one after a VRT has failed.

    Args:
        path: As it was given; tells whether a network is between.
        opened: Opens it, and gives two datasets of rasterio: the one that reads the file, and the one to read from.
            They are the same unless the latter is warped. False says that it is the first time, True that it is
            opened once more.

    Attributes:
        current: The dataset of rasterio to read from, open.
    """

    def __init__(self, path: str, opened: Callable[[bool], AbstractContextManager[tuple[Any, Any]]]) -> None:
        self._path, self._opened = path, opened
        self._stack = ExitStack()
        self._base: Any = None
        self.current: Any = None

    def __enter__(self) -> Self:
        self._open(again=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def read(self, read: Callable[[Any], Value]) -> Value:
        """Calls ``read`` with the dataset, as often as ``patiently`` does.

        Raises:
            RasterioError: If it fails for good.
        """

        def attempt() -> Value:
            if is_spoilt(self._base):
                self._open(again=True)
            with noting_failure(self._base):
                return read(self.current)

        return patiently(attempt, self._path)

    def once_more(self) -> AbstractContextManager[tuple[Any, Any]]:
        """The same, opened once more."""
        return self._opened(True)

    def _open(self, again: bool) -> None:
        self._base, self.current = self._stack.enter_context(self._opened(again))


@contextmanager
def noting_failure(dataset: Any) -> Iterator[None]:
    """Keeps a VRT from being read again, or closed, once a read has failed."""
    try:
        yield
    except RasterioError:
        if dataset.driver == "VRT":
            _spoilt.append(dataset)
        raise


@contextmanager
def closing(dataset: Any) -> Iterator[Any]:
    """Closes a dataset in the end, unless it must stay open."""
    try:
        yield dataset
    finally:
        if not is_spoilt(dataset):
            dataset.close()


def is_spoilt(dataset: Any) -> bool:
    """Whether it is a VRT that failed."""
    return any(dataset is other for other in _spoilt)
