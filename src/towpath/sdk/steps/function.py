"""Functions as steps: `@step` on a plain function, and what calling it in a pipeline's file gives."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import itertools
import json
import re
import sys
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path, PurePath
from typing import Any, ClassVar, overload

from towpath.calling.job import AT, FOLDER, FROM, RAW
from towpath.calling.values import MANIFEST, folder_name
from towpath.sdk.build import Build, Code
from towpath.sdk.datasets import Dataset
from towpath.sdk.errors import DefinitionError
from towpath.sdk.expressions import Document, Expression, Get, Join, JsonGet, Predicate, as_text, expressions_in, wire
from towpath.sdk.steps.retry import RetryPolicy
from towpath.sdk.steps.sources import Source, s3_input, source_uri
from towpath.sdk.steps.step import After, Step, StepResult

_FOLDER = "/opt/ml/processing"
_VALUE = "value"  #: name of the output, and of the property file in it
_WORD = 256  #: characters of a container argument, and
_WORDS = 100  #: how many there may be. Source: Amazon SageMaker API, AppSpecification
_MARKS = frozenset({FROM, AT, FOLDER, RAW})
_made = itertools.count()


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


class Value(StepResult):
    """What a function will have returned once its step has run.

    It may be given to other functions, compared for conditions, joined into texts, and read as files by other steps.
    `value[0]` and `value["name"]` are items of it, and where the function says by its annotation that it returns a
    dataclass, `value.name` is a member. A function that says that it returns `tuple[A, B]` may be unpacked.
    """

    def __init__(self, step: FunctionStep, path: tuple[str | int, ...] = (), annotation: Any = None) -> None:
        self._step = step
        self._path = path
        self._annotation = annotation

    @property
    def step(self) -> FunctionStep:
        return self._step

    @property
    def path(self) -> tuple[str | int, ...]:
        """Keys and indices that lead to the value in what the function returns."""
        return self._path

    @property
    def folder(self) -> Get:
        """The S3 URI of the folder that holds what the function returns: `value.json`, and `files/`."""
        return self._step.property(f"ProcessingOutputConfig.Outputs['{_VALUE}'].S3Output.S3Uri")

    def file(self, name: str) -> Join:
        """Return the S3 URI of a file that the function returned the path of, or of a file in such a folder.

        Args:
            name: of the file, `model.tar.gz`; in a folder with its name, `model/weights.bin`.
        """
        return Join((self.folder, "files", *map(folder_name, self._path), name), on="/")

    def to_wire(self) -> Document:
        where = _VALUE + "".join(f"[{part}]" if isinstance(part, int) else f"['{part}']" for part in self._path)
        return JsonGet(self._step.name, _VALUE, MANIFEST, where).to_wire()

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
            return Value(self._step, (*self._path, name), _hints(self._annotation).get(name))
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


@dataclass(eq=False)
class FunctionStep(Step):
    """A call of a function with `@step`. It runs as a processing job."""

    _: KW_ONLY
    function: Callable[..., Any]
    arguments: inspect.BoundArguments
    requirements: Sequence[str] | str | None = None
    environment: Mapping[str, Any] = field(default_factory=dict)
    image: str | Expression | None = None
    instance_type: str | Expression | None = None
    instance_count: int | Expression = 1
    volume_gb: int | Expression = 30
    timeout_s: int | Expression | None = None
    named: bool = True  #: the name was given; False: it is the function's, and becomes another where that is taken

    type: ClassVar[str] = "Processing"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.number = next(_made)  #: in the order of the calls
        self.own_name = self.name  #: by which it is called where nothing else is
        self.place = place_of(self.function)
        annotation = _hints(self.function).get("return")
        self.value = Value(self, annotation=annotation)
        self._words(_Inputs(f"step {self.name}"))  # a fault is told where the call stands

    @property
    def code(self) -> Code:
        return Code(
            script=self.place.file,
            source_dir=".",
            root=self.place.root,
            requirements=_requirements(self.requirements, self.place.root, self.name),
        )

    @property
    def reads(self) -> tuple[Any, ...]:
        """What stands in the arguments, for whoever looks for values in a step."""
        return (*self.arguments.args, *self.arguments.kwargs.values())

    def request(self, build: Build) -> Document:
        inputs = _Inputs(f"step {self.name}")
        words = self._words(inputs)
        entries = [
            _input("code", build.code_uri(self.name)),
            _input("runtime", build.runtime_uri),
            *(_input(name, uri) for name, uri in inputs.found.items()),
        ]
        request: Document = {
            "ProcessingResources": {
                "ClusterConfig": build.resources(
                    instance_type=self.instance_type, instance_count=self.instance_count, volume_gb=self.volume_gb
                )
            },
            "AppSpecification": {
                "ImageUri": self.image or build.defaults.image,
                "ContainerEntrypoint": ["python3", f"{_FOLDER}/input/runtime/run.py", self.place.named],
                "ContainerArguments": words,
            },
            "RoleArn": build.defaults.role,
            "ProcessingInputs": entries,
            "ProcessingOutputConfig": {
                "Outputs": [
                    {
                        "OutputName": _VALUE,
                        "S3Output": {
                            "S3Uri": build.location(self.name, _VALUE),
                            "LocalPath": f"{_FOLDER}/output/{_VALUE}",
                            "S3UploadMode": "EndOfJob",
                        },
                    }
                ]
            },
            "Tags": build.tags[self.name],
        }
        if not words:
            del request["AppSpecification"]["ContainerArguments"]
        if self.environment:
            request["Environment"] = {name: as_text(value) for name, value in self.environment.items()}
        if self.timeout_s is not None:
            request["StoppingCondition"] = {"MaxRuntimeInSeconds": self.timeout_s}
        return request

    def document(self, build: Build) -> Document:
        files = [{"PropertyFileName": _VALUE, "OutputName": _VALUE, "FilePath": MANIFEST}]
        return {**super().document(build), "PropertyFiles": files}

    def _words(self, inputs: _Inputs) -> list[Any]:
        """Return the job's command line behind the function; what it reads goes into `inputs`."""
        words: list[Any] = []
        given: list[tuple[str, Any]] = [(str(index), value) for index, value in enumerate(self.arguments.args)]
        names = list(self.arguments.signature.parameters)
        for key, value in (*given, *self.arguments.kwargs.items()):
            shown = names[int(key)] if key.isdigit() and int(key) < len(names) else key
            tree = _tree(value, inputs, f"step {self.name}, argument {shown}")
            words += ["--", key, *_cut([tree])]
        if len(words) > _WORDS:
            raise DefinitionError(
                f"step {self.name}: the arguments take {len(words)} words of {_WORD} characters, above {_WORDS}. Put "
                "what is large into the lake (towpath data put), or have a function with @step make it"
            )
        return words


