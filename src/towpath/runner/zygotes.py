"""The host's zygotes: starts them, has each keep a runner ready, and does without them where they fail.

No job waits for a zygote that is still importing, and none fails because a zygote does: it begins cold instead.
"""

import array
import contextlib
import fcntl
import json
import os
import select
import selectors
import signal
import socket
import sys
import time
import traceback
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from towpath.runner import syscalls, zygote

_MOST = 4  #: zygotes of a host; each holds what it has imported, and one of them mostly nothing
_UNUSED_S = 60.0  #: one that was not asked for so long makes room for another
_IDLE_S = 600.0  #: one that was not asked for so long is ended
_IMPORT_S = 300.0  #: one that has not imported all by then is ended
_FORK_S = 2.0  #: one that does not answer by then is ended; a fork takes some tens of milliseconds
_AGAIN_S = 60.0  #: after one has failed, no other of its sort is started for so long
_FIRST_FREE = 10  #: above the descriptors that a zygote is given
_MESSAGE_BYTES = 1 << 16


class Spare(NamedTuple):
    """A runner without an attempt."""

    pid: int
    orders: int  #: the attempt is named here; closing it ends the runner


class _Zygote:
    """One zygote."""

    def __init__(self, pid: int, control: socket.socket, said: int) -> None:
        self.pid = pid
        self.process = os.pidfd_open(pid)
        self.control = control
        self.said = said  #: what it prints
        self.ready: dict[str, Any] | None = None  #: what it has imported; None while it imports
        self.asked: int | None = None  #: write end of the orders of the runner that it is forking
        self.spare: Spare | None = None
        self.forks = 0
        self.begun_at = self.used_at = time.monotonic()

    def close(self) -> None:
        self.control.close()
        os.close(self.said)
        os.close(self.process)
        if self.asked is not None:
            os.close(self.asked)
            self.asked = None


