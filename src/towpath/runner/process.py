"""Starts a job's own process inside its sandbox and tells how it ended."""

import fcntl
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from towpath.runner import sandbox, syscalls
from towpath.runner.folder import ML, OPT_ML, TMP, Settings, write_all

_READY_FD = 3
_FIRST_FREE = 10  #: above the descriptors that a program is given
_STANDARD_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class NotStarted(Exception):
    """The job's process could not be started; the message is the failure reason."""


class Started(NamedTuple):
    """A running process of a job and the descriptors to watch."""

    pid: int
    pidfd: int  #: readable once it has ended
    output: int  #: what it and its children print
    ready: int | None  #: a serving job says here that it can answer


class Ended(NamedTuple):
    """How the process ended."""

    exit_code: int  #: negative for a signal
    peak_bytes: int  #: the largest resident size of it or of a child it waited for


class Command(NamedTuple):
    """What is executed, as the job sees it."""

    argv: list[str]
    environment: dict[str, str]
    cwd: str
    rewrite: Callable[[str], str]  #: from the job's words to the paths of this host


def command_of(job: dict[str, Any], attempt: Path, settings: Settings) -> Command:
    """Return the command of a job with its interpreter, paths and environment filled in."""
    ml, tmp = str(attempt / ML), str(attempt / TMP)
    private = settings.sandbox != "paths"

    def rewrite(text: str) -> str:
        return text if private else sandbox.rewritten(text, ml)

    python = job["python"]
    own_tmp = "/tmp" if private else tmp
    environment = {"HOME": own_tmp, "TMPDIR": own_tmp, "LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1"}
    environment.update({name: rewrite(value) for name, value in job.get("environment", {}).items()})
    folders = [_folder_of_python(python, attempt, own_tmp), environment.get("PATH", _STANDARD_PATH)]
    environment["PATH"] = ":".join(folders)
    argv = [rewrite(word.replace("{python}", python)) for word in job["argv"]]
    return Command(argv, environment, rewrite(job.get("cwd") or OPT_ML), rewrite)


def _folder_of_python(python: str, attempt: Path, tmp: str) -> str:
    """Return the folder to search first, in which `python` and `python3` both are the job's interpreter."""
    program = Path(python)
    names = [program.parent / name for name in ("python", "python3")]
    if all(name.exists() and name.resolve() == program.resolve() for name in names):
        return str(program.parent)
    # Scripts and not links: through a link elsewhere Python would not find its virtual environment.
    folder = attempt / TMP / ".python"
    folder.mkdir(exist_ok=True)
    for name in ("python", "python3"):
        script = folder / name
        script.write_text(f"#!/bin/sh\nexec '{python}' \"$@\"\n")
        script.chmod(0o755)
    return f"{tmp}/.python:{program.parent}"


def start(job: dict[str, Any], command: Command, attempt: Path, settings: Settings) -> Started:
    """Start the process of a job in its sandbox.

    Raises:
        NotStarted: the sandbox or the program refused; nothing runs.
    """
    cwd_on_host = sandbox.rewritten(job.get("cwd") or OPT_ML, str(attempt / ML))
    if sandbox.is_below(cwd_on_host, str(attempt / ML)):
        Path(cwd_on_host).mkdir(parents=True, exist_ok=True)
    output, output_end = os.pipe2(os.O_CLOEXEC)
    trouble, trouble_end = os.pipe2(os.O_CLOEXEC)
    ready, ready_end = os.pipe2(os.O_CLOEXEC) if job.get("serves") else (None, None)
    # Between fork and exec a SIGTERM would meet the runner's handler, and be forgotten.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    pid = os.fork()
    if pid == 0:
        _become(job, command, attempt, settings, output_end, trouble_end, ready_end)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    for descriptor in (output_end, trouble_end, ready_end):
        if descriptor is not None:
            os.close(descriptor)
    message = b""
    while chunk := os.read(trouble, 4096):  # ends when the program replaced the fork
        message += chunk
    os.close(trouble)
    if message:
        os.waitpid(pid, 0)
        os.close(output)
        if ready is not None:
            os.close(ready)
        raise NotStarted(message.decode())
    os.set_blocking(output, False)
    return Started(pid, os.pidfd_open(pid), output, ready)


def wait(started: Started) -> Ended:
    """Reap the process, which has ended or is about to."""
    _, status, usage = os.wait4(started.pid, 0)
    return Ended(os.waitstatus_to_exitcode(status), usage.ru_maxrss * 1024)


def _become(
    job: dict[str, Any],
    command: Command,
    attempt: Path,
    settings: Settings,
    output: int,
    trouble: int,
    ready: int | None,
) -> NoReturn:
    """In the fork: enter the sandbox and turn into the job's program. Never returns."""
    message = "The job's process could not be started"
    runner = os.getppid()
    # Above the numbers that are about to be given out.
    output = fcntl.fcntl(output, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE)
    trouble = fcntl.fcntl(trouble, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE)
    try:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)  # ignored signals would stay ignored in the program
        signal.set_wakeup_fd(-1)
        signal.pthread_sigmask(signal.SIG_SETMASK, set())
        os.setpgid(0, 0)
        environment = dict(command.environment)
        if ready is not None:
            os.dup2(ready, _READY_FD)
            environment["TOWPATH_READY_FD"] = str(_READY_FD)
        nothing = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        os.dup2(nothing, 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        argv = command.argv
        message = "The sandbox could not be entered"
        view = sandbox.View(
            ml=str(attempt / ML),
            tmp=str(attempt / TMP),
            masked=settings.home,
            needed=(*settings.needed, *sandbox.needed_for(job["python"])),
            network=job.get("limits", {}).get("network", True),
            user_namespace=settings.user_namespace,
        )
        if settings.sandbox == "namespace":
            sandbox.enter(view)
        else:
            syscalls.die_with_parent(signal.SIGKILL)
        if settings.sandbox == "bwrap":
            message = f"The program {argv[0]!r} could not be started"
            _find_program(sandbox.rewritten(argv[0], str(attempt / ML)), environment["PATH"])
            argv = sandbox.bwrap_argv(view, settings.bwrap, [*argv], command.cwd)
        else:
            message = f"The working directory {command.cwd} cannot be entered"
            os.chdir(command.cwd)
        if os.getppid() != runner:
            os._exit(127)  # the runner died before the kernel knew that this process must not outlive it
        message = f"The program {argv[0]!r} could not be started"
        os.execve(_find_program(argv[0], environment["PATH"]), argv, environment)
    except BaseException as error:  # noqa: BLE001 - this fork must end here, and the runner must hear why
        write_all(trouble, f"{message}: {error}".encode())
    os._exit(127)


def _find_program(name: str, path: str) -> str:
    """Return where a program lies; raise if there is none."""
    if "/" in name:
        Path(name).stat()
        return name
    found = shutil.which(name, path=path)
    if found is None:
        raise FileNotFoundError(f"there is none on the job's PATH, {path}")
    return found
