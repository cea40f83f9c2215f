"""A process that has imported libraries and forks runners, so that a job need not import them: the zygote.

It imports and never computes, so that nothing of a job's is decided here. It is a child of the runner host, which asks
for a runner by one message on descriptor 3 that carries the pipe of the runner's orders. It ends when the host does.
"""

import array
import contextlib
import gc
import importlib.util
import json
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from towpath.runner import attempt, chance, syscalls, tree, warm
from towpath.runner.folder import NOT_INSTALLED, write_all

CONTROL = 3  #: descriptor of the socket to the host
LOG = 4  #: descriptor of the host's log
#: Run by an interpreter as jobs get it. The first line keeps what a fresh `__main__` holds.
PROGRAM = """
_fresh = dict(globals())
import sys
_held = frozenset(sys.modules)
sys.path.pop(0)
_package = type(sys)("towpath")
_package.__path__ = [sys.argv[1]]
sys.modules["towpath"] = _package
from towpath.runner import ending, zygote
zygote.main(_fresh, _held)()
"""
_MOST_FORKS = 1000  #: then another one takes its place
_MOST_GROWTH_BYTES = 64 << 20
_MESSAGE_BYTES = 4096
_THREADS_END_S = 0.2


class Wish(NamedTuple):
    """What a zygote is to import, as its last argument says in JSON."""

    imports: tuple[str, ...]
    left_out: dict[str, str]  #: why others are not


def main(fresh: Mapping[str, Any], held: frozenset[str]) -> Callable[[], None]:
    """Import, then fork runners for as long as the host asks; return in the process of a job, with what runs it.

    Args:
        fresh: the names in `__main__` when the interpreter began.
        held: names of the modules that were there.
    """
    os.set_inheritable(CONTROL, False)
    os.set_inheritable(LOG, False)
    told = json.loads(sys.argv[2])
    wish = Wish(tuple(told["imports"]), told["left_out"])
    imported = []
    environment = dict(os.environ)
    twin = _Twin([name for name in wish.imports if _is_installed(name)])
    before = _descriptors()
    for name in wish.imports:
        if not _is_installed(name):
            wish.left_out[name] = NOT_INSTALLED
            continue
        problem = _bring_in(name, before)
        if problem:
            twin.end()
            _begin_anew(wish, name, problem, environment)
        imported.append(name)
    zygote = _Zygote(warm.origin(fresh, held, environment, twin.states()))
    gc.collect()
    gc.freeze()  # forks share what no collection touches
    gc.disable()
    zygote.tell({"ready": {"imports": imported, "left_out": dict(wish.left_out)}})
    script = zygote.serve()
    return lambda: warm.run(script)


def why_unfit(*, forks: int, changed: str, threads: Sequence[str], grown_bytes: int) -> str:
    """Return why another zygote has to take the place of one; empty if it may go on.

    Args:
        forks: how many runners it has forked.
        changed: a file that a fresh interpreter would find otherwise now.
        threads: names of those that a fork would lose.
        grown_bytes: of its memory since its imports.
    """
    if forks >= _MOST_FORKS:
        return f"it has forked {forks} runners"
    if changed:
        return f"{changed} has changed"
    if threads:
        return f"it has threads that a fork would lose: {', '.join(threads)}"
    return f"it has grown by {grown_bytes >> 20} MiB" if grown_bytes > _MOST_GROWTH_BYTES else ""


class _Twin:
    """A process that imports the same and tells the states of its generators, to see which are not left to chance."""

    def __init__(self, imports: Sequence[str]) -> None:
        self._told, told_end = os.pipe2(os.O_CLOEXEC)
        self._pid = os.fork()
        if self._pid == 0:
            with contextlib.suppress(BaseException):  # whatever is wrong is found out by the zygote itself
                for name in imports:
                    importlib.import_module(name)
                write_all(told_end, "\n".join(each.digest for each in chance.generators()).encode())
            os._exit(0)
        os.close(told_end)

    def states(self) -> frozenset[str]:
        """Wait for it, and return the digests of the states."""
        told = b""
        while chunk := os.read(self._told, 1 << 16):
            told += chunk
        self.end()
        return frozenset(told.decode().split())

    def end(self) -> None:
        """End it, wherever it is."""
        os.close(self._told)
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)


def _is_installed(name: str) -> bool:
    return importlib.util.find_spec(name.partition(".")[0]) is not None


def _bring_in(name: str, descriptors: set[str]) -> str:
    """Import a module; return why no fork of this process could stand for a fresh one any more, empty if it can."""
    try:
        importlib.import_module(name)
    except BaseException as error:  # noqa: BLE001 - a module may do anything; the job that imports it will see it too
        return f"its import fails: {type(error).__name__}: {error}"
    if left := _threads_that_stay():
        return f"it leaves threads that a fork would lose: {', '.join(left)}"
    if opened := sorted(_descriptors() - descriptors):
        return f"it leaves files open: descriptors {', '.join(opened)}"
    if shared := _shared_memory():
        return f"it leaves memory that forks could write for each other: {', '.join(shared)}"
    return ""