class Zygotes:
    """All zygotes of a host, by what was wished of them. Single-threaded, as the host is."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        """`selector`: tells the host when there is something to `read`."""
        self._selector = selector
        self._living: dict[str, _Zygote] = {}
        self._failed: dict[str, tuple[str, float]] = {}  #: why, and when (monotonic)

    def take(self, wish: dict[str, Any]) -> Spare | None:
        """Return a runner that waits behind the wished imports, None where there is none now; then one is prepared.

        Args:
            wish: of a zygote its interpreter (`python`), that one's `options`, `imports` and `environment`.
        """
        words = json.dumps(wish, sort_keys=True)
        found = self._living.get(words)
        if found is None:
            self._begin(words, wish)
            return None
        found.used_at = time.monotonic()
        if found.asked is not None:
            self._settle(words, found)
        spare, found.spare = found.spare, None
        return spare

    def replenish(self) -> None:
        """Ask each zygote that has no runner ready for one."""
        for words, found in list(self._living.items()):
            if found.ready is not None and found.spare is None and found.asked is None:
                orders, found.asked = os.pipe2(os.O_CLOEXEC)
                carried = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [orders]))]
                try:
                    found.control.sendmsg([b"fork"], carried)
                except OSError as error:
                    self._drop(words, f"it does not listen: {error}")
                finally:
                    os.close(orders)

    def read(self, descriptor: int) -> None:
        """Take what a zygote tells."""
        for words, found in list(self._living.items()):
            if descriptor == found.said:
                with contextlib.suppress(OSError):  # nothing was there, or the log's disk is full
                    os.write(2, os.read(found.said, 1 << 16))
            elif descriptor == found.control.fileno():
                self._receive(words, found)

    def settle(self) -> None:
        """Wait for the runners that are being forked, so that every child of this host is known."""
        for words, found in list(self._living.items()):
            if found.asked is not None:
                self._settle(words, found)

    def note_end(self, pid: int) -> None:
        """Take note that a child of the host has ended."""
        for words, found in list(self._living.items()):
            if found.spare is not None and found.spare.pid == pid:
                os.close(found.spare.orders)
                found.spare = None
            if found.pid == pid:
                self._take_rest(words, found)
                if words in self._living:
                    self._drop(words, "it was killed" if found.ready else "it ended while it imported")

    def look(self) -> None:
        """End those that nobody has asked for long, and those that do not come to an end of their imports."""
        now = time.monotonic()
        for words, found in list(self._living.items()):
            if found.ready is None and now - found.begun_at > _IMPORT_S:
                self._drop(words, f"its imports took longer than {_IMPORT_S:g} s")
            elif now - found.used_at > _IDLE_S:
                self._drop(words, "")

    def end(self) -> None:
        """End all; the host reaps them."""
        for words in list(self._living):
            self._drop(words, "")

    def pids(self) -> set[int]:
        """Return the zygotes and the runners that wait behind them."""
        spares = {found.spare.pid for found in self._living.values() if found.spare is not None}
        return {found.pid for found in self._living.values()} | spares

    @property
    def is_settled(self) -> bool:
        """Whether each zygote has a runner ready."""
        return all(found.spare is not None for found in self._living.values())

    def report(self) -> list[dict[str, Any]]:
        """Return what people may want to know of each, those that failed among them."""
        living = [
            {
                "environment": json.loads(words)["environment"],
                "pid": found.pid,
                "forks": found.forks,
                "imports": (found.ready or {}).get("imports", []),
                "left_out": (found.ready or {}).get("left_out", {}),
                "state": "importing" if found.ready is None else "ready",
                "problem": "",
            }
            for words, found in self._living.items()
        ]
        failed = [
            {
                "environment": json.loads(words)["environment"],
                "pid": None,
                "forks": 0,
                "imports": [],
                "left_out": {},
                "state": "failed",
                "problem": why,
            }
            for words, (why, _) in self._failed.items()
            if words not in self._living
        ]
        return living + failed

    # -- details

    def _begin(self, words: str, wish: dict[str, Any]) -> None:
        now = time.monotonic()
        if words in self._failed and now - self._failed[words][1] < _AGAIN_S:
            return
        if len(self._living) >= _MOST:
            oldest = min(self._living, key=lambda each: self._living[each].used_at)
            if now - self._living[oldest].used_at < _UNUSED_S:
                return
            self._drop(oldest, "")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        said, said_end = os.pipe2(os.O_CLOEXEC)
        pid = os.fork()
        if pid == 0:
            _become_zygote(wish, theirs, said_end)
        theirs.close()
        os.close(said_end)
        os.set_blocking(said, False)
        self._living[words] = _Zygote(pid, ours, said)
        for descriptor in (ours.fileno(), said):
            self._selector.register(descriptor, selectors.EVENT_READ)

    def _settle(self, words: str, found: _Zygote) -> None:
        """Wait until a zygote has told of the runner that it was asked for; end it if it does not in time."""
        deadline = time.monotonic() + _FORK_S
        while found.asked is not None and words in self._living:
            ready, _, _ = select.select([found.control], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                self._drop(words, f"it did not fork within {_FORK_S:g} s")
                return
            self._receive(words, found)

    def _receive(self, words: str, found: _Zygote) -> None:
        """Take one message of a zygote."""
        try:
            data = found.control.recv(_MESSAGE_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(words, "it was killed" if found.ready else "it ended while it imported")
            return
        told: dict[str, Any] = json.loads(data)
        if "ready" in told:
            found.ready = told["ready"]
            self._failed.pop(words, None)
        elif "pid" in told and found.asked is not None:
            found.spare, found.asked = Spare(told["pid"], found.asked), None
            found.forks += 1
        elif "unfit" in told:
            _say(f"zygote {found.pid} ends: {told['unfit']}")
            self._drop(words, "")

    def _take_rest(self, words: str, found: _Zygote) -> None:
        """Take what a zygote that has ended told before; of a runner that nobody knew, its end would be on nobody."""
        while words in self._living and select.select([found.control], [], [], 0)[0]:
            self._receive(words, found)

    def _drop(self, words: str, failure: str) -> None:
        """End a zygote and the runner behind it.

        Args:
            failure: why it is of no use; empty where one of its sort may be started again at once.
        """
        found = self._living.pop(words)
        for descriptor in (found.control.fileno(), found.said):
            self._selector.unregister(descriptor)
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(found.process, signal.SIGKILL)  # it holds nothing of any job
        found.close()
        if found.spare is not None:
            os.close(found.spare.orders)
        if failure:
            self._failed[words] = (failure, time.monotonic())
            _say(f"zygote {found.pid} failed: {failure}")


def _become_zygote(wish: dict[str, Any], control: socket.socket, said: int) -> NoReturn:
    """In the fork: execute the interpreter with the descriptors that a zygote has."""
    try:
        syscalls.die_with_parent(signal.SIGKILL)
        nothing = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        given = {0: nothing, 1: said, 2: said, zygote.CONTROL: control.fileno(), zygote.LOG: 2}
        high = {target: fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE) for target, source in given.items()}
        for target, source in high.items():
            os.dup2(source, target)
        syscalls.close_from(5)
        os.chdir("/")
        package = str(Path(zygote.__file__).resolve().parents[1])
        told = json.dumps({"imports": wish["imports"], "left_out": {}})
        command = [wish["python"], *wish["options"], "-c", zygote.PROGRAM, package, told]
        os.execve(command[0], command, wish["environment"])
    except BaseException:  # noqa: BLE001 - this fork must end here; the host's log keeps the cause
        _say(f"the zygote could not be started:\n{traceback.format_exc()}")
    os._exit(127)


def _say(line: str) -> None:
    with contextlib.suppress(OSError):  # a full disk
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
