"""A job that begins warm cannot be told from one that begins cold, by what it finds and by how it ends."""

import itertools
import os
import random
import re
import select
import signal
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from msgspec.structs import replace

from towpath.compute.process import Imports, ProcessBackend, self_test
from towpath.jobs.model import HostPart, JobSpec, Limits, Manifest, Phase
from towpath.kernel.errors import Unavailable
from towpath.runner import toolkit
from towpath.testing.compute import PATIENCE_S, News, script

pytestmark = pytest.mark.slow

IMPORTS = Imports(
    ("numpy", "sklearn.linear_model", "multiprocessing.pool", "logging", "concurrent.futures.process"), always=True
)

PORTRAIT = """
held = sorted(globals())
first = list(__import__("sys").modules)[:5]
import ctypes, gc, locale, logging, multiprocessing, os, resource, signal, sys, tempfile, threading
def tell(name, value): print(f"{name}: {value}")
tell("globals", held)
tell("main", [__name__, __file__, __spec__, __package__, type(__loader__).__name__, __loader__.path, __doc__])
tell("argv", sys.argv)
tell("orig_argv", sys.orig_argv)
tell("path", sys.path)
tell("flags", sys.flags)
tell("executable", [sys.executable, sys._base_executable, sys.prefix, sys.base_prefix])
added = {"KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK"}  # by scikit-learn, as it is imported
tell("environment", sorted(item for item in os.environ.items() if item[0] not in added))
libc = ctypes.CDLL(None); libc.getenv.restype = ctypes.c_char_p
tell("environment of C", [libc.getenv(b"HOME"), libc.getenv(b"SM_ONE"), libc.getenv(b"PATH")])
tell("folder", os.getcwd())
tell("signals", [(number, signal.getsignal(number)) for number in sorted(signal.valid_signals())])
tell("mask", signal.pthread_sigmask(signal.SIG_BLOCK, []))
tell("wakeup", signal.set_wakeup_fd(-1))
tell("descriptors", [name for name in sorted(os.listdir("/proc/self/fd")) if os.path.lexists("/proc/self/fd/" + name)])
tell("threads", [len(os.listdir("/proc/self/task")), threading.active_count(), threading.current_thread().name,
     threading.main_thread() is threading.current_thread()])
tell("collector", [gc.isenabled(), gc.get_threshold()])
for stream in (sys.stdin, sys.stdout, sys.stderr):
    tell(stream.name, [stream.encoding, stream.errors, stream.line_buffering, stream.write_through, stream.isatty(),
         stream.seekable(), stream.fileno(), stream.mode, type(stream.buffer).__name__, stream.newlines])
tell("input", repr(sys.stdin.read()))
tell("limits", [resource.getrlimit(which) for which in range(16)])
tell("umask", os.umask(0o22))
tell("leads its group", [os.getpgid(0) == os.getpid(), os.nice(0)])
tell("user", [os.getresuid(), os.getresgid(), open("/proc/self/uid_map").read().split()])
wanted = ("Cap", "NoNewPrivs", "Seccomp", "SigIgn", "SigBlk")  # SigCgt: threads of imported libraries add one
tell("status", [line.split() for line in open("/proc/self/status") if line.startswith(wanted)])
tell("dumpable", [libc.prctl(3, 0, 0, 0, 0), libc.prctl(37, 0, 0, 0, 0)])
tell("program", [os.readlink("/proc/self/exe"), open("/proc/self/comm").read()])
tell("command line", open("/proc/self/cmdline").read().rstrip(chr(0)).split(chr(0)))
tell("native id", threading.main_thread().native_id == threading.get_native_id())
tell("out of memory", open("/proc/self/oom_score_adj").read())
tell("mounts", sorted(line.split()[4:6] for line in open("/proc/self/mountinfo")))
tell("locale", [locale.getlocale(), locale.setlocale(locale.LC_ALL)])
tell("logging", [logging.root.handlers, logging.root.level])
tell("temporary", [tempfile.tempdir, tempfile.gettempdir()])
tell("multiprocessing", [multiprocessing.process.ORIGINAL_DIR, multiprocessing.get_start_method(),
     multiprocessing.current_process().name, multiprocessing.parent_process(), multiprocessing.active_children()])
tell("interpreter", [sys.getrecursionlimit(), sys.getswitchinterval(), sys.gettrace(), sys.getprofile(),
     sys.excepthook is sys.__excepthook__, hasattr(sys, "last_type"), sys.warnoptions, sys.dont_write_bytecode])
tell("platform's modules", [name for name in sys.modules if name.partition(".")[0] == "towpath"])
tell("platform's package", __import__("towpath").__file__)
tell("finders", [getattr(finder, "__name__", type(finder).__name__) for finder in sys.meta_path])
tell("limits of the key", len(multiprocessing.current_process().authkey))
"""

