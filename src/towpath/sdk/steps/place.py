"""Where a function is found in the code that travels, so that a job can import it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from towpath.sdk.errors import DefinitionError


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a function is found in the code that travels."""

    root: Path  #: the folder that travels
    file: str  #: of the function, below it
    module: str  #: name under which the job imports the file
    qualname: str

    @property
    def named(self) -> str:
        """The function as `MODULE:QUALNAME`."""
        return f"{self.module}:{self.qualname}"


def place_of(function: Callable[..., Any]) -> Place:
    """Return where a function is found in the code that travels.

    Raises:
        DefinitionError: a job could not import it; says what to do.
    """
    qualname, called = function.__qualname__, f"the function {function.__qualname__}"
    if "<lambda>" in qualname:
        raise DefinitionError("a lambda has no name by which a job could import it; write it as a function (def …)")
    if "<locals>" in qualname:
        outer, _, inner = qualname.rpartition(".<locals>.")
        raise DefinitionError(
            f"{called} is made inside of {outer}, so that a job cannot import it; move {inner} to the top level of its "
            "file, and give it as arguments what it takes from around it"
        )
    shown = function.__code__.co_filename
    path = Path(shown).resolve()
    if not path.is_file() or path.suffix != ".py":
        raise DefinitionError(
            f"{called} was written in {shown!r}, a notebook or a console, and jobs import functions from files; write "
            "it into a file (%%writefile steps.py in a notebook) and import it from there"
        )
    if {"site-packages", "dist-packages"} & set(path.parts):
        raise DefinitionError(f"{called} belongs to an installed package; call it from a function of your own")
    parts = function.__module__.split(".")
    inside = path.with_suffix("").parts
    if inside[-1] == "__init__":
        inside = inside[:-1]
    # A file that is run, or loaded by `towpath run`, is called otherwise than it will be in the job.
    module = parts if list(inside[-len(parts) :]) == parts else [inside[-1]]
    root = path.parents[len(module) - 1] if path.stem != "__init__" else path.parents[len(module)]
    if not all(part.isidentifier() for part in module):
        raise DefinitionError(
            f"{called} stands in {path.name}, which Python cannot import by that name; rename the file"
        )
    return Place(root=root, file=path.relative_to(root).as_posix(), module=".".join(module), qualname=qualname)