def _begin_anew(wish: Wish, name: str, problem: str, environment: Mapping[str, str]) -> None:
    """Become a new zygote that leaves a module out: nothing of its import must stay."""
    print(f"zygote {os.getpid()}: {name} is left out: {problem}", file=sys.stderr, flush=True)
    left = wish._replace(
        imports=tuple(each for each in wish.imports if each != name), left_out={**wish.left_out, name: problem}
    )
    os.set_inheritable(CONTROL, True)
    os.set_inheritable(LOG, True)
    words = list(sys.orig_argv)
    words[-1] = json.dumps(left._asdict())
    os.execve(sys.executable, words, environment)


def _threads_that_stay() -> list[str]:
    """Return the names of threads beside this one that are there after a fork.

    Pools for linear algebra end before a fork and are begun anew behind it, in parent and child.
    """
    if len(_threads()) == 1:
        return []
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    until = time.monotonic() + _THREADS_END_S
    while left := sorted(name for number, name in _threads().items() if number != os.getpid()):
        if time.monotonic() > until:
            return left
        time.sleep(0.001)  # a thread that was waited for is listed for a moment longer
    return []


def _threads() -> dict[int, str]:
    found = {}
    for number in os.listdir("/proc/self/task"):  # noqa: PTH208 - names alone are wanted
        with open(f"/proc/self/task/{number}/comm") as file:  # noqa: PTH123
            found[int(number)] = file.read().strip()
    return found


def _descriptors() -> set[str]:
    listed = os.listdir("/proc/self/fd")  # noqa: PTH208 - names alone are wanted
    return {name for name in listed if os.path.lexists(f"/proc/self/fd/{name}")}  # without that of the list itself


def _shared_memory() -> list[str]:
    """Return the writable mappings that forks have in common: through them a job would reach out of its sandbox."""
    found = []
    with open("/proc/self/maps") as file:  # noqa: PTH123
        for line in file:
            where, rights, *_ = line.split()
            if "w" in rights and "s" in rights:
                found.append(where)
    return found


class _Zygote:
    """The socket to the host, and what forks are judged by."""

    def __init__(self, origin: warm.Origin) -> None:
        self._origin = origin
        self._control = socket.socket(fileno=CONTROL)
        self._forks = 0

    def tell(self, message: Mapping[str, Any]) -> None:
        """Say something to the host; if it has gone, so does this process."""
        try:
            self._control.send(json.dumps(message).encode())
        except OSError:
            os._exit(0)

    def serve(self) -> warm.Script:
        """Fork a runner each time the host asks. Returns in the process of a job, with its script."""
        while True:
            room = socket.CMSG_SPACE(array.array("i").itemsize)
            data, carried, _, _ = self._control.recvmsg(_MESSAGE_BYTES, room, socket.MSG_CMSG_CLOEXEC)
            if not data:
                os._exit(0)
            (orders,) = array.array("i", carried[0][2])
            if reason := self._unfit():
                self.tell({"unfit": reason})
                os._exit(0)
            script = self._fork_runner(orders)
            if script is not None:
                return script
            os.close(orders)

    def _unfit(self) -> str:
        """Return why no more forks may be made; empty if they may."""
        return why_unfit(
            forks=self._forks,
            changed=self._origin.changed(),
            threads=_threads_that_stay(),
            grown_bytes=tree.resident_bytes([os.getpid()]) - self._origin.resident_bytes,
        )

    def _fork_runner(self, orders: int) -> warm.Script | None:
        """Fork a process that forks a runner and ends, so that the host adopts the runner; tell the host its number.

        Returns a script in the process of a job, None here.
        """
        answer, answer_end = os.pipe2(os.O_CLOEXEC)
        between = os.fork()
        if between == 0:
            pid = os.fork()
            if pid == 0:
                return self._become_runner(orders)
            os.write(answer_end, str(pid).encode())
            os._exit(0)
        os.close(answer_end)
        _, status = os.waitpid(between, 0)
        pid_told = os.read(answer, 32)
        os.close(answer)
        self._forks += 1
        if not pid_told:
            self.tell({"unfit": f"its fork ended with {os.waitstatus_to_exitcode(status)}"})
            os._exit(1)
        self.tell({"pid": int(pid_told)})
        return None

    def _become_runner(self, orders: int) -> warm.Script:
        code = 1
        try:
            os.setsid()
            self._control.detach()
            os.dup2(LOG, 1)
            os.dup2(LOG, 2)
            os.dup2(orders, 3, inheritable=False)
            syscalls.close_from(4)
            attempt.wait_and_run(3, self._origin)
            code = 0
        except warm.Begin as begin:
            return begin.script
        except BaseException:  # noqa: BLE001 - this fork must end here; the host's log keeps the cause
            sys.stderr.write(f"runner {os.getpid()}:\n{traceback.format_exc()}")
        os._exit(code)
