"""Towpath: a self-hosted MLOps platform with the SageMaker API.

What a pipeline's author needs is here: `from towpath import Pipeline, Processing, Training, …`. The names are those of
`towpath.sdk` and come from there when they are first used, so that importing the package alone costs nothing.
"""

from __future__ import annotations

from importlib import import_module

__version__ = "0.1.0"

TYPE_CHECKING = False  # as typing's, which takes a while to load

if TYPE_CHECKING:
    from typing import Any

    from towpath.sdk import *  # noqa: F403


def __getattr__(name: str) -> Any:
    # What Python itself looks for in a module, but for what a star imports, is no reason to load anything.
    if name == "__all__" or not name.startswith("__"):
        sdk = import_module("towpath.sdk")
        if name == "__all__" or name in sdk.__all__:
            return getattr(sdk, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *import_module("towpath.sdk").__all__})
