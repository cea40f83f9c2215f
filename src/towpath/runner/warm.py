"""Begins a job's script in a process that has libraries imported already, as a fresh interpreter would begin it.

Whatever a fresh interpreter would do otherwise, and that can be known before the script runs, makes the job begin cold:
its process then executes the interpreter after all. What differs all the same is in decision 39.
"""

import ctypes
import gc
import importlib
import os
import signal
import sys
import time
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from towpath.runner import chance, ending, syscalls, tree

#: Laid out by the platform where it starts the script of script mode. Source: `towpath.jobs.contract.TOOLKIT_PATH`.
TOOLKIT = "/opt/ml/input/config/towpath_toolkit.py"
#: Variables that may have any value: no library that is imported before jobs reads them while it is imported.
_HARMLESS = frozenset(
    {
        "CURRENT_HOST",
        "MLFLOW_DISABLE_TELEMETRY",
        "PROCESSING_JOB_ARN",
        "PROCESSING_JOB_NAME",
        "TRAINING_JOB_ARN",
        "TRAINING_JOB_NAME",
    }
)
_HARMLESS_PREFIXES = ("AWS_", "SAGEMAKER_", "SM_", "TOWPATH_")
_PACKED = (".zip", ".whl", ".egg", ".pyz")  #: what Python can import from without unpacking it
_MOST_BESIDE = 5000  #: files beside a script that are looked at
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD)
_Stamp = tuple[int, int] | None


class Began(NamedTuple):
    """How a job's process has begun."""

    warm: bool
    because: str  #: why it began cold; empty for a warm one


class Script(NamedTuple):
    """A script that is to run in this very process."""

    command: list[str]  #: what would be executed: program, script, arguments
    program: str  #: path of the interpreter that the command names
    environment: dict[str, str]


class Begin(BaseException):
    """Raised in the process of a job, to leave all that lies between it and the top of the program."""

    def __init__(self, script: Script) -> None:
        self.script = script


class Origin(NamedTuple):
    """What is known of a process when its imports are done; a job that begins in a fork of it is judged by that."""

    main: Mapping[str, Any]  #: the names that a fresh interpreter gives to `__main__`
    names: frozenset[str]  #: top-level modules that a fresh interpreter does not hold
    environment: Mapping[str, str]  #: before the imports
    added: Mapping[str, str]  #: variables that imports have set, as they do in a fresh interpreter
    files: Mapping[str, _Stamp]  #: what was imported, and where it was looked for
    handlers: Mapping[int, Any]  #: of signals
    generators: Sequence[chance.Generator]  #: of random numbers
    fixed: frozenset[str]  #: digests of the states of those that are not seeded by chance
    resident_bytes: int
    command_line: tuple[int, int]  #: where its words lie in memory

    def changed(self) -> str:
        """Return what a fresh interpreter would import otherwise now, empty if there is nothing."""
        return next((path for path, stamp in self.files.items() if _stamp(path) != stamp), "")


def origin(
    main: Mapping[str, Any],
    held: frozenset[str],
    environment: Mapping[str, str],
    fixed: frozenset[str],
) -> Origin:
    """Return what is known of this process, whose imports are done.

    Args:
        main: the names in `__main__` when this interpreter began.
        held: names of the modules that were there when it began.
        environment: its variables when it began.
        fixed: digests of the states of generators in another process that has imported the same.
    """
    modules = [
        module
        for name, module in list(sys.modules.items())
        if isinstance(module, types.ModuleType) and name.partition(".")[0] != "towpath"  # no job gets these
    ]
    files = {path for module in modules if isinstance(path := getattr(module, "__file__", None), str)}
    # A folder's time changes when a module is added that would be found first; its parents tell of packages.
    folders = {str(Path(path).parent) for path in files}
    places = {*files, *folders, *filter(None, sys.path), str(Path(sys.prefix, "pyvenv.cfg"))}
    tops = {name.partition(".")[0] for name in sys.modules} - {"towpath", "__main__"}
    return Origin(
        main=dict(main),
        names=frozenset(tops - held - set(sys.builtin_module_names)),
        environment=environment,
        added={name: value for name, value in os.environ.items() if environment.get(name) != value},
        files={path: _stamp(path) for path in sorted(places)},
        handlers={number: signal.getsignal(number) for number in _SIGNALS},
        generators=chance.generators(),
        fixed=fixed,
        resident_bytes=tree.resident_bytes([os.getpid()]),
        command_line=syscalls.command_line_place(),
    )


def why_cold(origin: Origin, script: Script, *, unpacked: bool) -> str:
    """Return why a script has to begin in a fresh interpreter; empty if it may begin here. Asked in its sandbox.

    Args:
        unpacked: the launcher of script mode would look at the requirements beside the script.
    """
    if not _is_this_interpreter(script.program):
        return f"its command is not Python's: {script.program}"
    words = script.command[1:]
    if not words or words[0].startswith("-") or not words[0].endswith(".py"):
        return "its command is no Python script"
    if not Path(words[0]).is_file():
        return f"its script {words[0]} is not there"
    if unpacked and "TOWPATH_LAYER" not in script.environment and Path("requirements.txt").exists():
        return "its requirements.txt has to be looked at"
    if variables := differing(origin.environment, script.environment):
        return f"libraries may read its variables while they are imported: {', '.join(variables)}"
    if clash := _clash(origin.names, os.path.dirname(os.path.realpath(words[0]))):  # noqa: PTH120 - as Python does
        return clash
    return ""


