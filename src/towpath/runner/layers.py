"""Makes layers: folders of the packages that a job asks for and its environment does not hold.

A layer is made by uv outside the job's sandbox, by the job's own runner and before the job starts, and is kept by the
content of what was asked for. Only built packages are taken, since building one would run its code outside the sandbox.
Whatever the environment holds stays as it is: its exact versions are constraints, and nothing of it goes into a layer.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from towpath.runner import syscalls
from towpath.runner.command import Command
from towpath.runner.folder import Settings, sync_folder, write_all, write_whole
from towpath.runner.requirements import Asked, Refused, asked_for, without_credentials

RECORD = "layer.json"
PACKAGES = "packages"
STARTUP = "startup"  #: comes first on PYTHONPATH, and puts the packages last on the path
_WORDS = "words"  #: folder of what uv is told, while a layer is made
_FORMAT = 1
_BUILD_S = 1800.0
_LOOK_S = 1.0
_SHOWN = 900
#: torch and what brings CUDA along: gigabytes that nobody asked for, or another torch than the environment's own.
_NEVER = re.compile(r"(torch|torchvision|torchaudio|triton|pytorch-.*|nvidia-.*|cuda-.*|cupy-cuda.*|jax-cuda.*)")
_PLANNED = re.compile(r"^ ([+~-]) ([A-Za-z0-9._-]+)==(\S+?)(?: \(from (\S+)\))?$")
_HASH = re.compile(r"--hash[= ]\S+")

_PROBE = """
import importlib.metadata, json, platform, re, sysconfig
found = {re.sub("[-_.]+", "-", d.metadata["Name"]).lower(): d.version
         for d in importlib.metadata.distributions() if d.metadata["Name"]}
print(json.dumps({"version": platform.python_version(), "packages": found,
                  "platform": [sysconfig.get_platform(), sysconfig.get_config_var("SOABI") or ""]}))
