"""The end of a job that began in a fork: modules that it inherited are not taken down with it.

An interpreter takes down every module that it holds, which costs a copy of each page that they lie on: a hundred
milliseconds for what scikit-learn imports. Those that a job inherited and has not replaced go with its memory instead.
All else ends as Python ends it, the script's own objects and whatever it has imported itself among them; and all of it
where other threads still run.
"""

import atexit
import contextlib
import ctypes
import gc
import sys
from _io import _IOBase  # not `io.IOBase`: asking that one for its subclasses writes to each type
from collections.abc import Mapping
from types import ModuleType

_inherited: dict[str, ModuleType] = {}


def inherit(modules: Mapping[str, ModuleType]) -> None:
    """Have these modules outlive the interpreter, from here on and in every fork of this process."""
    _inherited.update(modules)
    leak = ctypes.pythonapi.Py_IncRef
    leak.argtypes, leak.restype = [ctypes.py_object], None
    leak(_inherited)  # what is never freed keeps what it refers to


def _let_go() -> None:
    if not _inherited or len(sys._current_frames()) > 1:
        # Daemon threads go on until the interpreter ends them: they may need the modules, and hold locks of files.
        return
    if gc.isenabled():
        gc.collect()  # as the interpreter is about to: finalizers of the script's garbage still find every module
    # What is written to a file that nothing but an inherited module refers to would stay in its buffer.
    for file in [each for each in gc.get_objects() if issubclass(type(each), _IOBase)]:
        with contextlib.suppress(Exception):  # as at the end of an interpreter, where nobody is told either
            if not file.closed and file.writable():
                file.flush()
    for name, module in _inherited.items():
        if sys.modules.get(name) is module:
            del sys.modules[name]


# The first that is registered is the last that is called: behind all that libraries and scripts leave for the end.
atexit.register(_let_go)
