"""Wakes the platform when an attempt has news, without ever asking again and again."""

import contextlib
import logging
import os
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from towpath.runner import claim, wake
from towpath.runner.folder import MANIFEST

_log = logging.getLogger(__name__)

#: How long news of progress may wait for more of it; the end of an attempt is told at once.
PROGRESS_S = 0.05


class Watcher:
    """A thread that listens for runners' messages and for their deaths.

    A runner tells its news by a datagram; its process id descriptor tells of an end that it could not tell itself.
    """

    def __init__(self, jobs: Path, folder: Path, notify: Callable[[str], None]) -> None:
        """
        Args:
            jobs: folder of the attempts.
            folder: where the wake-up socket is made.
            notify: called in the thread with the key of each attempt that has news.
        """
        self._jobs = jobs
        self._notify = notify
        self._selector = selectors.DefaultSelector()
        # Only the thread touches these three.
        self._runners: dict[str, int] = {}  #: process id descriptor by key
        self._progress: dict[str, float] = {}  #: when to tell of progress, monotonic seconds, by key
        self._ended: set[str] = set()  #: watched attempts whose end was told; their runner's own end is no news
        self._asked: deque[tuple[str, int | None]] = deque()
        self._closing = False
        self._room = _room()  #: messages that the socket keeps while nobody reads them
        self._bell, self._rope = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._socket = _listen(folder)
        self._selector.register(self._socket, selectors.EVENT_READ)
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._watch, name="towpath-compute-watch", daemon=True)
        self._thread.start()

    def follow(self, key: str, runner: int | None = None) -> None:
        """Tell of this attempt's news, and when its runner ends.

        Args:
            runner: process id of a runner that was started just now and may not have claimed the attempt yet; without
                it, the attempt is told of once now.
        """
        self._asked.append((key, runner))
        self._ring()

    def close(self) -> None:
        """End the thread and forget the runners, which go on."""
        self._closing = True
        self._ring()
        self._thread.join()
        self._selector.close()
        self._socket.close()
        os.close(self._bell)
        os.close(self._rope)
        for descriptor in self._runners.values():
            os.close(descriptor)

    def _ring(self) -> None:
        with contextlib.suppress(BlockingIOError):  # a full pipe rings as well
            os.write(self._rope, b"!")

    def _watch(self) -> None:
        while not self._closing:
            for event, _ in self._selector.select(self._patience()):
                if event.fileobj is self._socket:
                    self._receive()
                elif event.fileobj == self._bell:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self._bell, 4096)
                    while self._asked:
                        key, runner = self._asked.popleft()
                        if not self._hold(key, runner) or runner is None:
                            self._tell(key)
                else:
                    self._bury(str(event.data))
            self._tell_progress()

    def _patience(self) -> float | None:
        """Return how long to wait for anything new, in seconds."""
        return max(0.0, min(self._progress.values()) - time.monotonic()) if self._progress else None

    def _receive(self) -> None:
        received = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                key = self._socket.recv(4096).decode("utf-8", "replace")
                received += 1
                self._hold(key, None)
                if (self._jobs / key / MANIFEST).exists():
                    self._progress.pop(key, None)
                    if key in self._runners:
                        self._ended.add(key)
                    self._tell(key)
                else:
                    self._progress.setdefault(key, time.monotonic() + PROGRESS_S)
        if received >= self._room:
            # This process slept, and runners that found no room have given up: any of them may have had news.
            for key in self._runners:
                self._progress.setdefault(key, time.monotonic() + PROGRESS_S)

    def _bury(self, key: str) -> None:
        """Note that a runner has ended; that is news unless it had told of the attempt's end before."""
        descriptor = self._runners.pop(key)
        self._selector.unregister(descriptor)
        os.close(descriptor)
        self._progress.pop(key, None)
        if key in self._ended:
            self._ended.remove(key)
        else:
            self._tell(key)

    def _tell_progress(self) -> None:
        now = time.monotonic()
        for key in [key for key, at in self._progress.items() if at <= now]:
            del self._progress[key]
            self._tell(key)

    def _hold(self, key: str, started: int | None) -> bool:
        """Watch the runner of an attempt if it lives and is not watched yet; return whether it is watched."""
        if key in self._runners:
            return True
        state = claim.look(self._jobs / key)
        # One that was started just now is watched before it claims: if it dies until then, nothing else would tell.
        holder = state.holder if state.claimed else started
        if holder is None:
            return False
        try:
            descriptor = os.pidfd_open(holder)
        except ProcessLookupError:
            return False  # it ended between the two calls, and whoever is told now sees that
        state = claim.look(self._jobs / key)
        if state.claimed and state.holder != holder:
            os.close(descriptor)  # the number may already belong to another process
            return False
        self._runners[key] = descriptor
        self._selector.register(descriptor, selectors.EVENT_READ, key)
        return True

    def _tell(self, key: str) -> None:
        try:
            self._notify(key)
        except Exception:  # noqa: BLE001 - the listener's fault must not leave all other attempts unwatched
            _log.exception("the listener for attempt %s failed", key)


def _room() -> int:
    """Return how many messages fit into the queue of a datagram socket that is made now.

    Source: Linux kernel documentation, networking/ip-sysctl, "max_dgram_qlen".
    """
    return int(Path("/proc/sys/net/unix/max_dgram_qlen").read_text())


def _listen(folder: Path) -> socket.socket:
    """Return the socket that runners send to. One of an earlier platform process is replaced."""
    (folder / wake.SOCKET).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    directory = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        listener.bind(wake.address(directory, wake.SOCKET))
    except BaseException:
        listener.close()
        raise
    finally:
        os.close(directory)
    (folder / wake.SOCKET).chmod(0o600)
    listener.setblocking(False)
    return listener
