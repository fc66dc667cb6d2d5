"""A thread that makes the next batches ready while the current one is being computed.

In: an iterator. Out: the same items in the same order. An exception in the iterator is raised where its item was due.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")

_POLL = 0.1  # seconds between looks at whether to stop, while the queue is full


class Prefetch(Iterator[Item], Generic[Item]):
    """Iterator over `items`, up to `ahead` of which are made in advance.

    >>> list(Prefetch(iter(range(3)), ahead=2))
    [0, 1, 2]
    """

    def __init__(self, items: Iterator[Item], ahead: int) -> None:
        # What goes through the queue: (item, None, True), and at the end (None, exception or None, False).
        self._queue: queue.Queue[tuple[Item | None, BaseException | None, bool]] = queue.Queue(maxsize=ahead)
        self._stop = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._fill, args=(items,), name="nnfast-prefetch", daemon=True)
        self._thread.start()

    def __next__(self) -> Item:
        if self._ended:
            raise StopIteration
        item, error, more = self._queue.get()
        if more:
            return item  # type: ignore[return-value]
        self._ended = True
        self._thread.join()
        if error is not None:
            raise error
        raise StopIteration

    def close(self) -> None:
        """Stop the thread; items that are ready are dropped."""
        self._ended = True
        self._stop.set()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout=1.0)  # a generator that hangs is left to its daemon thread

    def _fill(self, items: Iterator[Item]) -> None:
        try:
            for item in items:
                if not self._put(item, None, True):
                    return
        except BaseException as error:  # handed to the thread that asks for the item
            self._put(None, error, False)
            return
        self._put(None, None, False)

    def _put(self, item: Item | None, error: BaseException | None, more: bool) -> bool:
        while not self._stop.is_set():
            try:
                self._queue.put((item, error, more), timeout=_POLL)
                return True
            except queue.Full:
                continue
        return False
