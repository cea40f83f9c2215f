"""Feeding: payloads to the model and answers back, in order, several under way, within a time, again where it failed.

Who asks sees nothing of that: `Feeder.answers` is a generator from payloads to answers.
"""

import os
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from towpath.transform.channel import ANSWER, PAYLOAD, READY, REFUSED, Channel, Counter, Frame, ModelEnd
from towpath.transform.payloads import Payload

#: Under way at a time where nobody said how many: enough that the model never waits for the driver.
MANY = 64
MANY_BYTES = 16 << 20

Key = TypeVar("Key")


class ModelGone(Exception):
    """The model could not be loaded, or not again; the log says why."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(f"the model's process ended with {exit_code}")
        self.exit_code = exit_code  #: to end with


@dataclass(slots=True)
class Item(Generic[Key]):
    """A payload on its way, or a mark between payloads that keeps its place among them."""

    key: Key  #: says whose it is
    payload: Payload | None = None
    answer: bytes | None = None
    failure: str | None = None  #: why there is no answer
    timed_out: bool = False  #: it took too long the last time
    tries: int = 0

    @property
    def is_done(self) -> bool:
        """Whether nothing more will come of it."""
        return self.payload is None or self.answer is not None or self.failure is not None


class Model(Protocol):
    """A process with a model."""

    def send(self, frame: Frame) -> None:
        """Give it a frame."""

    def receive(self, timeout_s: float | None) -> Frame | None:
        """Return the next frame; None when none came in time. Raises EOFError when it has ended."""

    def start(self) -> None:
        """Start it, or another one in its place, and wait until it is loaded. Raises ModelGone when it is not."""

    def end(self) -> str:
        """End it at once; return in words how it had ended, or that it was ended."""

    def answered(self) -> int:
        """Return how many payloads it was done with since it was started, also where their answers were lost."""


class Feeder(Generic[Key]):
    """Feeds one model."""

    def __init__(
        self,
        model: Model,
        *,
        concurrent: int | None,
        timeout_s: float,
        retries: int,
        retried: Callable[[Item[Key], str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            concurrent, timeout_s, retries: see `settings.Settings`.
            retried: told of an item that is tried again, and why in words.
        """
        self._model = model
        self._concurrent = concurrent
        self._timeout_s = timeout_s
        self._tries = retries + 1
        self._retried = retried
        self._clock = clock
        self._heard = 0  #: answers since the model was started

    def answers(self, items: Iterable[Item[Key]]) -> Iterator[Item[Key]]:
        """Yield the items in their order, each with its answer or the reason why there is none.

        Raises:
            ModelGone: the model could not be started again.
        """
        order: deque[Item[Key]] = deque()
        asked: deque[Item[Key]] = deque()  #: those that the model has, in the order in which it answers
        held = 0  #: bytes of payloads in `order`
        since = self._clock()  #: since when the first of `asked` may have been worked on
        for item in items:
            order.append(item)
            if item.payload is not None:
                held += len(item.payload.body)
                if not asked:
                    since = self._clock()
                self._ask(item, asked)
            while order and (order[0].is_done or self._is_full(len(order), held)):
                if order[0].is_done:
                    done = order.popleft()
                    held -= 0 if done.payload is None else len(done.payload.body)
                    yield done
                else:
                    since = self._hear(asked, since)
        while order:
            while not order[0].is_done:
                since = self._hear(asked, since)
            yield order.popleft()

    def _is_full(self, count: int, held: int) -> bool:
        if self._concurrent is not None:
            return count >= self._concurrent
        return count >= MANY or (held >= MANY_BYTES and count > 1)

    def _ask(self, item: Item[Key], asked: "deque[Item[Key]]") -> None:
        assert item.payload is not None
        item.tries += 1
        asked.append(item)
        self._model.send(Frame(PAYLOAD, item.payload.body))

    def _hear(self, asked: "deque[Item[Key]]", since: float) -> float:
        """Take the next answer; return since when the one behind it may be worked on."""
        try:
            frame = self._model.receive(since + self._timeout_s - self._clock())
        except EOFError:
            return self._again(asked, f"the model's process {self._model.end()}")
        if frame is None:
            self._model.end()
            words = f"no answer within {self._timeout_s:g} s (InvocationsTimeoutInSeconds)"
            return self._again(asked, words, timed_out=True)
        item = asked.popleft()
        item.timed_out = False
        self._heard += 1
        text = "" if frame.word == ANSWER else frame.data.decode("utf-8", "replace")
        if frame.word == ANSWER:
            item.answer = frame.data
        elif frame.word == REFUSED:
            item.failure = text
        elif not self._give_up(item, text):
            self._ask(item, asked)
        return self._clock()

    def _give_up(self, item: Item[Key], reason: str) -> bool:
        """Note why an item failed; return whether it was tried often enough."""
        if item.tries < self._tries:
            self._retried(item, f"{reason}; trying again ({item.tries} of {self._tries} tries)")
            return False
        item.failure = reason if self._tries == 1 else f"{reason} (tried {item.tries} times)"
        return True

    def _again(self, asked: "deque[Item[Key]]", reason: str, *, timed_out: bool = False) -> float:
        """Start the model anew after it ended over one of the payloads that it had, and give it all of them again."""
        left = list(asked)
        asked.clear()
        culprit = left[min(self._model.answered() - self._heard, len(left) - 1)]
        culprit.timed_out = timed_out
        given_up = self._give_up(culprit, reason)
        self._model.start()
        self._heard = 0
        for item in left:
            if item is not culprit:
                item.tries -= 1  # no fault of theirs
            if item is not culprit or not given_up:
                self._ask(item, asked)
        return self._clock()


