"""One producer thread ahead of its consumer. Not for: more stages; two cores are busy already."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

#: Items that wait between the two: what one batch more costs in memory buys nothing.
_DEPTH = 3


class Ahead(Generic[T]):
    """Runs a generator in a thread of its own, a few items ahead; use as a context manager.

    An exception of the generator, Polars' panics included, is raised where the items are consumed.
    When the consumer stops early, the thread stops at its next item and is joined: nothing hangs.
    """

    def __init__(self, items: Generator[T, None, None]) -> None:
        self._items = items
        self._queue: queue.Queue[T | _End] = queue.Queue(_DEPTH)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="penstock-reader", daemon=True)

    def __enter__(self) -> Iterator[T]:
        self._thread.start()
        return self._consume()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        while self._thread.is_alive():
            try:
                self._queue.get(timeout=0.01)  # the producer may wait for room
            except queue.Empty:
                continue
        self._thread.join()

    def _run(self) -> None:
        end = _End(None)
        try:
            for item in self._items:
                self._queue.put(item)
                if self._stop.is_set():
                    return
        except BaseException as error:  # noqa: BLE001  handed to the consumer, which raises it
            end = _End(error)
        finally:
            self._items.close()  # an input that is not read to its end closes its file here
            self._queue.put(end)

    def _consume(self) -> Iterator[T]:
        while True:
            item = self._queue.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item


class _End:
    def __init__(self, error: BaseException | None) -> None:
        self.error = error
