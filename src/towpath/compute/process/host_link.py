"""The platform's end of the line to the runner host: finds it, starts it where there is none, asks it."""

import contextlib
import fcntl
import json
import logging
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import towpath.runner
from towpath.kernel.errors import Unavailable
from towpath.runner import wake
from towpath.runner.folder import Settings

_log = logging.getLogger(__name__)
_HOST_SOCKET = "host"  #: as towpath.runner.host.SOCKET; importing that module would bring in all of the runner
_HOST_LOG = "host.log"
_START_LOCK = "host.start"
_TRIES = 5
_START_TIMEOUT_S = 30.0
_ANSWER_TIMEOUT_S = 5.0  #: an answer takes milliseconds
_END_TIMEOUT_S = 10.0  #: before it ends, the host waits for runners that are removing what their jobs left
_PAUSE_S = 2.0  #: for so long after a question without an answer nobody else waits for one
_CREDENTIALS = struct.Struct("3i")  #: struct ucred: pid, uid, gid
#: Run without site packages and without our package's `__init__`: the host needs nothing but the runner's own modules.
_HOST_PROGRAM = """
import sys, types
package = types.ModuleType("towpath")
package.__path__ = [sys.argv[1]]
sys.modules["towpath"] = package
from towpath.runner import host
sys.exit(host.start(sys.argv[2]))
"""