class StepFunction:
    """A function with `@step`. Made by `step`."""

    def __init__(self, function: Callable[..., Any], options: Mapping[str, Any]) -> None:
        self.function = function  #: the plain function
        self._options = dict(options)
        functools.update_wrapper(self, function)
        self.__signature__ = inspect.signature(function)

    def __repr__(self) -> str:
        return f"<function {self.function.__qualname__} with @step>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function, or have a step call it.

        At the top level of a file, also by way of functions of that file, and wherever an argument is known only
        while a pipeline runs, this gives a `Value`. Anywhere else, as in a test, it calls the function here and now.
        """
        if any(isinstance(each, Expression | Files | Dataset) for each in _leaves((args, kwargs))) or _is_top_level():
            return self.later(*args, **kwargs)
        return self.function(*args, **kwargs)

    def later(self, *args: Any, **kwargs: Any) -> Value:
        """Return what a step that calls the function will have returned, wherever this is said.

        Raises:
            DefinitionError: the function cannot run in a job, or an argument cannot be given to one.
        """
        try:
            arguments = self.__signature__.bind(*args, **kwargs)
        except TypeError as fault:
            raise DefinitionError(f"{self.function.__qualname__}{self.__signature__}: {fault}") from fault
        options = dict(self._options)
        name = options.pop("name", None)
        own = re.sub(r"[^A-Za-z0-9]+", "-", self.function.__name__).strip("-")[:60]
        made = FunctionStep(name or own, named=name is not None, function=self.function, arguments=arguments, **options)
        return made.value

    def options(self, **options: Any) -> StepFunction:
        """Return the same function with other options, for one call: `fit.options(name="Refit", cache=None)(table)`."""
        _check(options)
        return StepFunction(self.function, {**self._options, **options})


@overload
def step(function: Callable[..., Any], /) -> StepFunction: ...
@overload
def step(
    *,
    name: str | None = None,
    cache: str | None = None,
    depends_on: Sequence[Step | StepResult | str | After] = (),
    description: str | None = None,
    retry_policies: Sequence[RetryPolicy] = (),
    requirements: Sequence[str] | str | None = None,
    environment: Mapping[str, Any] | None = None,
    image: str | Expression | None = None,
    instance_type: str | Expression | None = None,
    instance_count: int | Expression = 1,
    volume_gb: int | Expression = 30,
    timeout_s: int | Expression | None = None,
) -> Callable[[Callable[..., Any]], StepFunction]: ...
def step(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a plain function one whose calls are steps of a pipeline.

    The folder of its file travels with it, never a pickle of it. What it returns goes to other functions as JSON,
    Parquet, NumPy's format or files, by its type.

    Example:
        @step(cache="P30D", requirements=["pyarrow"])
        def prepare(rows: int) -> pandas.DataFrame: …

        table = prepare(parameter("Rows", 1000))
        pipeline = Pipeline("reviews", steps=[fit(table)])
    Args:
        name: of the step; the function's where none is given, with a number for its second call.
        requirements: lines of a requirements.txt, or the path of such a file beside the function's; where none is
            given, the requirements.txt in its folder.
        environment: variables; `secret("NAME")` for what is secret.
        retry_policies: when the call is made again; for what the platform does wrong, not for what the function raises.
        cache, depends_on, description, image, instance_type, instance_count, volume_gb, timeout_s: as of other steps.
    """
    _check(options)
    if function is not None:
        return StepFunction(_checked(function), {})
    given = {name: value for name, value in options.items() if value is not None}
    return lambda found: StepFunction(_checked(found), given)


