"""Starts a job's own process inside its sandbox and tells how it ended.

The process is forked before there is a job for it and waits for its orders, so that a job does not wait for the fork.
"""

import contextlib
import fcntl
import json
import os
import resource  # noqa: F401 - `os.wait4` imports it: once in the host that all runners are forked from
import select
import shutil
import signal
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from towpath.runner import network, sandbox, syscalls, warm
from towpath.runner.command import Command
from towpath.runner.folder import ML, TMP, Settings, write_all

_READY_FD = 3
_FIRST_FREE = 10  #: above the descriptors that a program is given


class NotStarted(Exception):
    """The job's process could not be started; the message is the failure reason."""


class Process(NamedTuple):
    """The process of a job, first waiting for its orders and then running them, and the descriptors to watch."""

    pid: int
    pidfd: int  #: readable once it has ended
    output: int  #: what it and its children print
    ready: int  #: a serving job says here that it can answer
    orders: int
    trouble: int  #: why it could not start; ends when the program runs


class Ended(NamedTuple):
    """How the process ended."""

    exit_code: int  #: negative for a signal
    peak_bytes: int  #: the largest resident size of it or of a child it waited for


def prepare(*private: int, origin: warm.Origin | None = None) -> Process:
    """Fork the process of a job that is not known yet.

    Args:
        private: descriptors of this process that the fork must not hold open.
        origin: what this process has imported, where a job's script may run in the fork itself. Only for a fork that
            holds nothing of any job: what it holds stays in the script's memory.
    Raises:
        warm.Begin: in the fork, when it is to run a script.
    """
    orders, orders_end = os.pipe2(os.O_CLOEXEC)
    output, output_end = os.pipe2(os.O_CLOEXEC)
    trouble, trouble_end = os.pipe2(os.O_CLOEXEC)
    ready, ready_end = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        for descriptor in (*private, orders_end, output, trouble, ready):
            os.close(descriptor)  # each would keep the runner from seeing that its other end is closed
        _become(orders, output_end, trouble_end, ready_end, origin)
    for descriptor in (orders, output_end, trouble_end, ready_end):
        os.close(descriptor)
    os.set_blocking(output, False)
    return Process(pid, os.pidfd_open(pid), output, ready, orders_end, trouble)


def held(process: Process) -> tuple[int, ...]:
    """Return the descriptors of a process that waits for orders; another fork that held them open would keep it from
    seeing their end."""
    return process.pidfd, process.output, process.ready, process.orders, process.trouble


def start(
    process: Process,
    job: dict[str, Any],
    command: Command,
    folder: Path,
    settings: Settings,
    place: network.Place | None = None,
    *,
    cold: str = "",
) -> warm.Began:
    """Let the process become the job's program in its sandbox; return how it has begun.

    Args:
        folder: of the attempt, or of one host of it.
        place: of a host among those of its job; None: it is the only one.
        cold: why it has to begin in a fresh interpreter; empty if it need not.
    Raises:
        NotStarted: the sandbox or the program refused; nothing runs. A process that somebody has killed meanwhile has
            started and ended, as one that is killed later.
    """
    may_use_network = job.get("limits", {}).get("network", True)
    if not may_use_network and settings.sandbox == "paths":
        _dismiss(process)
        raise NotStarted(
            "The job asked for network isolation (EnableNetworkIsolation), and without a sandbox its network cannot be "
            "taken away: `towpath doctor` tells what keeps a sandbox from working here"
        )
    if sandbox.is_below(command.cwd_on_host, str(folder / ML)):
        Path(command.cwd_on_host).mkdir(parents=True, exist_ok=True)
    view = sandbox.View(
        ml=str(folder / ML),
        tmp=str(folder / TMP),
        masked=settings.home,
        needed=settings.needed,
        network=may_use_network or (place is not None and place.keeper is not None),
        user_namespace=settings.user_namespace,
        names="" if place is None else place.names,
        hostname="" if place is None else place.host,
    )
    orders = {
        "argv": command.argv,
        "environment": command.environment,
        "cwd": command.cwd,
        "sandbox": settings.sandbox,
        "bwrap": settings.bwrap,
        "view": view._asdict(),
        "serves": job.get("serves", False),
        "keeper": None if place is None else place.keeper,
        "cold": cold,
    }
    with contextlib.suppress(BrokenPipeError):  # it was killed: `wait` tells by which signal
        write_all(process.orders, json.dumps(orders).encode())
    os.close(process.orders)
    message = b""
    while chunk := os.read(process.trouble, 4096):
        message += chunk
    os.close(process.trouble)
    told: dict[str, str] = {}
    for line in message.splitlines():
        told.update(json.loads(line))
    if "trouble" in told:
        os.waitpid(process.pid, 0)
        raise NotStarted(told["trouble"])
    return warm.Began("warm" in told, "" if "warm" in told else told.get("cold", cold or "its process was killed"))


