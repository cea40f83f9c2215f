"""The platform's end of the line to the runner host: finds it, starts it where there is none, asks it."""

import fcntl
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import towpath.runner
from towpath.kernel.errors import Unavailable
from towpath.runner import wake
from towpath.runner.folder import Settings

_HOST_SOCKET = "host"  #: as towpath.runner.host.SOCKET; importing that module would bring in all of the runner
_HOST_LOG = "host.log"
_START_LOCK = "host.start"
_TRIES = 5
_ANSWER_TIMEOUT_S = 30.0
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
    """A connection to the runner host of a run folder. Safe for use by several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._connection: socket.socket | None = None
        self._received = b""

    def start_runner(self, attempt: Path, key: str, settings: Settings) -> int:
        """Have a runner forked for an attempt and return its process id; the host is started if there is none."""
        request = {"do": "start", "key": key, "attempt": str(attempt), "settings": settings._asdict()}
        return int(self._ask(request, may_start=True)["pid"])

    def runner_of(self, key: str) -> int | None:
        """Return the process id of the runner that the host has for a key, if it has one."""
        answer = self._ask_if_there({"do": "runner", "key": key})
        return None if answer is None else answer["pid"]

    def end(self) -> list[str]:
        """Ask the host to end itself; return the keys of the jobs that keep it, none if it ended or was not there."""
        answer = self._ask_if_there({"do": "end"})
        if answer is None:
            return []
        with self._lock:
            if self._connection is not None and not answer["runners"]:
                self._connection.recv(1)  # returns when the host has closed it by ending
            self._hang_up()
        return list(answer["runners"])

    def close(self) -> None:
        """Hang up; the host goes on."""
        with self._lock:
            self._hang_up()

    def _ask_if_there(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """Return the host's answer, or None if there is no host."""
        try:
            return self._ask(request, may_start=False)
        except (ConnectionError, FileNotFoundError):
            return None

    def _ask(self, request: dict[str, Any], *, may_start: bool) -> dict[str, Any]:
        with self._lock:
            for last_try in (False, True):
                try:
                    if self._connection is None:
                        self._connection = self._reach() if may_start else self._connect()
                    answer = self._exchange(self._connection, request)
                    break
                except (ConnectionError, FileNotFoundError):
                    # The host died since it was last asked. Asking its successor again is harmless: the claim makes
                    # sure that a second runner of the same attempt does nothing.
                    self._hang_up()
                    if last_try:
                        raise
        if "error" in answer:
            raise Unavailable(answer["error"])
        return answer

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
            connection.settimeout(_ANSWER_TIMEOUT_S)
            connection.connect(wake.address(directory, _HOST_SOCKET))
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
        done = subprocess.run(
            command,
            env=environment,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=_ANSWER_TIMEOUT_S,
            check=False,
        )
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
