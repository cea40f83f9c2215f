"""The runner host: one small process for each home that forks the runners and outlives the server.

It forks because a fresh interpreter for each runner would cost more than most steps do. It knows nothing but the
runners it has forked; all else lies in the attempts' folders, so that losing it loses nothing.
"""

import contextlib
import fcntl
import gc
import json
import os
import selectors
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from towpath.runner import attempt, claim, groups, probe, syscalls, tree, wake
from towpath.runner.folder import MANIFEST, write_all
from towpath.runner.zygotes import Spare, Zygotes

LOCK = "host.lock"
SOCKET = "host"
LOG = "host.log"
#: How often an idle host looks whether its home is still there.
_LOOK_HOME_S = 60.0


def start(folder: str) -> int:
    """Start the host of a run folder in a session of its own and wait until it answers.

    Returns:
        0 when it listens, 3 when another host has the folder, 1 when it failed (its log says why).
    """
    ready, ready_end = os.pipe2(os.O_CLOEXEC)
    if os.fork() == 0:
        os.setsid()
        os.chdir("/")
        _serve_and_exit(Path(folder), ready_end)
    os.close(ready_end)
    answer = os.read(ready, 1)
    return {b"+": 0, b"=": 3}.get(answer, 1)


def _serve_and_exit(folder: Path, ready: int) -> NoReturn:
    log = os.open(folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    nothing = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    code = 1
    try:
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            os.write(ready, b"=")
        else:
            host = _Host(folder)
            os.write(ready, b"+")
            os.close(ready)
            host.serve()
        code = 0
    except BaseException:  # noqa: BLE001 - the last place that can say what happened
        _print_trace()
    os._exit(code)


class _Runner(NamedTuple):
    """A living runner."""

    pid: int
    attempt: Path


class _Host:
    """The listening socket, its clients and the living runners."""

    def __init__(self, folder: Path) -> None:
        self.runners: dict[str, _Runner] = {}  #: by key
        self._selector = selectors.DefaultSelector()
        self._buffers: dict[socket.socket, bytes] = {}
        self._ending = False
        self._spare: Spare | None = None
        self._zygotes = Zygotes(self._selector)
        self._curious: list[socket.socket] = []  #: clients that wait until all zygotes are ready
        directory = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        (folder / SOCKET).unlink(missing_ok=True)  # of a dead host: this one holds the lock
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(wake.address(directory, SOCKET))
        os.close(directory)
        (folder / SOCKET).chmod(0o600)
        self._listener.listen(64)
        self._socket = folder / SOCKET
        syscalls.become_subreaper()
        self._signals, wakeup = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._signals, selectors.EVENT_READ)
        claim.boot_id()  # remembered, for all runners
        # Runners share this process's memory until they write to it, and a collection writes to every object.
        gc.collect()
        gc.freeze()
        gc.disable()

    def serve(self) -> None:
        """Answer until asked to end."""
        while not self._ending:
            self._follow_zygotes()
            for key, _ in self._selector.select(_LOOK_HOME_S):
                if key.fileobj is self._listener:
                    client, _ = self._listener.accept()
                    self._buffers[client] = b""
                    self._selector.register(client, selectors.EVENT_READ)
                elif key.fileobj == self._signals:
                    self._reap()
                elif isinstance(key.fileobj, socket.socket):
                    self._read(key.fileobj)
                elif isinstance(key.fileobj, int):
                    self._zygotes.read(key.fileobj)
            self._zygotes.look()
            if not self.runners and not self._socket.exists():
                self._end_spare()
                return  # the home was removed, so nobody can ask for anything any more

    def _read(self, client: socket.socket) -> None:
        try:
            data = client.recv(1 << 16)
        except ConnectionError:
            data = b""
        if not data:
            self._drop(client)
            return
        *requests, self._buffers[client] = (self._buffers[client] + data).split(b"\n")
        for request in requests:
            asked = json.loads(request)
            if asked["do"] == "zygotes" and asked["wait"]:
                self._curious.append(client)
                continue
            try:
                _send(client, self._answer(asked))
            except ConnectionError:
                self._drop(client)
                return
            if self._spare is None and not self._ending:
                self._spare = self._fork_spare()

    def _drop(self, client: socket.socket) -> None:
        self._selector.unregister(client)
        self._buffers.pop(client, None)
        self._curious = [other for other in self._curious if other is not client]
        client.close()

    def _follow_zygotes(self) -> None:
        """Have zygotes prepare runners, listen to those that there are, and answer who waits for them."""
        if not self._ending:
            self._zygotes.replenish()
        for client in list(self._curious) if self._zygotes.is_settled else []:
            self._curious.remove(client)
            try:
                _send(client, {"zygotes": self._zygotes.report()})
            except ConnectionError:
                self._drop(client)

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        do = request["do"]
        if do == "start":
            try:
                return {"pid": self._start(request)}
            except OSError as error:
                return {"error": f"The runner host could not start a runner: {error}"}
        if do == "runner":
            self._reap()
            runner = self.runners.get(request["key"])
            return {"pid": runner.pid if runner else None}
        if do == "end":
            self._reap()
            for runner in list(self.runners.values()):
                # Whoever asks has seen the manifest, and perhaps forgotten the attempt; the runner is about to end.
                if (runner.attempt / MANIFEST).exists() or not runner.attempt.exists():
                    self._note_end(*os.waitpid(runner.pid, 0))
            if not self.runners:
                self._ending = True
                self._socket.unlink(missing_ok=True)
                self._end_spare()
            return {"runners": sorted(self.runners)}
        if do == "zygotes":
            return {"zygotes": self._zygotes.report()}
        if do == "probe":
            return {"results": probe.try_modes(request["modes"], request["folder"], request.get("bwrap", ""))}
        return {"error": f"The runner host does not know {do!r}"}

    def _start(self, request: dict[str, Any]) -> int:
        key = request["key"]
        if key in self.runners:
            return self.runners[key].pid
        self._reap()  # the spare runner may have been killed
        spare = self._zygotes.take(request["zygote"]) if request.get("zygote") else None
        if spare is None:
            spare, self._spare = self._spare or self._fork_spare(), None
        self.runners[key] = _Runner(spare.pid, Path(request["attempt"]))
        try:
            write_all(spare.orders, json.dumps(request).encode() + b"\n")
        finally:
            os.close(spare.orders)
        return spare.pid

    def _fork_spare(self) -> Spare:
        """Fork a runner that waits for its attempt, so that a job does not wait for the fork."""
        orders, orders_end = os.pipe2(os.O_CLOEXEC)
        pid = os.fork()
        if pid == 0:
            self._become_runner(orders)
        os.close(orders)
        return Spare(pid, orders_end)

    def _become_runner(self, orders: int) -> NoReturn:
        code = 1
        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            # Clients of a dead host must see it: no runner may keep its sockets open.
            os.dup2(orders, 3, inheritable=False)
            syscalls.close_from(4)
            attempt.wait_and_run(3)
            code = 0
        except BaseException:  # noqa: BLE001 - this fork must end here; the host's log keeps the cause
            _print_trace(f"runner {os.getpid()}:\n")
        os._exit(code)

    def _reap(self) -> None:
        """Take note of ended runners, and end what the killed ones left behind."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self._signals, 64):
                pass
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                self._note_end(pid, status)

    def _note_end(self, pid: int, status: int) -> None:
        gone = [key for key, runner in self.runners.items() if runner.pid == pid]
        self.runners = {key: runner for key, runner in self.runners.items() if runner.pid != pid}
        if self._spare is not None and self._spare.pid == pid:
            os.close(self._spare.orders)
            self._spare = None
        self._zygotes.note_end(pid)
        if status != 0:  # killed, so it could not end its descendants
            self._end_orphans()
            for key in gone:
                groups.remove(key)

    def _end_spare(self) -> None:
        """End the spare runners and whatever else is left, so that nothing remains when the host has gone."""
        self._zygotes.end()
        if self._spare is not None:
            os.close(self._spare.orders)
            self._spare = None
        with contextlib.suppress(ChildProcessError):
            while True:
                os.waitpid(-1, 0)

    def _known(self) -> set[int]:
        """Return the children that are runners."""
        spare = {self._spare.pid} if self._spare else set()
        return {runner.pid for runner in self.runners.values()} | spare | self._zygotes.pids()

    def _end_orphans(self) -> None:
        """Kill children that are no runners: the descendants of a runner that died before it could end them."""
        self._zygotes.settle()
        with contextlib.suppress(ChildProcessError):
            while orphans := set(tree.children(os.getpid())) - self._known():
                for pid in {*orphans, *(below for orphan in orphans for below in tree.descendants(orphan))}:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                for pid in orphans:
                    os.waitpid(pid, 0)


def _send(client: socket.socket, answer: dict[str, Any]) -> None:
    client.sendall(json.dumps(answer).encode() + b"\n")


def _print_trace(heading: str = "") -> None:
    """Write the exception that is being handled to the host's log, unless the disk is full."""
    with contextlib.suppress(OSError):
        sys.stderr.write(heading + traceback.format_exc())
        sys.stderr.flush()
