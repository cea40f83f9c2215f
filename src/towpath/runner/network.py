"""Lets the hosts of a job find each other, or one itself, by name: addresses on the loopback, and a shared network.

Each host of a job has an address of its own in 127.0.0.0/8, and `/etc/hosts` inside the sandbox names them all. A job
that may use the network does so on the host's own loopback; one that may not gets a network of its own, which a process
made for it keeps until all of its hosts have joined.
"""

import contextlib
import hashlib
import ipaddress
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from towpath.runner import sandbox, syscalls
from towpath.runner.folder import APART, NAMES, Settings, write_all
from towpath.runner.syscalls import CLONE_NEWNET, CLONE_NEWUSER


class NoNetwork(Exception):
    """The hosts of a job could not find each other; the message is the failure reason."""


class Place(NamedTuple):
    """Where a host stands among those of its job."""

    host: str
    names: str  #: file that tells where the others are, as /etc/hosts
    keeper: int | None  #: process that keeps the network they share; None: it is that of this machine


@contextlib.contextmanager
def places(job: dict[str, Any], attempt: Path, settings: Settings) -> Iterator[list[Place | None]]:
    """Give each host of a job its place, to be taken inside; None where there is nothing to arrange.

    A job on one host that has a name finds itself by it. Where that cannot be arranged it does without.

    Raises:
        NoNetwork: there is no way here for the hosts to find each other.
    """
    hosts = [part["name"] for part in job.get("hosts") or ()]
    if not hosts:
        yield [_alone(job, attempt, settings)]
        return
    known = Path(sandbox.ETC_HOSTS).read_text(encoding="utf-8", errors="replace")
    if settings.sandbox == "paths":
        if job["kind"] != APART and named_in(known, hosts) is None:
            lines = ", ".join(f"'127.0.0.{number} {host}'" for number, host in enumerate(hosts, 2))
            raise NoNetwork(
                f"The job asked for {len(hosts)} hosts. Without a sandbox nothing can give {hosts[0]} to {hosts[-1]} "
                "addresses for it alone: `towpath doctor` tells what keeps a sandbox from working here; or add to "
                f"{sandbox.ETC_HOSTS} {lines}, for all jobs"
            )
        yield [None for _ in hosts]
        return
    names = _write_names(attempt, known, job["key"], hosts)
    shared = None
    if not job.get("limits", {}).get("network", True):
        try:
            shared = Shared()
        except OSError as error:
            raise NoNetwork(str(error)) from error
    try:
        yield [Place(host, names, None if shared is None else shared.pid) for host in hosts]
    finally:
        if shared is not None:
            shared.close()


def _alone(job: dict[str, Any], attempt: Path, settings: Settings) -> Place | None:
    """Return the place of the one host of a job."""
    name = job.get("host")
    known = Path(sandbox.ETC_HOSTS)
    if not name or settings.sandbox == "paths" or not known.is_file():
        return None
    text = known.read_text(encoding="utf-8", errors="replace")
    return Place(name, _write_names(attempt, text, job["key"], [name]), None)


def _write_names(attempt: Path, known: str, key: str, hosts: Sequence[str]) -> str:
    """Write what becomes the /etc/hosts of a job's hosts; return where."""
    names = attempt / NAMES
    names.write_text(with_names(known, addresses(key, hosts)), encoding="utf-8")
    return str(names)


def addresses(key: str, hosts: Sequence[str]) -> dict[str, str]:
    """Return an address for each host of a job. They follow from the job's key, and those of other jobs hardly ever
    are the same."""
    digest = hashlib.sha256(key.encode()).digest()
    # Not 127.0.x.x, where other programs of this machine listen.
    block = f"127.{digest[0] % 254 + 1}.{digest[1]}"
    return {host: f"{block}.{number}" for number, host in enumerate(hosts, 1)}


def with_names(text: str, named: dict[str, str]) -> str:
    """Return the text of an /etc/hosts in which these names lead to these addresses, and all others to theirs."""
    ours = "".join(f"{address}\t{host}\n" for host, address in named.items())
    kept = [line for line in text.splitlines() if not set(_words(line)[1:]) & set(named)]
    return ours + "".join(f"{line}\n" for line in kept)


def named_in(text: str, hosts: Sequence[str]) -> dict[str, str] | None:
    """Return the addresses that an /etc/hosts gives these hosts, None unless each has one on the loopback to itself."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        address, *names = _words(line) or [""]
        for host in hosts:
            if host in names and _is_loopback(address):
                found.setdefault(host, address)
    return found if len(set(found.values())) == len(hosts) else None


def _words(line: str) -> list[str]:
    return line.partition("#")[0].split()


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


class Shared:
    """A network without a way out, kept by a process of its own until the hosts of a job have joined it."""

    def __init__(self) -> None:
        """
        Raises:
            OSError: the kernel refused it.
        """
        answer, answer_end = os.pipe2(os.O_CLOEXEC)
        self.pid = os.fork()
        if self.pid == 0:
            _keep(answer_end)
        os.close(answer_end)
        told = b""
        while chunk := os.read(answer, 4096):
            told += chunk
            if told == b"+":
                break
        os.close(answer)
        if told != b"+":
            self.close()
            raise OSError(f"A network of the job's own could not be made: {told.decode() or 'its process was killed'}")

    def close(self) -> None:
        """End the process; the network stays as long as somebody is in it."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def join(pid: int) -> None:
    """Move this process into the network that a process keeps. An ordinary user gets the rights for it by entering that
    process's user namespace; root has them."""
    network = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    if os.geteuid() != 0:
        user = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        syscalls.enter_namespace(user, CLONE_NEWUSER)
        os.close(user)
    syscalls.enter_namespace(network, CLONE_NEWNET)
    os.close(network)


def _keep(answer: int) -> NoReturn:
    try:
        # The processes that wait for orders would not see the end of these as long as somebody could add to them.
        os.dup2(answer, 3, inheritable=False)
        syscalls.close_from(4)
        answer = 3
        syscalls.die_with_parent(signal.SIGKILL)
        uid, gid = os.geteuid(), os.getegid()
        syscalls.unshare(CLONE_NEWNET | (0 if uid == 0 else CLONE_NEWUSER))
        if uid != 0:
            sandbox.map_user(uid, gid)
        sandbox.raise_loopback()
        syscalls.die_with_parent(signal.SIGKILL)  # the kernel may have forgotten it with the change of rights
        write_all(answer, b"+")
        while True:
            signal.pause()
    except BaseException as error:  # noqa: BLE001 - this fork must end here, and the runner must hear why
        write_all(answer, str(error).encode())
    os._exit(1)
