"""The arguments of a call of a function with `@step`: as words of its job's command line, and as inputs of the job."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from towpath.calling.job import AT, FOLDER, FROM, RAW
from towpath.calling.values import is_number_of_numpy
from towpath.sdk.datasets import Dataset
from towpath.sdk.errors import DefinitionError
from towpath.sdk.expressions import Expression, Join, Predicate, expressions_in, wire
from towpath.sdk.steps.sources import Source, source_uri
from towpath.sdk.steps.step import Step
from towpath.sdk.steps.value import Value

_WORD = 256  #: characters of a container argument, and
_WORDS = 100  #: how many there may be. Source: Amazon SageMaker API, AppSpecification
_MARKS = frozenset({FROM, AT, FOLDER, RAW})


@dataclass(frozen=True, eq=False)
class Files:
    """Files that a function gets as a folder. Made by `files(…)`."""

    source: Source


def files(source: Source) -> Files:
    """Return an argument for a function with `@step`: the files of an S3 URI, as the pathlib.Path of a folder.

    Example:
        report = compare(files(prepare.output("test")), files(train.model))
    """
    return Files(source)


class Inputs:
    """The inputs that the arguments of a call need."""

    def __init__(self) -> None:
        self.found: dict[str, str | Expression] = {}

    def of_value(self, value: Value) -> str:
        """Return the name of the input that holds what another function returned."""
        name = f"from-{value.step.name}"
        self.found[name] = value.folder
        return name

    def of_source(self, source: Source, where: str) -> str:
        """Return the name of the input that holds the files of a source."""
        uri = source_uri(source, reader=where)
        name = f"folder-{sum(name.startswith('folder-') for name in self.found)}"
        self.found[name] = uri
        return name


def words(arguments: inspect.BoundArguments, inputs: Inputs, step: str) -> list[Any]:
    """Return the job's command line behind the function; what it reads goes into `inputs`.

    Raises:
        DefinitionError: an argument cannot stand in a definition, or together they are too long.
    """
    found: list[Any] = []
    given: list[tuple[str, Any]] = [(str(index), value) for index, value in enumerate(arguments.args)]
    names = list(arguments.signature.parameters)
    for key, value in (*given, *arguments.kwargs.items()):
        shown = names[int(key)] if key.isdigit() and int(key) < len(names) else key
        where = f"step {step}, argument {shown}"
        found += ["--", key, *_cut([_tree(value, inputs, where)], where)]
    if len(found) > _WORDS:
        raise DefinitionError(
            f"step {step}: the arguments take {len(found)} words of {_WORD} characters, above {_WORDS}. Put "
            "what is large into the lake (towpath data put), or have a function with @step make it"
        )
    return found


def _tree(value: Any, inputs: Inputs, where: str) -> Any:
    """Return an argument as JSON data in which `arguments` of `towpath.calling.job` finds what has to be filled in."""
    if isinstance(value, Value):
        return {FROM: inputs.of_value(value), AT: list(value.path)}
    if isinstance(value, Files | Dataset):
        return {FOLDER: inputs.of_source(value.source if isinstance(value, Files) else value, where)}
    if isinstance(value, Expression):
        return value
    if isinstance(value, Mapping) and all(type(key) is str for key in value):
        members = {key: _tree(item, inputs, f"{where}[{key!r}]") for key, item in value.items()}
        # As a list of pairs, what would be taken for a mark, or for an expression of the definition, is taken for data.
        odd = any(key in _MARKS or key == "Get" or key.startswith("Std:") for key in members)
        return {RAW: [[key, item] for key, item in members.items()]} if odd else members
    if isinstance(value, list | tuple):
        return [_tree(item, inputs, f"{where}[{index}]") for index, item in enumerate(value)]
    if value is None or type(value) in (bool, int, str) or (type(value) is float and value - value == 0):
        return value
    if is_number_of_numpy(value):
        return _tree(value.item(), inputs, where)
    if isinstance(value, PurePath):
        raise DefinitionError(
            f"{where} is {str(value)!r}, a path on this machine, which a job does not see; put the file into the lake "
            'first (towpath data put NAME FILE) and give dataset("NAME")'
        )
    if isinstance(value, Step | Predicate):
        raise DefinitionError(
            f"{where} is {value!r}; expected a value that it yields, such as step.property(…) or files(step.output(…))"
        )
    raise DefinitionError(
        f"{where} is {value!r} (a {type(value).__name__}), which cannot stand in a pipeline definition; expected text, "
        "a number, a boolean, None, lists and dicts of these, what another function with @step returns, a parameter, "
        "dataset(…) or files(…)"
    )


def _cut(tree: Any, where: str) -> list[Any]:
    """Return the words for an argument: its text where that is known, else what makes it while the pipeline runs."""
    if any(True for _ in expressions_in(tree)):
        plain = len(_text(_without_expressions(tree)))
        if plain > _WORD:
            raise DefinitionError(
                f"{where} holds a value that is known only while the pipeline runs, beside {plain} characters of plain "
                f"data; both together may take {_WORD}. Give the plain data as an argument of its own"
            )
        return [Join((tree,))]
    text = _text(wire(tree))
    return [text[at : at + _WORD] for at in range(0, len(text), _WORD)]


def _text(tree: Any) -> str:
    return json.dumps(tree, ensure_ascii=False, separators=(",", ":"))


def _without_expressions(tree: Any) -> Any:
    if isinstance(tree, Expression):
        return ""
    if isinstance(tree, Mapping):
        return {key: _without_expressions(item) for key, item in tree.items()}
    return [_without_expressions(item) for item in tree] if isinstance(tree, list) else tree


def leaves(value: Any) -> Iterator[Any]:
    """Yield what stands in lists and dicts, and in those that stand in them."""
    if isinstance(value, Mapping):
        for member in value.values():
            yield from leaves(member)
    elif isinstance(value, list | tuple):
        for member in value:
            yield from leaves(member)
    else:
        yield value