#: Scripts that end in one way or the other. What they tell and how they end has to be the same.
ENDINGS = {
    "nothing": "",
    "a code": "import sys; sys.exit(3)",
    "a large code": "raise SystemExit(1000)",
    "words": "import sys; sys.exit('no data for May')",
    "an odd object": "raise SystemExit((1, 2))",
    "an exception": "def main():\n    x = {}\n    return x['missing']\nmain()",
    "causes and notes": """
def inner(): raise KeyError("inner")
try:
    inner()
except KeyError as error:
    trouble = ValueError("outer"); trouble.add_note("a note")
    raise trouble from error
""",
    "a group": "raise ExceptionGroup('several', [ValueError(1), TypeError(2)])",
    "an error of syntax": "x = 1\nif x\n    pass",
    "an encoding": "# -*- coding: latin-1 -*-\nprint('plain')",
    "too deep": "def f(): f()\ntry:\n    f()\nexcept RecursionError as error:\n    print(error)",
    "an interrupt": "raise KeyboardInterrupt",
    "at once": "import os; print('said', flush=True); os._exit(7)",
    "an abort": "import os; os.abort()",
    "a signal": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "an interrupt from outside": "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(30)",
    "a closed pipe": """
import os, sys
read, write = os.pipe()
os.close(read)
os.write(write, b'x')
""",
    "what is registered": """
import atexit, threading, weakref
class Thing:
    def __del__(self): print("deleted", flush=True)
thing = Thing()
weakref.finalize(thing, print, "finalised")
for number in range(3): atexit.register(print, "registered", number)
threading.Thread(target=lambda: print("thread")).start()
""",
    "registered and failing": """
import atexit, sys
def fail(): raise ValueError("at exit")
atexit.register(fail)
sys.exit(4)
""",
    "what was not flushed": """
import sys
sys.stdout = open(1, "w", buffering=1 << 16, closefd=False)
print("in a buffer of its own")
sys.stderr.write("no end of line")
""",
    "a file that was not closed": """
import atexit, subprocess, sys
file = open("/tmp/written", "w"); file.write("whole")
if len(sys.argv) == 1 and __import__("os").fork() > 0:
    __import__("os").wait()
    print(open("/tmp/written").read())
""",
    "a file that a library refers to": """
import json, os
json.kept = os.fdopen(os.dup(1), "w")
json.kept.write("kept by a module")
""",
    "a library that keeps a function": """
import gzip, json
json.JSONEncoder.default = lambda self, value: str(value)
class Writer:
    def __init__(self): self.lines = ["whole"]
    def __del__(self): print(self.lines, flush=True)
writer = Writer()
out = gzip.open("/tmp/out.gz", "wt"); out.write("whole")
""",
    "garbage": """
import gc, json, numpy
class Thing:
    def __del__(self):
        import json, numpy
        print("deleted", json.loads("1"), numpy.__name__, flush=True)
thing = Thing(); thing.itself = thing
del thing
""",
    "garbage that nobody collects": """
import gc, json
class Thing:
    def __del__(self): print("deleted", json, flush=True)
gc.disable()
thing = Thing(); thing.itself = thing
del thing
""",
    "a finalizer that fails": """
class Thing:
    def __del__(self): raise ValueError("in a finalizer")
thing = Thing()
""",
    "what is registered finds modules": """
import atexit, json
def tell():
    import json, logging, numpy, sys
    print(json.dumps([json is sys.modules["json"], numpy.__name__, logging.root.level]), flush=True)
atexit.register(tell)
""",
    "a thread that goes on": """
import itertools, threading
def work():
    for number in itertools.count(): import json, numpy
threading.Thread(target=work, daemon=True).start()
""",
    "a thread that goes on beside what was not flushed": """
import threading
def work():
    while True: pass
threading.Thread(target=work, daemon=True).start()
files = [open(f"/tmp/{number}", "w") for number in range(100)]
for file in files: file.write("x" * 4000)
large = open("/tmp/large", "wb", buffering=1 << 26); large.write(bytes(1 << 25))
""",
    "a thread that uses the script's names": """
import json, threading, time
json.JSONEncoder.default = lambda self, value: str(value)
value = 1
def work():
    while True: value + 1
threading.Thread(target=work, daemon=True).start()
time.sleep(0.1)
""",
    "a thread that holds a file": """
import os, threading, time
read, write = os.pipe()
pipe = os.fdopen(write, "wb", buffering=1 << 20)
threading.Thread(target=pipe.write, args=(bytes(1 << 22),), daemon=True).start()
time.sleep(0.2)
""",
    "a hook": "import sys\nsys.excepthook = lambda *a: print('hook', a[1])\nraise ValueError('x')",
    "a thread that fails": """
import threading
def work(): raise ValueError("in a thread")
thread = threading.Thread(target=work, name="worker"); thread.start(); thread.join()
print("went on")
""",
    "a warning": "import warnings\nwarnings.warn('look out')\nwarnings.warn('old', DeprecationWarning)",
    "its own source": """
import inspect
def f(x):
    return x + 1  # as it was written
class C:
    pass
print(inspect.getsource(f), inspect.getsource(C), inspect.getfile(f), inspect.getmodule(f).__name__)
import traceback
try: f("x")
except TypeError: traceback.print_exc()
""",
    "pickled": """
import pickle
class C:
    def __init__(self): self.x = 1
print(pickle.loads(pickle.dumps(C())).x, C.__module__, C.__qualname__)
import __main__
print(__main__.C is C)
""",
    "processes": """
import multiprocessing, os, sys
def double(x):
    return 2 * x, __name__, os.path.basename(sys.argv[0])
if __name__ == "__main__":
    for method in ("spawn", "fork", "forkserver"):
        with multiprocessing.get_context(method).Pool(2) as pool:
            print(method, pool.map(double, range(3)))
""",
    "a pool of futures": """
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
def square(x): return x * x
if __name__ == "__main__":
    with ProcessPoolExecutor(2) as processes, ThreadPoolExecutor(2) as threads:
        print(list(processes.map(square, range(5))), list(threads.map(square, range(5))))
""",
    "a child": """
import subprocess, sys
print(subprocess.run([sys.executable, "-c", "import sys; print(sys.argv, sys.flags.no_user_site); sys.exit(5)"]))
""",
    "its neighbours": "import helper, package.part\nprint(helper.NAME, package.part.__file__, helper.__file__)",
    "imports": """
import json, decimal, xml.etree.ElementTree as tree, urllib.request, sqlite3, asyncio
async def main(): return await asyncio.sleep(0, 7)
print(json.dumps({"a": 1}), decimal.Decimal("1.10"), asyncio.run(main()))
print(sqlite3.connect(":memory:").execute("select 1").fetchall())
""",
    "numbers": """
import numpy, random
numpy.random.seed(7); random.seed(7)
print(numpy.random.rand(3), numpy.random.default_rng(3).normal(size=2), random.random())
a = numpy.arange(250_000.0).reshape(500, 500)
print(float((a @ a).sum()), numpy.linalg.svd(a[:20, :20])[1][0])
""",
    "a model": """
import numpy
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
rows = numpy.random.default_rng(1).random((200, 4))
print(LogisticRegression().fit(rows, rows[:, 0] > 0.5).coef_)
print(RandomForestClassifier(n_estimators=20, n_jobs=2, random_state=1).fit(rows, rows[:, 0] > 0.5).predict(rows).sum())
""",
}
_numbers = itertools.count(1)  #: a host knows a key until its runner has ended, and takes it for the same job
_ADDRESS = re.compile("at 0x[0-9a-f]+")


