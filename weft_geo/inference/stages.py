"""Work that goes on beside the model: stages in threads of their own, joined by bounded queues.

``ahead`` makes items before they are asked for, ``several`` deals with some of them at the same time, ``Behind`` deals
with items after they are handed over. All keep the order and hold a fixed number of items, so a fast stage waits for a
slow one and memory stays bounded. numpy and GDAL release the interpreter's lock, so the stages truly run at the same
time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def ahead(items: Generator[Item], count: int, name: str, begin: Callable[[], None] | None = None) -> Generator[Item]:
    """Makes items in one background thread, at most ``count`` of them before they are asked for.

    ``begin`` is called there first.

    Order is kept. An error surfaces where its item would have. Closing the iterator waits for the item under way, and
    closes ``items``.
    """
    end: Any = object()
    try:
        with ThreadPoolExecutor(1, thread_name_prefix=f"weft-{name}", initializer=begin) as thread:
            waiting = deque(thread.submit(next, items, end) for _ in range(count))
            try:
                while (item := waiting.popleft().result()) is not end:
                    waiting.append(thread.submit(next, items, end))
                    yield item
            finally:
                for future in waiting:
                    future.cancel()
    finally:
        items.close()


def several(
    work: Callable[[Item], Answer],
    items: Iterable[Item],
    count: int,
    name: str,
    begin: Callable[[], None] | None = None,
    abandon: Callable[[], None] | None = None,
) -> Generator[tuple[Item, Answer]]:
    """Calls a function on items, on ``count`` of them at the same time, and gives each with its answer in their order.

    A lone one is called in the caller's thread. Of more, one is always waiting, so that no thread has to. An error
    surfaces where its answer would have. Closing the iterator, or an error, drops what waits and lets what is under way
    end; ``abandon`` is called then, and may tell it to. ``begin`` is called first in every thread.
    """
    if count == 1:
        for item in items:
            yield item, work(item)
        return
    with ThreadPoolExecutor(count, thread_name_prefix=f"weft-{name}", initializer=begin) as threads:
        waiting: deque[tuple[Item, Future[Answer]]] = deque()
        try:
            for item in items:
                waiting.append((item, threads.submit(work, item)))
                if len(waiting) > count:
                    yield _take_first(waiting)
            while waiting:
                yield _take_first(waiting)
        finally:
            for _, future in waiting:
                future.cancel()
            if waiting and abandon is not None:
                abandon()


def _take_first(waiting: deque[tuple[Item, Future[Answer]]]) -> tuple[Item, Answer]:
    """The first item and its answer; until that has come, the item is still among those that wait."""
    item, future = waiting[0]
    answer = future.result()
    waiting.popleft()
    return item, answer


class Behind(Generic[Item]):
    """Hands items to a function that runs in one background thread.

    After one that fails no other is dealt with: what comes of them would lack what came of it.

    Use as a context manager. Leaving it by an exception drops the items that wait and lets the one under way end.

    Args:
        work: Is given the items one by one, in order.
        count: Items that may wait or be under way; ``put`` waits for room.
        name: Of the stage.
    """

    def __init__(self, work: Callable[[Item], None], count: int, name: str) -> None:
        self._work = work
        self._count = count
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"weft-{name}")
        self._waiting: deque[Future[None]] = deque()
        self._failed = False

    def __enter__(self) -> Self:
        return self

    def put(self, item: Item) -> None:
        """Hands over an item. An error of an earlier item surfaces here, or in ``finish``."""
        while self._waiting and (len(self._waiting) >= self._count or self._waiting[0].done()):
            self._waiting.popleft().result()
        self._waiting.append(self._thread.submit(self._do, item))

    def _do(self, item: Item) -> None:
        if self._failed:
            return
        try:
            self._work(item)
        except BaseException:
            self._failed = True
            raise

    def finish(self) -> None:
        """Waits until every item has been dealt with."""
        while self._waiting:
            self._waiting.popleft().result()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for future in self._waiting:
            future.cancel()
        self._thread.shutdown()