class ForkedModel:
    """Implements `Model` as a fork of this process, which has a single thread."""

    def __init__(self, enter: Callable[[ModelEnd], None]) -> None:
        """`enter` is the life of the process; it never returns."""
        self._enter = enter
        self._pid = 0
        self._answered = Counter()
        self._channel: Channel | None = None

    def send(self, frame: Frame) -> None:
        """Give it a frame."""
        assert self._channel is not None
        self._channel.send(frame)

    def receive(self, timeout_s: float | None) -> Frame | None:
        """Return the next frame; None when none came in time. Raises EOFError when it has ended."""
        assert self._channel is not None
        return self._channel.receive(timeout_s)

    def start(self) -> None:
        """Start it, or another one in its place, and wait until it is loaded. Raises ModelGone when it is not."""
        ours, theirs = socket.socketpair()
        self._answered.set(0)
        sys.stdout.flush()
        sys.stderr.flush()
        self._pid = os.fork()
        if self._pid == 0:
            ours.close()
            self._enter(ModelEnd(theirs, self._answered))
            os._exit(1)
        theirs.close()
        self._channel = Channel(ours)
        try:
            frame = self._channel.receive(None)
        except EOFError:
            raise ModelGone(_exit_code(self._reap())) from None
        assert frame is not None and frame.word == READY

    def end(self) -> str:
        """End it at once; return in words how it had ended, or that it was ended."""
        code = self._reap(kill=True)
        if code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"

    def answered(self) -> int:
        """Return how many payloads it was done with since it was started, also where their answers were lost."""
        return self._answered.get() - 1  # the first frame said that it is loaded

    def close(self) -> None:
        """Let it end by itself: there is nothing more to answer."""
        self._reap()

    def _reap(self, *, kill: bool = False) -> int:
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if not self._pid:
            return 0
        if kill:
            os.kill(self._pid, signal.SIGKILL)
        _, status = os.waitpid(self._pid, 0)
        self._pid = 0
        return os.waitstatus_to_exitcode(status)


def _exit_code(code: int) -> int:
    """Return what a driver ends with after its model ended so: as a shell tells of a signal, and never 0."""
    return 128 - code if code < 0 else code or 1
