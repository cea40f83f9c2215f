"""Functions as steps: `@step` on a plain function, and what calling it in a pipeline's file gives."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import itertools
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, overload

from towpath.calling.values import MANIFEST
from towpath.sdk.build import Build, Code
from towpath.sdk.datasets import Dataset
from towpath.sdk.errors import DefinitionError
from towpath.sdk.expressions import Document, Expression, as_text
from towpath.sdk.steps.arguments import Files, Inputs, leaves, words
from towpath.sdk.steps.place import place_of
from towpath.sdk.steps.processing_job import FOLDER, job_input, job_output
from towpath.sdk.steps.retry import RetryPolicy
from towpath.sdk.steps.step import After, Step, StepResult
from towpath.sdk.steps.value import VALUE, Value, hints

_made = itertools.count()


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
        annotation = hints(self.function).get("return")
        self.value = Value(self, annotation=annotation)
        words(self.arguments, Inputs(), self.name)  # a fault is told where the call stands

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
        inputs = Inputs()
        line = words(self.arguments, inputs, self.name)
        entries = [
            job_input("code", build.code_uri(self.name)),
            job_input("runtime", build.runtime_uri),
            *(job_input(name, uri) for name, uri in inputs.found.items()),
        ]
        request: Document = {
            "ProcessingResources": {
                "ClusterConfig": build.resources(
                    instance_type=self.instance_type, instance_count=self.instance_count, volume_gb=self.volume_gb
                )
            },
            "AppSpecification": {
                "ImageUri": self.image or build.defaults.image,
                "ContainerEntrypoint": ["python3", f"{FOLDER}/input/runtime/run.py", self.place.named],
                "ContainerArguments": line,
            },
            "RoleArn": build.defaults.role,
            "ProcessingInputs": entries,
            "ProcessingOutputConfig": {"Outputs": [job_output(self.name, VALUE, build)]},
            "Tags": build.tags[self.name],
        }
        if not line:
            del request["AppSpecification"]["ContainerArguments"]
        if self.environment:
            request["Environment"] = {name: as_text(value) for name, value in self.environment.items()}
        if self.timeout_s is not None:
            request["StoppingCondition"] = {"MaxRuntimeInSeconds": self.timeout_s}
        return request

    def document(self, build: Build) -> Document:
        files = [{"PropertyFileName": VALUE, "OutputName": VALUE, "FilePath": MANIFEST}]
        return {**super().document(build), "PropertyFiles": files}


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
        if any(isinstance(each, Expression | Files | Dataset) for each in leaves((args, kwargs))) or _is_top_level():
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
    of_class, _, name = function.__qualname__.rpartition("<locals>.")[2].rpartition(".")
    if of_class and next(iter(inspect.signature(function).parameters), None) in ("self", "cls"):
        raise DefinitionError(
            f"@step: {function.__qualname__} is a method, and a job has no {of_class} to call it on; move {name} to "
            "the top level of its file, and give it as arguments what it takes from the object"
        )
    return function


def _requirements(asked: Sequence[str] | str | None, root: Path, name: str) -> str | None:
    if asked is None:
        return None
    if not isinstance(asked, str):
        return "".join(f"{line}\n" for line in asked)
    file = root / asked
    if not file.is_file():
        raise DefinitionError(f"step {name}: requirements: there is no file {asked!r} in {root}")
    return file.read_text(encoding="utf-8")


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
