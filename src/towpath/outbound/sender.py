"""Sends messages beside one another, a few to each host: a host that does not answer holds up its own alone."""

import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit

from towpath.kernel.resource import Uid
from towpath.outbound.webhooks import TIMEOUT_S, post
from towpath.triggers.ports import Answer, Message

logger = logging.getLogger(__name__)

MOST = 16  #: messages that are under way at one time
MOST_TO_A_HOST = 4


class _Task(NamedTuple):
    delivery: Uid
    message: Message
    answered: Callable[[Answer | None], None]


class Sender:
    """Implements `triggers.ports.Send`: a thread for each message that is under way, none when nothing is."""

    def __init__(
        self, *, is_wanted: Callable[[Uid], bool], post: Callable[[Message], Answer] = post, most: int = MOST
    ) -> None:
        """`is_wanted` is asked before a message that has waited is sent: its delivery may have been withdrawn."""
        self._is_wanted = is_wanted
        self._post = post
        self._most = most
        self._lock = threading.Lock()
        self._waiting: OrderedDict[str, deque[_Task]] = OrderedDict()  #: by host, whose turn is next first
        self._under_way: dict[str, int] = {}  #: by host
        self._threads: set[threading.Thread] = set()
        self._stopping = False

    def __call__(self, delivery: Uid, message: Message, answered: Callable[[Answer | None], None]) -> None:
        """Send a message as soon as its turn comes; returns at once."""
        with self._lock:
            self._waiting.setdefault(urlsplit(message.url).netloc, deque()).append(_Task(delivery, message, answered))
            if len(self._threads) < self._most and not self._stopping:
                thread = threading.Thread(target=self._work, name="webhook", daemon=True)
                self._threads.add(thread)
                thread.start()

    def stop(self) -> None:
        """Send nothing more, and wait for what is under way as long as a host may be silent."""
        with self._lock:
            self._stopping = True
            threads = tuple(self._threads)
        for thread in threads:
            thread.join(TIMEOUT_S + 1)

    def _work(self) -> None:
        """Send one message after the other until none may be sent."""
        while True:
            with self._lock:
                taken = self._next()
                if taken is None:
                    self._threads.discard(threading.current_thread())
                    return
            self._send(*taken)

    def _send(self, host: str, task: _Task) -> None:
        answer: Answer | None = Answer(reason="it could not be sent; the log of the server says why")
        try:
            answer = self._post(task.message) if self._is_wanted(task.delivery) else None
        except Exception:
            logger.exception("a message to %s could not be sent", task.message.url)
        with self._lock:
            self._under_way[host] -= 1
            if not self._under_way[host]:
                del self._under_way[host]
            over = self._stopping
        if not over:
            task.answered(answer)

    def _next(self) -> tuple[str, _Task] | None:
        if self._stopping:
            return None
        for host, tasks in self._waiting.items():
            if self._under_way.get(host, 0) < MOST_TO_A_HOST:
                task = tasks.popleft()
                if tasks:
                    self._waiting.move_to_end(host)
                else:
                    del self._waiting[host]
                self._under_way[host] = self._under_way.get(host, 0) + 1
                return host, task
        return None
