"""News of changes, for requests that wait for one without holding a thread."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class News:
    """Tells waiting requests when resources of a kind were changed. What is told is that, and nothing of what."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[tuple[asyncio.AbstractEventLoop, asyncio.Event]]] = {}
        self._lock = threading.Lock()
        self._closed = False

    @property
    def is_closed(self) -> bool:
        """Whether nobody should wait any more: the server ends."""
        return self._closed

    def tell(self, kind: str) -> None:
        """Tell of changes of a kind; from any thread, and without waiting."""
        with self._lock:
            waiting = tuple(self._waiting.get(kind, ()))
        for loop, event in waiting:
            loop.call_soon_threadsafe(event.set)

    def close(self) -> None:
        """Let everybody who waits look a last time."""
        self._closed = True
        for kind in tuple(self._waiting):
            self.tell(kind)

    @contextmanager
    def of(self, kind: str) -> Iterator[asyncio.Event]:
        """Give an event that is set by changes of a kind from now on; on the event loop."""
        entry = asyncio.get_running_loop(), asyncio.Event()
        with self._lock:
            self._waiting.setdefault(kind, set()).add(entry)
        try:
            yield entry[1]
        finally:
            with self._lock:
                self._waiting[kind].discard(entry)

    @property
    def count(self) -> int:
        """How many wait now."""
        with self._lock:
            return sum(map(len, self._waiting.values()))