"""
_STARTUP_PROGRAM = '''"""Puts the packages of a layer behind those of the environment."""
import importlib.machinery
import importlib.util
import os.path
import site
import sys

_here = os.path.dirname(os.path.abspath(__file__))
if sys.version_info[:2] == {version}:
    site.addsitedir(os.path.join(os.path.dirname(_here), "{packages}"))
_other = importlib.machinery.PathFinder.find_spec("sitecustomize", [path for path in sys.path if path != _here])
if _other is not None and _other.loader is not None:  # of the environment itself, which this file hides
    _module = importlib.util.module_from_spec(_other)
    sys.modules["sitecustomize"] = _module
    _other.loader.exec_module(_module)
'''


class Layer(NamedTuple):
    """Packages that were added to an environment."""

    hash: str
    folder: str
    python_version: str
    base: dict[str, str]  #: what the environment holds by itself: name -> version
    packages: dict[str, str]  #: what the layer adds, nothing where all was there


class _Planned(NamedTuple):
    """A package that has to be installed."""

    version: str
    line: str  #: as uv reads it, with the hashes that were asked for


class _Base(NamedTuple):
    """What an interpreter holds."""

    python: str
    version: str
    packages: dict[str, str]
    platform: list[str]


def prepare(
    job: Mapping[str, Any],
    ml: Path,
    settings: Settings,
    *,
    signals: int,
    checkpoint: Callable[[], None],
    say: Callable[[str], None],
) -> Layer | None:
    """Return the layer that a job needs, None where it asks for nothing. Makes it if it is not there yet.

    Args:
        signals: descriptor that is readable after a signal.
        checkpoint: called then; raises if the job is to stop.
        say: takes what uv says, for the job's log.
    Raises:
        Refused: there can be no such layer, or it cannot be made now; the message says why.
    """
    names = job.get("requirements") or ()
    if not names or not settings.layers:
        return None
    asked = asked_for([ml / name for name in names], ml)
    for option in sorted(set(asked.ignored)):
        say(f"requirements.txt: the option {option!r} has no effect")
    if not asked.lines:
        return None
    answer = _in_a_process(
        lambda: _made(asked, str(job["python"]), settings), signals=signals, checkpoint=checkpoint, say=say
    )
    if "problem" in answer:
        raise Refused(answer["problem"])
    layer = Layer(**answer)
    added = ", ".join(f"{name} {version}" for name, version in sorted(layer.packages.items()))
    say(f"requirements.txt: layer {layer.hash[:12]} adds {added}" if added else "requirements.txt: all of it is there")
    return layer


def added_to(command: Command, layer: Layer | None) -> Command:
    """Return a job's command with a layer on its path, behind the environment's own packages."""
    if layer is None:
        return command
    environment = {**command.environment, "TOWPATH_LAYER": layer.hash}
    if layer.packages:
        own = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = f"{layer.folder}/{STARTUP}" + (f":{own}" if own else "")
    return command._replace(environment=environment)


def shown_with(settings: Settings, layer: Layer | None) -> Settings:
    """Return settings by which a job can read its layer, which lies in the hidden home."""
    if layer is None or not layer.packages:
        return settings
    return settings._replace(needed=tuple(sorted({*settings.needed, str(Path(layer.folder).resolve())})))


def key_of(asked: Asked, base: _Base) -> str:
    """Return the name of a layer: the same requirements in the same environment have the same."""
    facts = [_FORMAT, base.version, base.platform, sorted(base.packages.items()), asked.text()]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


# -- in a process of its own, so that a job can be stopped while its layer is made


def _made(asked: Asked, python: str, settings: Settings) -> dict[str, Any]:
    """Return the facts of the layer, which is there afterwards."""
    base = _probed(python)
    key = key_of(asked, base)
    layers = Path(settings.layers)
    folder = layers / key
    if not (folder / RECORD).exists():
        layers.mkdir(mode=0o700, exist_ok=True)
        locks = layers / ".locks"
        locks.mkdir(exist_ok=True)
        lock = os.open(locks / key, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                _tell("requirements.txt: another job makes this layer just now; waiting for it")
                fcntl.flock(lock, fcntl.LOCK_EX)
            if not (folder / RECORD).exists():
                _build(layers / f".building-{key}", folder, asked, base, settings)
        finally:
            os.close(lock)
    with contextlib.suppress(OSError):
        os.utime(folder)  # when it was last used, for whoever clears up
    record = json.loads((folder / RECORD).read_bytes())
    return {
        "hash": key,
        "folder": str(folder),
        "python_version": base.version,
        "base": base.packages,
        "packages": record["packages"],
    }


def _build(work: Path, folder: Path, asked: Asked, base: _Base, settings: Settings) -> None:
    """Make a layer in a folder of its own and show it, whole, under its name. The caller holds its lock."""
    if work.exists():
        shutil.rmtree(work)  # of a build that was killed
    work.mkdir()
    try:
        (work / _WORDS).mkdir()
        _tell(f"requirements.txt: looking for what {base.python} does not hold")
        plan = _planned(work / _WORDS, asked, base, settings)
        if plan:
            wanted = _written(work / _WORDS / "plan.txt", [item.line for item in plan.values()])
            options = ["--no-deps", "--compile-bytecode", "--link-mode", "copy", "--target", str(work / PACKAGES)]
            code, said = _uv(settings, base, [*options, "-r", wanted, *_sources(asked)])
            if code != 0:
                raise Refused(f"requirements.txt cannot be installed: {_told(said)}")
            (work / STARTUP).mkdir()
            version = tuple(int(part) for part in base.version.split(".")[:2])
            program = _STARTUP_PROGRAM.format(version=version, packages=PACKAGES)
            (work / STARTUP / "sitecustomize.py").write_text(program, encoding="utf-8")
        shutil.rmtree(work / _WORDS)
        record = {
            "packages": {name: item.version for name, item in plan.items()},
            "requirements": without_credentials(asked.text()).splitlines(),
            "python": base.python,
            "python_version": base.version,
        }
        os.sync()  # the record must not survive a power cut that its packages did not
        write_whole(work / RECORD, json.dumps(record, indent=1).encode(), durable=True)
        work.rename(folder)
        sync_folder(folder.parent)
    finally:
        shutil.rmtree(work, ignore_errors=True)  # only what failed is still there


def _written(path: Path, lines: list[str]) -> str:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return str(path)


def _planned(words: Path, asked: Asked, base: _Base, settings: Settings) -> dict[str, _Planned]:
    """Return what has to be installed, by name.

    Resolving against the environment as it is: what it holds is taken as it is, without asking an index.
    """
    held = [f"{name}=={version}" for name, version in sorted(base.packages.items())]
    files = [
        *("-r", _written(words / "requirements.txt", asked.lines)),
        *("-c", _written(words / "base.txt", held)),
        *("-c", _written(words / "constraints.txt", asked.constraints)),
    ]
    code, said = _uv(settings, base, ["--dry-run", "--break-system-packages", *files, *_sources(asked)])
    if code != 0:
        raise Refused(
            f"requirements.txt cannot be met beside the packages of {base.python}, which stay as they are: "
            f"{_told(said)}. Change the requirement, or map the image to another environment."
        )
    hashes = {_normal(_name(line)): " ".join(_HASH.findall(line)) for line in asked.lines}
    plan: dict[str, _Planned] = {}
    for line in said:
        found = _PLANNED.match(line)
        if found is None:
            continue
        sign, name, version, url = found.groups()
        name = _normal(name)
        if sign != "+" or name in base.packages:
            here = base.packages.get(name, version)
            raise Refused(
                f"requirements.txt asks for another {name} than the {here} of {base.python}. "
                "Change the requirement, or map the image to another environment."
            )
        exactly = f"{name}=={version}" if url is None else f"{name} @ {url}"
        plan[name] = _Planned(version, f"{exactly} {hashes.get(name, '')}".strip())
    unwanted = sorted(name for name in plan if _NEVER.fullmatch(name))
    if unwanted:
        raise Refused(
            f"requirements.txt would bring in {', '.join(unwanted)}, and a layer never holds PyTorch or CUDA. Install "
            "the platform with its extra 'text', whose PyTorch suits this host, or map the image to an environment "
            "that has it: [images] in towpath.toml."
        )
    return plan


def _sources(asked: Asked) -> list[str]:
    return [word for source in asked.sources for word in source.split(" ", 1)]


def _uv(settings: Settings, base: _Base, arguments: Sequence[str]) -> tuple[int, list[str]]:
    """Run `uv pip install`; return its exit code and what it said, which is told as it comes."""
    fixed = ["--only-binary", ":all:", "--no-progress", "--color", "never", "--python", base.python]
    command = [*settings.uv, "pip", "install", *fixed, *arguments]
    said: list[str] = []
    # From the root: a project's configuration that lies around the home has nothing to say here.
    with subprocess.Popen(
        command, cwd="/", env=dict(settings.uv_environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        assert running.stdout is not None
        for raw in running.stdout:
            line = without_credentials(raw.rstrip("\n"))
            said.append(line)
            _tell(f"uv: {line}")
    return running.returncode, said


def _told(said: list[str]) -> str:
    """Return uv's account of what went wrong, in one line that fits a failure reason."""
    first = next((index for index, line in enumerate(said) if line.startswith(("error", "  x", "  ×"))), 0)
    words = " ".join(" ".join(said[first:]).split()).removeprefix("error: ").rstrip(".")
    return words if len(words) <= _SHOWN else words[: _SHOWN // 2] + " … " + words[-_SHOWN // 2 :]


def _probed(python: str) -> _Base:
    try:
        done = subprocess.run(
            [python, "-I", "-c", _PROBE], capture_output=True, text=True, timeout=60.0, check=True, cwd="/"
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise Refused(f"The interpreter {python} does not say which packages it holds: {error}") from error
    told = json.loads(done.stdout)
    return _Base(python, told["version"], told["packages"], told["platform"])


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _name(line: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", line)
    return found.group() if found else ""


def _tell(line: str) -> None:
    write_all(1, line.encode("utf-8", "replace") + b"\n")


# -- around that process


def _in_a_process(
    work: Callable[[], dict[str, Any]], *, signals: int, checkpoint: Callable[[], None], say: Callable[[str], None]
) -> dict[str, Any]:
    """Return what `work` returns in a fork of this process, whose output is said line by line."""
    output, output_end = os.pipe2(os.O_CLOEXEC)
    answer, answer_end = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        _work_and_exit(work, output_end, answer_end)
    os.close(output_end)
    os.close(answer_end)
    try:
        told = _followed(output, answer, signals=signals, checkpoint=checkpoint, say=say)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)  # of no effect where all went well
            os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(output)
        os.close(answer)
    if not told:
        return {"problem": "The process that makes the layer of requirements.txt was killed"}
    found: dict[str, Any] = json.loads(told)
    return found


def _followed(
    output: int, answer: int, *, signals: int, checkpoint: Callable[[], None], say: Callable[[str], None]
) -> bytes:
    deadline = time.monotonic() + _BUILD_S
    poll = select.poll()
    for descriptor in (output, answer, signals):
        poll.register(descriptor, select.POLLIN)
    waiting, lines, told = {output, answer}, b"", b""
    while waiting:
        ready = {descriptor for descriptor, _ in poll.poll(_LOOK_S * 1000)}
        if signals in ready:
            poll.unregister(signals)  # left unread for whoever follows the job; from now on the clock makes us look
        checkpoint()
        if time.monotonic() > deadline:
            raise Refused(f"The layer of requirements.txt was not made within {_BUILD_S:g} s")
        for descriptor in ready & waiting:
            data = os.read(descriptor, 1 << 16)
            if not data:
                poll.unregister(descriptor)
                waiting.remove(descriptor)
            elif descriptor == answer:
                told += data
            else:
                *whole, lines = (lines + data).split(b"\n")
                for line in whole:
                    say(line.decode("utf-8", "replace"))
    return told


def _work_and_exit(work: Callable[[], dict[str, Any]], output: int, answer: int) -> NoReturn:
    """In the fork: do the work, answer, and end."""
    try:
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        syscalls.die_with_parent(signal.SIGKILL)
        os.dup2(output, 1)
        try:
            found = work()
        except Refused as refused:
            found = {"problem": str(refused)}
        except OSError as error:
            found = {"problem": f"The layer of requirements.txt could not be made: {error}"}
        write_all(answer, json.dumps(found).encode())
    except BaseException:  # noqa: BLE001 - the last place that can say what happened
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(0)