class Both(NamedTuple):
    """Two back ends: one has a zygote, and its jobs have to begin from it."""

    warm: ProcessBackend
    cold: ProcessBackend
    news: tuple[News, News]

    def run(self, job: JobSpec) -> list[tuple[Manifest, list[str]]]:
        """Run a job on each, under a key of its own; return how it ended and what it said, the warm one first."""
        job = replace(job, key=f"job-{next(_numbers)}")
        ended = []
        for backend, news in zip((self.warm, self.cold), self.news, strict=True):
            ended.append(run(backend, news, job))
        assert ended[0][0].warm, ended[0][0].cold_because
        assert not ended[1][0].warm
        assert ended[1][0].cold_because == ""
        return ended


def run(backend: ProcessBackend, news: News, job: JobSpec) -> tuple[Manifest, list[str]]:
    backend.submit(job)
    news.until(lambda: backend.observe(job.key).phase is Phase.FINISHED, f"{job.key} has ended")
    manifest = backend.observe(job.key).manifest
    assert manifest is not None
    return manifest, [line.text for line in backend.log(job.key).lines]


@contextmanager
def open_both(tmp_path_factory: pytest.TempPathFactory, imports: Imports) -> Iterator[Both]:
    homes = [tmp_path_factory.mktemp("warm"), tmp_path_factory.mktemp("cold")]
    try:
        self_test(homes[0], "namespace")
    except Unavailable as reason:
        pytest.skip(str(reason))
    warm = ProcessBackend(homes[0] / "jobs", home=homes[0], sandbox="namespace", imports=imports)
    cold = ProcessBackend(homes[1] / "jobs", home=homes[1], sandbox="namespace")
    news = News(), News()
    warm.watch(news[0])
    cold.watch(news[1])
    run(warm, news[0], script("pass", key="first"))
    assert [zygote.left_out for zygote in warm.zygotes(wait_s=60)] == [{}]
    yield Both(warm, cold, news)
    for backend in (warm, cold):
        backend.close()
        assert backend.stop_host() == []
        backend.close()


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    with open_both(tmp_path_factory, IMPORTS) as opened:
        yield opened


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """The warm one's jobs begin in a process that holds nothing but the interpreter and the runner."""
    with open_both(tmp_path_factory, Imports(())) as opened:
        yield opened


