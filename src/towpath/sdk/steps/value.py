"""What a function with `@step` will have returned: a value that stands for what is known only once its step has run."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator
from typing import Any

from towpath.calling.values import MANIFEST, folder_name
from towpath.sdk.errors import DefinitionError
from towpath.sdk.expressions import Document, Get, Join, JsonGet
from towpath.sdk.steps.step import Step, StepResult

VALUE = "value"  #: name of the output that holds what a function returned, and of the property file in it


#: Types of values that lie in files alone, as (package, name).
_IN_FILES = frozenset({("pandas", "DataFrame"), ("polars", "DataFrame"), ("numpy", "ndarray")})


class Value(StepResult):
    """What a function will have returned once its step has run.

    It may be given to other functions, compared for conditions, joined into texts, and read as files by other steps.
    `value[0]` and `value["name"]` are items of it, and where the function says by its annotation that it returns a
    dataclass, `value.name` is a member. A function that says that it returns `tuple[A, B]` may be unpacked.
    """

    def __init__(self, step: Step, path: tuple[str | int, ...] = (), annotation: Any = None) -> None:
        self._step = step
        self._path = path
        self._annotation = annotation

    @property
    def step(self) -> Step:
        return self._step

    @property
    def path(self) -> tuple[str | int, ...]:
        """Keys and indices that lead to the value in what the function returns."""
        return self._path

    @property
    def folder(self) -> Get:
        """The S3 URI of the folder that holds what the function returns: `value.json`, and `files/`."""
        return self._step.property(f"ProcessingOutputConfig.Outputs['{VALUE}'].S3Output.S3Uri")

    def file(self, name: str) -> Join:
        """Return the S3 URI of a file that the function returned the path of, or of a file in such a folder.

        Args:
            name: of the file, `model.tar.gz`; in a folder with its name, `model/weights.bin`.
        """
        return Join((self.folder, "files", *map(folder_name, self._path), name), on="/")

    def to_wire(self) -> Document:
        kind = typing.get_origin(self._annotation) or self._annotation
        if isinstance(kind, type) and (kind.__module__.partition(".")[0], kind.__name__) in _IN_FILES:
            raise DefinitionError(
                f"{self!r} is a {kind.__name__}, and conditions, texts and arguments of steps read what is JSON; have "
                "a function with @step get it as an argument, and return what is to be read"
            )
        where = VALUE + "".join(f"[{part}]" if isinstance(part, int) else f"['{part}']" for part in self._path)
        return JsonGet(self._step.name, VALUE, MANIFEST, where).to_wire()

    def __getitem__(self, key: str | int) -> Value:
        if type(key) not in (str, int) or (isinstance(key, int) and key < 0):
            raise DefinitionError(f"{self!r}: {key!r} leads to no item; expected a text, or a number from 0 on")
        if isinstance(key, str) and "'" in key:
            raise DefinitionError(f"{self!r}: a key with an apostrophe, {key!r}, cannot be written in a definition")
        inner = typing.get_args(self._annotation)
        kind = typing.get_origin(self._annotation)
        of_item: Any = None
        if kind is tuple and isinstance(key, int) and key < len(inner) and Ellipsis not in inner:
            of_item = inner[key]
        elif kind is list and inner:
            of_item = inner[0]
        return Value(self._step, (*self._path, key), of_item)

    def __getattr__(self, name: str) -> Value:
        if name.startswith("_"):
            raise AttributeError(name)
        known = dataclasses.fields(self._annotation) if dataclasses.is_dataclass(self._annotation) else ()
        if any(each.name == name for each in known):
            return Value(self._step, (*self._path, name), hints(self._annotation).get(name))
        members = f"its members: {', '.join(each.name for each in known)}" if known else (
            'only a dataclass that the function names as what it returns has any; of a dict, take ["…"]'
        )  # fmt: skip
        raise AttributeError(f"{self!r} has no member {name!r}; {members}")

    def __iter__(self) -> Iterator[Value]:
        inner = typing.get_args(self._annotation)
        if typing.get_origin(self._annotation) is not tuple or Ellipsis in inner or inner == ((),):
            raise DefinitionError(
                f"{self!r} cannot be unpacked, since nothing says how many items it has; annotate the function "
                "(-> tuple[int, str]), or take value[0], value[1]"
            )
        return iter([self[index] for index in range(len(inner))])

    def __repr__(self) -> str:
        return f"<what step {self._step.name} returns{''.join(f'[{part!r}]' for part in self._path)}>"


def hints(of: Any) -> dict[str, Any]:
    """Return the types that the annotations of a function or a class name, none where they cannot be made out."""
    try:
        return typing.get_type_hints(of)
    except Exception:  # noqa: BLE001 — whatever the names in an annotation run into: then it says nothing
        return {}