class HostLink:
    """A connection to the runner host of a run folder. Safe for use by several threads.

    An answer belongs to the question before it on the same connection. After anything but an answer that connection is
    closed, so that a late one reaches nobody.
    """

    def __init__(self, folder: Path, *, timeout_s: float = _ANSWER_TIMEOUT_S, pause_s: float = _PAUSE_S) -> None:
        """
        Args:
            timeout_s: how long to wait for an answer.
            pause_s: how long to refuse questions at once after one without an answer, so that threads do not wait for a
                host that is stopped one after the other.
        """
        self._folder = folder
        self._timeout_s = timeout_s
        self._pause_s = pause_s
        self._lock = threading.Lock()
        self._connection: socket.socket | None = None
        self._received = b""
        self._host = 0  #: process id of the host that was last connected to
        self._silent_until = 0.0  #: monotonic seconds; until then nobody asks

    def start_runner(self, attempt: Path, key: str, settings: Settings, zygote: Mapping[str, Any] | None = None) -> int:
        """Have a runner forked for an attempt and return its process id; the host is started if there is none.

        Args:
            zygote: what it had best be forked from, as `towpath.runner.zygotes` reads it; None: from the host.
        """
        request = {"do": "start", "key": key, "attempt": str(attempt), "settings": settings._asdict(), "zygote": zygote}
        return int(self._ask(request, may_start=True)["pid"])

    def runner_of(self, key: str) -> int | None:
        """Return the process id of the runner that the host has for a key, if it has one."""
        answer = self._ask_if_there({"do": "runner", "key": key})
        return None if answer is None else answer["pid"]

    def zygotes(self, *, wait_s: float = 0.0) -> list[dict[str, Any]]:
        """Return what the host tells of its zygotes, nothing where there is no host.

        Args:
            wait_s: how long to wait until each has a runner ready or has failed.
        Raises:
            Unavailable: the host does not answer, or not all are ready by then.
        """
        request = {"do": "zygotes", "wait": wait_s > 0}
        answer = self._ask_if_there(request, timeout_s=max(self._timeout_s, wait_s))
        return [] if answer is None else list(answer["zygotes"])

    def end(self) -> list[str]:
        """Have the host end; return the keys of the jobs that keep it, none if it ended or was not there.

        One that does not answer is killed: it knows nothing that does not lie on disk, and runners outlive it.
        """
        with self._lock:
            self._silent_until = 0.0
        try:
            answer = self._ask_if_there({"do": "end"}, timeout_s=max(self._timeout_s, _END_TIMEOUT_S))
        except Unavailable:
            self._kill()
            return []
        if answer is None:
            return []
        with self._lock:
            if self._connection is not None and not answer["runners"]:
                with contextlib.suppress(OSError):
                    self._connection.recv(1)  # returns when the host has closed it by ending
            self._hang_up()
        return list(answer["runners"])

    def close(self) -> None:
        """Hang up; the host goes on."""
        with self._lock:
            self._hang_up()

    def _ask_if_there(self, request: dict[str, Any], *, timeout_s: float | None = None) -> dict[str, Any] | None:
        """Return the host's answer, or None if there is no host."""
        try:
            return self._ask(request, may_start=False, timeout_s=timeout_s)
        except (ConnectionError, FileNotFoundError):
            return None

    def _ask(self, request: dict[str, Any], *, may_start: bool, timeout_s: float | None = None) -> dict[str, Any]:
        """Return the host's answer.

        Raises:
            Unavailable: it does not answer, could not be started, or answered that it cannot do this.
            ConnectionError, FileNotFoundError: there is none.
        """
        with self._lock:
            if time.monotonic() < self._silent_until:
                raise self._silent()
            for last_try in (False, True):
                try:
                    if self._connection is None:
                        self._connection = self._reach() if may_start else self._connect()
                    self._connection.settimeout(self._timeout_s if timeout_s is None else timeout_s)
                    answer = self._exchange(self._connection, request)
                    break
                except (ConnectionError, FileNotFoundError):
                    # The host died since it was last asked. Asking its successor again is harmless: the claim makes
                    # sure that a second runner of the same attempt does nothing.
                    self._hang_up()
                    if last_try:
                        raise
                except (TimeoutError, BlockingIOError) as error:  # the second: too many connections wait to be taken
                    self._hang_up()
                    self._silent_until = time.monotonic() + self._pause_s
                    raise self._silent() from error
                except BaseException:
                    self._hang_up()
                    raise
        if "error" in answer:
            raise Unavailable(answer["error"])
        return answer

    def _silent(self) -> Unavailable:
        return Unavailable(
            f"The runner host (process {self._host}) does not answer. Where it was stopped, `kill -CONT {self._host}` "
            f"lets it go on; after `kill -9 {self._host}` another one is started. Jobs that run go on either way."
        )

    def _kill(self) -> None:
        """Kill the host that does not answer, and wait until it is gone."""
        with self._lock:
            self._silent_until = 0.0
            try:
                connection = self._connect()  # which tells of the one that listens now
            except (ConnectionError, FileNotFoundError):
                return
            except BlockingIOError:
                pass  # it was told of when there was room
            else:
                connection.close()
            try:
                process = os.pidfd_open(self._host)
            except ProcessLookupError:
                return
            _log.warning("The runner host (process %d) does not answer and is to end: it is killed", self._host)
            try:
                signal.pidfd_send_signal(process, signal.SIGKILL)
                select.select([process], [], [], _END_TIMEOUT_S)
            finally:
                os.close(process)

    def _exchange(self, connection: socket.socket, request: dict[str, Any]) -> dict[str, Any]:
        connection.sendall(json.dumps(request).encode() + b"\n")
        while b"\n" not in self._received:
            chunk = connection.recv(1 << 16)
            if not chunk:
                raise ConnectionResetError("the runner host hung up")
            self._received += chunk
        line, _, self._received = self._received.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None
        self._received = b""

    def _connect(self) -> socket.socket:
        directory = os.open(self._folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(self._timeout_s)
            connection.connect(wake.address(directory, _HOST_SOCKET))
            credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            self._host = _CREDENTIALS.unpack(credentials)[0]
        except BaseException:
            connection.close()
            raise
        finally:
            os.close(directory)
        return connection

    def _reach(self) -> socket.socket:
        """Connect to the host, starting it if needed; one starter at a time, in this process and in others."""
        try:
            return self._connect()
        except (ConnectionError, FileNotFoundError):
            pass  # nobody answers: become the one who starts it, or wait for that one
        with _exclusive(self._folder / _START_LOCK):
            for _ in range(_TRIES):
                try:
                    return self._connect()
                except (ConnectionError, FileNotFoundError):
                    self._start_host()
        raise Unavailable(f"The runner host answers nobody, see {self._folder / _HOST_LOG}")

    def _start_host(self) -> None:
        """Start the host; returns when it listens, or when another one turned out to have the folder."""
        package = Path(next(iter(towpath.runner.__path__))).parent
        command = [sys.executable, "-S", "-E", "-c", _HOST_PROGRAM, str(package), str(self._folder)]
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"}
        try:
            done = subprocess.run(
                command,
                env=environment,
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=_START_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            log = self._folder / _HOST_LOG
            raise Unavailable(f"The runner host did not start within {_START_TIMEOUT_S:g} s, see {log}") from error
        if done.returncode not in (0, 3):
            detail = done.stderr.decode("utf-8", "replace").strip()[-500:]
            raise Unavailable(f"The runner host could not be started, see {self._folder / _HOST_LOG}. {detail}")


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """Hold a lock file; another thread or process that wants it waits."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