@pytest.fixture(params=["both", "bare"])
def either(request: pytest.FixtureRequest) -> Both:
    opened: Both = request.getfixturevalue(request.param)
    return opened


def test_a_job_finds_the_same(either: Both) -> None:
    job = script(
        PORTRAIT, arguments=("--rate", "0.1", "an argument", ""), environment={"SM_ONE": "1", "AWS_REGION": "x"}
    )
    (warm, told), (cold, expected) = either.run(job)
    assert told == expected
    assert (warm.exit_code, cold.exit_code) == (0, 0)
    assert len(told) > 30


@pytest.mark.parametrize("name", ENDINGS)
def test_a_job_ends_the_same(either: Both, name: str) -> None:
    files = {"code/helper.py": "NAME = 'helper'", "code/package/__init__.py": "", "code/package/part.py": ""}
    (warm, told), (cold, expected) = either.run(script(ENDINGS[name], files=files))
    assert [_ADDRESS.sub("at", line) for line in told] == [_ADDRESS.sub("at", line) for line in expected]
    assert (warm.exit_code, warm.reason) == (cold.exit_code, cold.reason)


def test_an_interrupt_ends_a_job_by_its_signal(both: Both) -> None:
    (warm, _), _ = both.run(script("raise KeyboardInterrupt"))
    assert warm.exit_code == -signal.SIGINT