_OPTIONS = frozenset({each.name for each in dataclasses.fields(FunctionStep)} - {"function", "arguments", "named", "_"})


def _check(options: Mapping[str, Any]) -> None:
    unknown = sorted(options.keys() - _OPTIONS)
    if unknown:
        raise DefinitionError(f"@step has no option {unknown[0]!r}; it has {', '.join(sorted(_OPTIONS))}")


def _checked(function: Any) -> Callable[..., Any]:
    if not inspect.isfunction(function):
        raise DefinitionError(f"@step makes a step of a plain function, and {function!r} is none")
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise DefinitionError(f"@step: {function.__qualname__} is no plain function; expected one that returns a value")
    return function


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


class _Inputs:
    """The inputs that the arguments of a call need."""

    def __init__(self, reader: str) -> None:
        self.reader = reader
        self.found: dict[str, str | Expression] = {}

    def of_value(self, value: Value) -> str:
        name = f"from-{value.step.name}"
        self.found[name] = value.folder
        return name

    def of_source(self, source: Source, where: str) -> str:
        uri = source_uri(source, reader=where)
        name = f"folder-{sum(name.startswith('folder-') for name in self.found)}"
        self.found[name] = uri
        return name


def _tree(value: Any, inputs: _Inputs, where: str) -> Any:
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


def _cut(tree: Any) -> list[Any]:
    """Return the words for an argument: its text where that is known, else what makes it while the pipeline runs."""
    if any(True for _ in expressions_in(tree)):
        return [Join((tree,))]
    text = json.dumps(wire(tree), ensure_ascii=False, separators=(",", ":"))
    return [text[at : at + _WORD] for at in range(0, len(text), _WORD)]


def _input(name: str, uri: str | Expression) -> Document:
    local = {"LocalPath": f"{_FOLDER}/input/{name}", "S3InputMode": "File", "S3CompressionType": "None"}
    return {"InputName": name, "S3Input": {**s3_input(uri), **local}}


def _requirements(asked: Sequence[str] | str | None, root: Path, name: str) -> str | None:
    if asked is None:
        return None
    if not isinstance(asked, str):
        return "".join(f"{line}\n" for line in asked)
    file = root / asked
    if not file.is_file():
        raise DefinitionError(f"step {name}: requirements: there is no file {asked!r} in {root}")
    return file.read_text(encoding="utf-8")


def _hints(of: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(of)
    except Exception:  # noqa: BLE001 — whatever the names in an annotation run into: then it says nothing
        return {}


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for member in value.values():
            yield from _leaves(member)
    elif isinstance(value, list | tuple):
        for member in value:
            yield from _leaves(member)
    else:
        yield value


def _is_top_level() -> bool:
    """Whether the call that is looked at is made while the file of its caller is run from the top."""
    frame = sys._getframe(2)
    file = frame.f_globals
    while True:
        if frame.f_code.co_name == "<module>":
            return True
        if frame.f_back is None or frame.f_back.f_globals is not file:
            return False
        frame = frame.f_back