def as_script(command: list[str], program: str, environment: dict[str, str]) -> tuple[Script, bool]:
    """Return what a command runs, and whether it is started by the launcher of script mode, which is left out."""
    unpacked = len(command) > 2 and command[1] == TOOLKIT
    words = [program, *command[2:]] if unpacked else command
    return Script(words, program, environment), unpacked


def differing(here: Mapping[str, str], there: Mapping[str, str]) -> list[str]:
    """Return the variables that have not the same value in both and are not known to be harmless."""
    names = sorted({*here, *there})
    return [name for name in names if here.get(name) != there.get(name) and not is_harmless(name)]


def is_harmless(name: str) -> bool:
    """Return whether a variable may have any value."""
    return name in _HARMLESS or name.startswith(_HARMLESS_PREFIXES)


def take_over(origin: Origin, script: Script) -> None:
    """Turn this process, a fork of the one with the imports, into what a fresh interpreter is before its script."""
    for number, handler in origin.handlers.items():
        signal.signal(number, handler)
    signal.set_wakeup_fd(-1)
    os.environ.clear()  # the same object: libraries hold it
    os.environ.update({**origin.added, **script.environment})
    syscalls.be_dumpable()
    syscalls.show_command_line(origin.command_line, script.command)
    sys.argv[:] = script.command[1:]
    sys.orig_argv[:] = script.command
    sys.executable = script.program
    sys.path.insert(0, os.path.dirname(os.path.realpath(script.command[1])))  # noqa: PTH120 - as Python does
    for name in [name for name in sys.modules if name.partition(".")[0] == "towpath"]:
        del sys.modules[name]
    sys.modules["__main__"] = types.ModuleType("__main__")
    names = vars(sys.modules["__main__"])
    names.clear()
    names.update({name: {} if name == "__annotations__" else value for name, value in origin.main.items()})
    for generator in origin.generators:
        chance.renew(generator, origin.fixed)
    for renew in _RENEWALS:
        renew()
    importlib.invalidate_caches()
    ending.begin()
    gc.enable()


def run(script: Script) -> None:
    """Run a script as `python SCRIPT` does, by the same function of the interpreter; return, or raise SystemExit.

    It prints what is not caught, ends the process for SystemExit, and leaves it to the end of the program to end by
    SIGINT after KeyboardInterrupt.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.fopen.restype = ctypes.c_void_p
    libc.fopen.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
    # As Python does: without following links, and with every dot that the word has.
    path = os.fsencode(os.path.join(os.getcwd(), script.command[1]))  # noqa: PTH109, PTH118
    file = libc.fopen(path, b"rbe")
    if not file:
        raise OSError(ctypes.get_errno(), f"{path!r} cannot be opened")
    run_file = ctypes.pythonapi.PyRun_SimpleFileExFlags
    run_file.restype = ctypes.c_int
    run_file.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p]
    if run_file(file, path, 1, None) != 0 and getattr(sys, "last_type", None) is not KeyboardInterrupt:
        raise SystemExit(1)


# -- what libraries have settled when they were imported, and a fresh interpreter would settle now


def _renew_multiprocessing() -> None:
    """The key that processes of one program know each other by, and the folder that it began in."""
    process: Any = sys.modules.get("multiprocessing.process")
    if process is not None:
        process.current_process()._config["authkey"] = process.AuthenticationString(os.urandom(32))
        process.ORIGINAL_DIR = os.path.abspath(os.getcwd())  # noqa: PTH100, PTH109 - as the module itself does


def _renew_logging() -> None:
    """The moment that `relativeCreated` counts from."""
    logging: Any = sys.modules.get("logging")
    if logging is not None:
        logging._startTime = time.time_ns() if isinstance(logging._startTime, int) else time.time()


def _renew_tempfile() -> None:
    """The folder for temporary files, looked for when the first is made."""
    tempfile: Any = sys.modules.get("tempfile")
    if tempfile is not None:
        tempfile.tempdir = None


def _renew_threading() -> None:
    """The number by which the kernel knows the main thread."""
    threading: Any = sys.modules.get("threading")
    if threading is not None:
        threading.main_thread()._set_native_id()


_RENEWALS: tuple[Callable[[], None], ...] = (_renew_multiprocessing, _renew_logging, _renew_tempfile, _renew_threading)


# -- details


def _is_this_interpreter(program: str) -> bool:
    """Return whether a program is this interpreter in this environment, by whatever name."""
    path, here = Path(program), Path(sys.executable)
    return path.parent.resolve() == here.parent.resolve() and path.resolve() == here.resolve()


def _clash(names: frozenset[str], folder: str) -> str:
    """Return what lies beside a script and has the name of a module that is imported already; empty if nothing has.

    A fresh interpreter would import what lies there. Folders inside count: a script may put them on its path.
    """
    seen = 0
    for where, folders, files in os.walk(folder):
        seen += len(folders) + len(files)
        if seen > _MOST_BESIDE:
            return f"more than {_MOST_BESIDE} files lie beside its script"
        if packed := next((name for name in files if name.endswith(_PACKED)), ""):
            return f"{os.path.relpath(os.path.join(where, packed), folder)} may hold modules"  # noqa: PTH118
        for name in (*folders, *files):
            if name.partition(".")[0] in names and (name in folders or name.endswith((".py", ".pyc", ".so"))):
                return f"{os.path.relpath(os.path.join(where, name), folder)} has the name of a module"  # noqa: PTH118
    return ""


def _stamp(path: str) -> _Stamp:
    try:
        found = os.stat(path)  # noqa: PTH116 - thousands of them
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