@pytest.mark.parametrize(
    ("program", "word"), [("{python}", "train.py"), ("python", "./train.py"), ("python3", "train.py")]
)
def test_the_launcher_of_script_mode_is_left_out(both: Both, program: str, word: str) -> None:
    code = "import sys, os; print(sys.argv, sys.orig_argv[1:], __file__, sys.path[0], os.getcwd()); sys.exit(4)"
    job = script(
        "",
        argv=(program, "/opt/ml/input/config/towpath_toolkit.py", word, "--rate", "1"),
        cwd="/opt/ml/code",
        files={"code/train.py": code, "input/config/towpath_toolkit.py": Path(toolkit.__file__).read_text()},
    )
    (warm, told), (cold, expected) = both.run(job)
    assert told == expected
    assert warm.exit_code == cold.exit_code == 4
    words = f"['{word}', '--rate', '1']"
    assert f"{words} {words} /opt/ml/code/{word} /opt/ml/code" in told[0]


def test_what_is_drawn_by_chance_differs(both: Both) -> None:
    code = """
import multiprocessing, numpy, os, random, secrets, tempfile, uuid
from sklearn.utils import check_random_state
print(numpy.random.rand()); print(numpy.random.default_rng().random()); print(random.random())
print(secrets.token_hex(8)); print(uuid.uuid4()); print(os.path.basename(tempfile.mktemp()))
print(bytes(multiprocessing.current_process().authkey).hex()); print(check_random_state(None).rand())
"""
    told = [run(both.warm, both.news[0], script(code, key=f"chance-{number}")) for number in range(3)]
    assert all(manifest.warm for manifest, _ in told), told
    for drawn in zip(*(lines for _, lines in told), strict=True):
        assert len(set(drawn)) == 3, drawn


# -- when it does not begin warm


@pytest.mark.parametrize(
    ("because", "members"),
    [
        ("its command is no Python script", {"argv": ("{python}", "-c", "pass")}),
        ("its command is no Python script", {"argv": ("/bin/sh", "-c", "exit 0")}),
        (
            "libraries may read its variables while they are imported: PYTHONHASHSEED",
            {"environment": {"PYTHONHASHSEED": "0"}},
        ),
        ("libraries may read its variables while they are imported: FLAVOUR", {"environment": {"FLAVOUR": "x"}}),
        ("it has several hosts", {"hosts": (HostPart(name="algo-1"), HostPart(name="algo-2"))}),
        ("logging.py has the name of a module", {"files": {"code/logging.py": "def getLogger(name): pass"}}),
        ("deps.zip may hold modules", {"files": {"code/deps.zip": ""}}),
        ("sub/numpy has the name of a module", {"files": {"code/sub/numpy/__init__.py": ""}}),
        (
            "a variable that libraries read while they are imported has an odd value",
            {"environment": {"LANG": "{{secrets.X}}"}},
        ),
        (
            "libraries may read its variables while they are imported: HOME, PATH",
            {"environment": {"PATH": "/x", "HOME": "/x"}},
        ),
    ],
)
def test_a_job_begins_cold_where_a_fresh_interpreter_could_do_otherwise(
    both: Both, because: str, members: dict[str, Any]
) -> None:
    manifest, _ = run(both.warm, both.news[0], script("pass", key=f"job-{next(_numbers)}", **members))
    assert not manifest.warm
    assert manifest.cold_because.startswith(because)


def test_requirements_beside_the_script_of_script_mode_are_looked_at_cold(both: Both) -> None:
    files = {
        "code/train.py": "print('ran')",
        "code/requirements.txt": "no-such-package-here==1",
        "input/config/towpath_toolkit.py": Path(toolkit.__file__).read_text(),
    }
    argv = ("{python}", "/opt/ml/input/config/towpath_toolkit.py", "train.py")
    manifest, told = run(
        both.warm, both.news[0], script("", argv=argv, cwd="/opt/ml/code", files=files, key=f"job-{next(_numbers)}")
    )
    assert manifest.cold_because == "its requirements.txt has to be looked at"
    assert manifest.exit_code == 1
    assert "no-such-package-here" in told[-1]


def test_a_script_that_is_not_there_is_missed_as_ever(both: Both) -> None:
    manifest, told = run(
        both.warm, both.news[0], script("", argv=("{python}", "/opt/ml/code/other.py"), key=f"job-{next(_numbers)}")
    )
    assert manifest.exit_code == 2
    assert told[0].endswith("can't open file '/opt/ml/code/other.py': [Errno 2] No such file or directory")


