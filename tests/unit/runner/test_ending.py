"""What a script leaves behind is thawed at its end only where something that is frozen refers to it."""

import subprocess
import sys

import pytest

#: As a job's process does it, with less around it; tells at the very end whether anything is frozen still.
PROGRAM = """
import atexit, gc, sys, types
atexit.register(lambda: print("frozen" if gc.get_freeze_count() else "thawed", flush=True))
from towpath.runner import ending
import functools, json, logging, signal, threading
gc.collect()
gc.freeze()
sys.modules["__main__"] = types.ModuleType("__main__")
vars(sys.modules["__main__"])["__builtins__"] = __builtins__
ending.begin()
exec(compile(sys.argv[1], "script", "exec"), vars(sys.modules["__main__"]))
"""


def end_of(script: str) -> str:
    done = subprocess.run([sys.executable, "-c", PROGRAM, script], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.strip()


@pytest.mark.parametrize(
    "script",
    [
        "pass",
        "import json\nclass A: pass\na = A(); a.itself = a\ndef f(): return a",
        "import csv, decimal, email.message, xml.etree.ElementTree\nrows = [{'a': [n]} for n in range(1000)]",
        "import threading\nthread = threading.Thread(target=lambda: None); thread.start(); thread.join()",
        "import logging\nlogging.getLogger('mine').warning\nlogging.getLogger('mine').setLevel(10)",
        "import collections\nPoint = collections.namedtuple('Point', 'x y')\npoint = Point(1, 2)",
    ],
)
def test_a_script_that_leaves_nothing_with_a_library_ends_without_a_thaw(script: str) -> None:
    assert end_of(script) == "frozen"


@pytest.mark.parametrize(
    "script",
    [
        "import json\njson.JSONEncoder.default = lambda self, value: str(value)",
        "import json\nclass A:\n    def __del__(self): pass\njson.kept = A()",
        "import logging\nlogging.getLogger().addFilter(lambda record: True)",
        "import signal\nsignal.signal(signal.SIGTERM, lambda *_: None)",
        "import atexit\natexit.register(lambda: None)",
        "import functools, json\n@functools.singledispatch\ndef f(x): pass\njson.kept = [{1: (f,)}]",
        "import types\nmodule = types.ModuleType('m'); module.f = lambda: None\nimport json; json.m = module",
    ],
)
def test_what_a_library_refers_to_is_thawed(script: str) -> None:
    assert end_of(script) == "thawed"
