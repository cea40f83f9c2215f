"""The end of a job that began in a fork: what its script has left with an inherited module is finalized all the same.

What a process held before it was forked is frozen: no collection looks at it, since that would copy each page that it
lies on. At its end an interpreter collects what is left of modules that it has taken down, and so releases what they
referred to. If the script's own names are among that (`json.JSONEncoder.default = …` is enough), all is thawed before,
which takes some hundred milliseconds where much was inherited, and the names are released by hand, since some library
that the script never named may keep them even so; else nothing of the script depends on it.
"""

import atexit
import gc
import sys
from types import ModuleType
from typing import Any

#: Of the objects that a script has left; of more, all is thawed without a look.
_MOST = 200_000
_is_fork = False


def begin() -> None:
    """Say that this process is that of a job."""
    global _is_fork
    _is_fork = True


def is_kept(wanted: int) -> bool:
    """Return whether an object is reached from what is frozen, or from anything that no collection knows.

    By counting, as a collection does: what has more references than the objects that are not frozen have to it is
    referred to from elsewhere, and so is all that it refers to. Modules are referred to once from elsewhere as a rule.

    Args:
        wanted: the object's `id`; a reference to it would count.
    """
    probe: list[int] = []  #: this variable alone refers to it, beside what looks at it here
    objects = gc.get_objects()
    if len(objects) > _MOST:
        return True
    known = {id(each): each for each in objects}
    counts = _counted(objects)
    modules = set(map(id, list(sys.modules.values())))
    more = {key: sys.getrefcount(each) - counts[key] - (key in modules) for key, each in known.items()}
    none = more.pop(id(probe)) - 1
    left = [key for key, number in more.items() if number > none]
    seen = set(left)
    while left:
        key = left.pop()
        if key == wanted:
            return True
        for other in map(id, gc.get_referents(known[key])):
            if other in counts and other not in seen:
                seen.add(other)
                left.append(other)
    return False


def _counted(objects: list[object]) -> dict[int, int]:
    """Return how many references these objects have to each of themselves, by `id`."""
    counts = dict.fromkeys(map(id, objects), 0)
    for each in objects:
        for other in gc.get_referents(each):
            if id(other) in counts:
                counts[id(other)] += 1
    return counts


def _clear(names: dict[str, Any]) -> None:
    """Release what a module's names stand for, in the order of the interpreter's own `_PyModule_ClearDict`."""
    private = [name for name in names if name.startswith("_") and not name.startswith("__")]
    for name in (*private, *(name for name in names if name != "__builtins__")):
        names[name] = None


def _thaw() -> None:
    if _is_fork and is_kept(id(vars(sys.modules.get("__main__", sys)))):
        gc.unfreeze()
        main = sys.modules.get("__main__")
        # Daemon threads use the names until the interpreter ends them, soon after this.
        if isinstance(main, ModuleType) and len(sys._current_frames()) == 1:
            _clear(vars(main))


# The first that is registered is the last that is called: behind all that libraries and scripts leave for the end.
atexit.register(_thaw)