def test_threads_are_numbered_by_a_zygote_of_their_own(both: Both) -> None:
    """Libraries read OMP_NUM_THREADS while they are imported, so jobs that set it begin from imports that saw it."""
    job = script("import os; print(os.environ['OMP_NUM_THREADS'])", environment={"OMP_NUM_THREADS": "1"}, key="one")
    first, _ = run(both.warm, both.news[0], job)
    assert first.cold_because == "no process with imports was ready"
    both.warm.zygotes(wait_s=60)
    second, told = run(both.warm, both.news[0], replace(job, key="another"))
    assert second.warm
    assert told == ["1"]
    assert len({zygote.pid for zygote in both.warm.zygotes()}) == 2


# -- what becomes of a zygote


@pytest.fixture
def home(tmp_path: Path) -> Path:
    try:
        self_test(tmp_path, "namespace")
    except Unavailable as reason:
        pytest.skip(str(reason))
    return tmp_path / "home"


class Environment(NamedTuple):
    """A virtual environment of a test's own."""

    python: str
    packages: Path

    def script(self, code: str, **members: Any) -> JobSpec:
        return replace(script(code, **members), python=self.python)


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    folder = tmp_path / "environment"
    venv.create(folder, symlinks=True)
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    return Environment(str(folder / "bin/python"), folder / "lib" / version / "site-packages")


@contextmanager
def backend_with(home: Path, environment: Environment, *imports: str) -> Iterator[tuple[ProcessBackend, News]]:
    """Open a back end whose zygote is ready, or has failed."""
    home.mkdir()
    backend = ProcessBackend(
        home / "jobs",
        home=home,
        sandbox="namespace",
        imports=Imports(imports, always=True),
        warm_python=environment.python,
    )
    news = News()
    backend.watch(news)
    run(backend, news, environment.script("pass", key="first"))
    backend.zygotes(wait_s=60)
    try:
        yield backend, news
    finally:
        backend.close()
        assert backend.stop_host() == []
        backend.close()