def _dismiss(process: Process) -> None:
    """End a process that waits for orders, by giving it none."""
    os.close(process.orders)
    os.close(process.trouble)
    os.waitpid(process.pid, 0)


def has_ended(process: Process) -> bool:
    """Return whether the process has ended, by itself or by others."""
    poll = select.poll()
    poll.register(process.pidfd, select.POLLIN)
    return bool(poll.poll(0))


def wait(process: Process) -> Ended:
    """Reap the process, which has ended or is about to."""
    _, status, usage = os.wait4(process.pid, 0)
    return Ended(os.waitstatus_to_exitcode(status), usage.ru_maxrss * 1024)


def _become(orders_pipe: int, output: int, trouble: int, ready: int, origin: warm.Origin | None) -> NoReturn:
    """In the fork: wait for orders, enter the sandbox and turn into the job's program. Never returns.

    Raises:
        warm.Begin: the program is a script that this process is to run itself.
    """
    runner = os.getppid()
    trouble = fcntl.fcntl(trouble, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE)  # `_READY_FD` may be its number until now
    step = ["The job's process could not be started"]  #: what is being done, for the message if it fails
    script = None
    try:
        syscalls.die_with_parent(signal.SIGKILL)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)  # ignored signals would stay ignored in the program
        os.setpgid(0, 0)
        nothing = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        for source, target in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(source, target)
        received = b""
        while chunk := os.read(orders_pipe, 1 << 16):
            received += chunk
        if not received or os.getppid() != runner:
            os._exit(127)  # the runner has gone without a job
        script = _follow(json.loads(received), trouble, ready, origin, step)
    except BaseException as error:  # noqa: BLE001 - this fork must end here, and the runner must hear why
        write_all(trouble, json.dumps({"trouble": f"{step[-1]}: {error}"}).encode() + b"\n")
    if script is None:
        os._exit(127)
    syscalls.close_from(3)  # the runner sees by it that the program runs
    raise warm.Begin(script)


def _follow(
    orders: dict[str, Any], trouble: int, ready: int, origin: warm.Origin | None, step: list[str]
) -> warm.Script | None:
    """Enter the sandbox and execute the program, or return the script that this process is to run itself."""
    argv: list[str] = orders["argv"]
    environment: dict[str, str] = orders["environment"]
    if orders["serves"]:
        environment["TOWPATH_READY_FD"] = str(_READY_FD)
    if orders["keeper"] is not None:
        step.append("The network of the job's hosts could not be entered")
        network.join(orders["keeper"])
    step.append("The sandbox could not be entered")
    view = sandbox.View(**{**orders["view"], "needed": tuple(orders["view"]["needed"])})
    if orders["sandbox"] == "namespace":
        sandbox.enter(view)
    if orders["sandbox"] == "bwrap":
        step.append(f"The program {argv[0]!r} could not be started")
        _find_program(sandbox.rewritten(argv[0], view.ml), environment["PATH"])
        argv = sandbox.bwrap_argv(view, orders["bwrap"], argv, orders["cwd"])
    else:
        step.append(f"The working directory {orders['cwd']} cannot be entered")
        os.chdir(orders["cwd"])
    step.append(f"The program {argv[0]!r} could not be started")
    program = _find_program(argv[0], environment["PATH"])
    cold: str = orders["cold"]
    if origin is not None and not cold:
        script, unpacked = warm.as_script(argv, program, environment)
        cold = warm.why_cold(origin, script, unpacked=unpacked)
        if not cold:
            warm.take_over(origin, script)
            write_all(trouble, b'{"warm": ""}\n')
            return script
    write_all(trouble, json.dumps({"cold": cold}).encode() + b"\n")
    if orders["serves"]:
        os.dup2(ready, _READY_FD)
    return os.execve(program, argv, environment)


def _find_program(name: str, path: str) -> str:
    """Return where a program lies; raise if there is none."""
    if "/" in name:
        Path(name).stat()
        return name
    found = shutil.which(name, path=path)
    if found is None:
        raise FileNotFoundError(f"there is none on the job's PATH, {path}")
    return found
