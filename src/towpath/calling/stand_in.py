"""Stands for the package `towpath` inside of a job of a function step, while the module of the function is imported.

That module mostly makes the pipeline as well. In the job nothing is made: what is imported from here takes whatever is
done with it, functions with `@step` are themselves, and once the function runs, using anything else is refused.
"""

from __future__ import annotations

import functools
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_running = False


def begin() -> None:
    """Say that from now on the function runs."""
    global _running
    _running = True


class Inert:
    """Whatever stands in a pipeline's file beside the functions."""

    def __init__(self, name: str, items: int = 0) -> None:
        self.__dict__["_name"] = name
        self.__dict__["_items"] = items  #: that it is unpacked into

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return self._used(name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._used(name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._used("()")

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        return ()

    def __iter__(self) -> Iterator[Any]:
        self._used("iteration")
        return iter([self] * self.__dict__["_items"])

    def __bool__(self) -> bool:
        self._used("its truth")
        return True

    def __repr__(self) -> str:
        return f"<{self._name}, which is not known inside of a job>"

    def _used(self, *_: Any) -> Any:
        if _running:
            raise RuntimeError(
                f"{self.__dict__['_name']} belongs to the pipeline and is not known inside of a job. Give a function "
                "what it needs of the pipeline as an argument"
            )
        return self

    __hash__ = object.__hash__
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _used
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _used
    __and__ = __rand__ = __or__ = __ror__ = __invert__ = __neg__ = __getitem__ = __enter__ = _used

    def __exit__(self, *_: object) -> None:
        return None


class StepFunction:
    """A function with `@step`, which in a job is the function alone."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if _running:
            return self.function(*args, **kwargs)
        return Inert(f"what {self.function.__name__}(…) will return", _items_of(self.function))

    def options(self, **_: Any) -> StepFunction:
        """Return the function; what a step of it would take is settled."""
        return self

    def later(self, *_: Any, **__: Any) -> Any:
        """Return what stands for a value of a step; refused once the function runs, since no step is made there."""
        asked = Inert(f"{self.function.__name__}.later", _items_of(self.function))
        return asked()


def _items_of(function: Callable[..., Any]) -> int:
    """Return how many items a function says that it returns; the pipeline's file was let unpack only such a one."""
    try:
        returned = typing.get_type_hints(function).get("return")
    except Exception:  # noqa: BLE001 — an annotation of names that are not there says nothing
        return 0
    return len(typing.get_args(returned)) if typing.get_origin(returned) is tuple else 0


def step(function: Callable[..., Any] | None = None, **_: Any) -> Any:
    """Return the function as what it is in a job."""
    return StepFunction if function is None else StepFunction(function)


def __getattr__(name: str) -> Any:
    if name == "__all__":  # of `from towpath import *`: what the package has that this one stands for
        return Path(__file__).with_name("names.txt").read_text(encoding="ascii").split()
    if name.startswith("__"):
        raise AttributeError(name)
    return Inert(f"towpath.{name}")