def gone(pid: int) -> None:
    """Return when a process has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([descriptor], [], [], PATIENCE_S)[0], f"process {pid} lives on"
    finally:
        os.close(descriptor)


def test_jobs_go_on_when_a_zygote_is_killed(home: Path, environment: Environment) -> None:
    with backend_with(home, environment, "json") as (backend, news):
        (zygote,) = backend.zygotes()
        assert zygote.pid is not None
        os.kill(zygote.pid, signal.SIGKILL)
        gone(zygote.pid)
        told = [run(backend, news, environment.script("print('ran')", key=f"job-{number}")) for number in range(3)]
        assert [(manifest.exit_code, lines) for manifest, lines in told] == [(0, ["ran"])] * 3
        (failed,) = backend.zygotes()
        assert (failed.state, failed.problem) == ("failed", "it was killed")


def test_a_job_does_not_wait_for_a_zygote_that_hangs(home: Path, environment: Environment) -> None:
    with backend_with(home, environment, "json") as (backend, news):
        (zygote,) = backend.zygotes()
        assert zygote.pid is not None
        os.kill(zygote.pid, signal.SIGSTOP)
        waiting, _ = run(backend, news, environment.script("pass", key="waiting"))
        assert waiting.warm, "the runner that waited already is no worse for it"
        job, _ = run(backend, news, environment.script("pass", key="job"))
        assert (job.exit_code, job.cold_because) == (0, "no process with imports was ready")
        gone(zygote.pid)


def test_a_zygote_ends_with_its_host(home: Path, environment: Environment) -> None:
    with backend_with(home, environment, "json") as (backend, news):
        (zygote,) = backend.zygotes()
        assert zygote.pid is not None
        host = int(Path(f"/proc/{zygote.pid}/status").read_text().partition("PPid:")[2].split()[0])
        os.kill(host, signal.SIGKILL)
        gone(zygote.pid)
        manifest, _ = run(backend, news, environment.script("pass"))
        assert manifest.exit_code == 0


def test_a_zygote_that_dies_of_its_imports_costs_no_job(home: Path, environment: Environment) -> None:
    (environment.packages / "deadly.py").write_text("import os; os._exit(9)")
    with backend_with(home, environment, "deadly") as (backend, news):
        (zygote,) = backend.zygotes()
        assert (zygote.state, zygote.problem) == ("failed", "it ended while it imported")
        manifest, _ = run(backend, news, environment.script("pass"))
        assert (manifest.exit_code, manifest.warm) == (0, False)


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("raise RuntimeError('not today')", "its import fails: RuntimeError: not today"),
        ("import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()", "it leaves threads"),
        ("import os; kept = os.open('/dev/null', os.O_RDONLY)", "it leaves files open"),
        ("import mmap; kept = mmap.mmap(-1, 4096)", "it leaves memory that forks could write for each other"),
    ],
)
def test_a_module_whose_import_no_fork_could_stand_for_is_left_out(
    home: Path, environment: Environment, code: str, why: str
) -> None:
    (environment.packages / "peculiar.py").write_text(
        f"import os\nos.environ['PECULIAR'] = '1'\nimport textwrap\n{code}"
    )
    with backend_with(home, environment, "peculiar", "json", "nobody_has_this") as (backend, news):
        (zygote,) = backend.zygotes()
        assert zygote.imports == ("json",)
        assert zygote.left_out["peculiar"].startswith(why)
        assert zygote.left_out["nobody_has_this"] == "it is not installed"
        tell = "import sys, os; print('peculiar' in sys.modules, 'json' in sys.modules, os.environ.get('PECULIAR'))"
        manifest, told = run(backend, news, environment.script(tell))
        assert manifest.warm
        assert told == ["False True None"], "nothing of its import has stayed"


def test_a_library_s_own_generators_draw_what_a_fresh_import_would(home: Path, environment: Environment) -> None:
    seeded = "import random\nfixed = random.Random(7)\nby_chance = random.Random()\n"
    (environment.packages / "drawing.py").write_text(seeded)
    (environment.packages / "seeding.py").write_text("import random\nrandom.seed(3)\n")
    code = """
import drawing, seeding, random
print(drawing.fixed.random(), drawing.by_chance.random(), random.random())
"""
    with backend_with(home, environment, "drawing", "seeding") as (backend, news):
        drawn = []
        for number in range(3):
            manifest, told = run(backend, news, environment.script(code, key=f"job-{number}"))
            assert manifest.warm
            drawn.append(told[0].split())
    fixed, by_chance, common = (set(column) for column in zip(*drawn, strict=True))
    assert fixed == {str(random.Random(7).random())}
    assert common == {str(random.Random(3).random())}
    assert len(by_chance) == 3


def test_a_changed_module_is_imported_anew(home: Path, environment: Environment) -> None:
    module = environment.packages / "changing.py"
    module.write_text("VALUE = 'before'")
    with backend_with(home, environment, "changing") as (backend, news):
        code = "import changing; print(changing.VALUE)"
        first, told = run(backend, news, environment.script(code, key="before"))
        assert first.warm
        assert told == ["before"]
        backend.zygotes(wait_s=60)
        module.write_text("VALUE = 'and after'")
        second, told = run(backend, news, environment.script(code, key="after"))
        assert told == ["and after"]
        assert second.cold_because == f"{module} has changed since the imports"
        third, told = run(backend, news, environment.script(code, key="later"))
        assert told == ["and after"]
        backend.zygotes(wait_s=60)
        fourth, told = run(backend, news, environment.script(code, key="last"))
        assert told == ["and after"]
        assert fourth.warm, (third.cold_because, fourth.cold_because)


def test_limits_hold_for_a_job_that_begins_warm(both: Both) -> None:
    code = "x = b'x' * (400 << 20)"
    job = script(code, limits=Limits(memory_bytes=200 << 20, stop_grace_s=10.0))
    (warm, _), (cold, _) = both.run(job)
    assert warm.reason is not None
    assert warm.exit_code == cold.exit_code
    assert warm.memory_limit == cold.memory_limit is not None
