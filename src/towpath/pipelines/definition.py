"""A pipeline definition: what the user wrote, as frozen values, read from and written to the published JSON document.

Members that are well-formed but unknown are kept (`members`) and written back.
"""

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any, TypeVar, cast

import msgspec

from towpath.kernel.resource import Document
from towpath.kernel.texts import DEEPEST, Repeated, TooDeep, Way, read_json
from towpath.pipelines.faults import Fault, InvalidDefinition, Place, item, member
from towpath.pipelines.paths import describe

VERSION = "2020-12-01"


#: Members of Arguments that hold steps of their own.
BRANCHES = ("IfSteps", "ElseSteps", "ForEachBody")

T = TypeVar("T")


class ParameterType(StrEnum):
    """The type of a pipeline parameter."""

    STRING = "String"
    INTEGER = "Integer"
    FLOAT = "Float"
    BOOLEAN = "Boolean"


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """A value that is given when an execution starts."""

    name: str
    type: ParameterType = ParameterType.STRING
    default: Any = msgspec.UNSET  #: UNSET: must be given
    enum_values: tuple[Any, ...] = ()  #: of String parameters: the only values allowed; empty means any
    members: Document = msgspec.field(default_factory=dict)
    place: Place = ""


class Trigger(StrEnum):
    """How the step that is depended on must have ended."""

    COMPLETED = "Completed"
    FAILED = "Failed"
    STOPPED = "Stopped"
    ANY = "Any"


class Dependency(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of DependsOn."""

    step: str
    trigger: Trigger = Trigger.COMPLETED
    place: Place = ""


class CacheConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Whether results of earlier executions may be used again, and for how long."""

    enabled: bool
    expire_after: str | None = None  #: ISO 8601 duration as the user wrote it
    members: Document = msgspec.field(default_factory=dict)


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """When and how often a step is tried again."""

    exception_types: tuple[str, ...]
    backoff_rate: float = 2.0
    interval_s: int = 1
    max_attempts: int | None = None
    expire_after_min: int | None = None
    members: Document = msgspec.field(default_factory=dict)
    place: Place = ""


class PropertyFile(msgspec.Struct, frozen=True, kw_only=True):
    """A JSON file among the outputs of a Processing step that expressions may read."""

    name: str
    output_name: str
    file_path: str
    members: Document = msgspec.field(default_factory=dict)
    place: Place = ""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step. `arguments` hold expressions as they were written; nested steps stand in `branches`."""

    name: str
    type: str
    arguments: Document = msgspec.field(default_factory=dict)
    branches: dict[str, tuple["Step", ...]] = msgspec.field(default_factory=dict)  #: IfSteps, ElseSteps, ForEachBody
    display_name: str | None = None
    description: str | None = None
    depends_on: tuple[Dependency, ...] = ()
    cache: CacheConfig | None = None
    retry_policies: tuple[RetryPolicy, ...] = ()
    property_files: tuple[PropertyFile, ...] = ()
    members: Document = msgspec.field(default_factory=dict)  #: of its type, beside Arguments: FunctionArn, CheckType, …
    place: Place = ""


class Definition(msgspec.Struct, frozen=True, kw_only=True):
    """A whole pipeline definition."""

    parameters: tuple[Parameter, ...] = ()
    steps: tuple[Step, ...] = ()
    members: Document = msgspec.field(default_factory=dict)  #: Metadata, PipelineExperimentConfig, MlflowConfig, …
    version: str = VERSION

    def all_steps(self) -> Iterator[Step]:
        """Yield every step, nested ones behind the step that holds them."""
        yield from _with_nested(self.steps)


def _with_nested(steps: tuple[Step, ...]) -> Iterator[Step]:
    for step in steps:
        yield step
        for branch in step.branches.values():
            yield from _with_nested(branch)


def parse(text: str | bytes | Document) -> Definition:
    """Return the definition that a JSON text or document holds.

    Raises:
        InvalidDefinition: the document has not the shape of a definition; every fault is listed with its place.
    """
    definition, faults = read(text)
    if faults:
        raise InvalidDefinition(faults)
    return definition


def read(text: str | bytes | Document, *, unique: bool = False) -> tuple[Definition, list[Fault]]:
    """Return as much of a definition as can be read, and everything that is wrong with its shape.

    Args:
        unique: whether members that are given more than once are faults; else the last one counts.
    """
    faults: list[Fault] = []
    document: Any = text
    if isinstance(text, str | bytes):
        try:
            document = read_json(text, unique=unique)
        except TooDeep as error:
            return Definition(), [Fault("", str(error), "shape")]
        except Repeated as error:
            document = error.found
            faults += [Fault(_place(way), "this member is given more than once", "repeated") for way in error.ways]
        except ValueError as error:
            return Definition(), [Fault("", f"this is not JSON: {error}", "json")]
    elif _is_deeper(document, DEEPEST):
        return Definition(), [Fault("", f"values are nested more than {DEEPEST} levels deep", "shape")]
    reader = _Reader(document, "", faults)
    if not reader.is_object:
        return Definition(), faults
    version = reader.take("Version", str, VERSION)
    if version != VERSION:
        faults.append(Fault("Version", f"version {version!r} is not known; expected {VERSION!r}", "version"))
    return (
        Definition(
            version=version,
            parameters=tuple(reader.each("Parameters", _parameter)),
            steps=tuple(reader.each("Steps", _step, required=True)),
            members=reader.rest(),
        ),
        faults,
    )


def _place(way: Way) -> Place:
    place = ""
    for part in way:
        place = item(place, part) if isinstance(part, int) else member(place, part)
    return place


def _is_deeper(document: Any, levels: int) -> bool:
    """Whether a document is nested so deep that walking it could exhaust the stack; found level by level."""
    level = [document]
    for _ in range(levels):
        level = [
            inner
            for value in level
            if isinstance(value, dict | list)
            for inner in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return False
    return True


_TYPE_WORDS = {
    str: "a text",
    bool: "true or false",
    int: "an integer",
    float: "a number",
    list: "a list",
    dict: "an object",
}


class _Reader:
    """Takes members out of one object of the document and notes what is wrong with them."""

    def __init__(self, document: Any, place: Place, faults: list[Fault]) -> None:
        self.place = place
        self.faults = faults
        self.is_object = isinstance(document, dict)
        self.left: Document = dict(document) if self.is_object else {}
        if not self.is_object:
            self.fault("", f"expected an object, found {describe(document)}")

    def fault(self, name: str, message: str) -> None:
        self.faults.append(Fault(member(self.place, name) if name else self.place, message, "shape"))

    def take(self, name: str, kind: type[T], default: T, *, required: bool = False) -> T:
        """Return a member of one of JSON's types, or the default when it is absent or wrong."""
        if name not in self.left:
            if required:
                self.fault(name, f"this member is missing; expected {_TYPE_WORDS[kind]}")
            return default
        value = self.left.pop(name)
        wanted: tuple[type, ...] = (int, float) if kind is float else (kind,)
        if not isinstance(value, wanted) or (isinstance(value, bool) and kind is not bool):
            self.fault(name, f"expected {_TYPE_WORDS[kind]}, found {describe(value)}")
            return default
        return cast(T, value)

    def optional(self, name: str, kind: type[T]) -> T | None:
        """Return a member that may be absent or null."""
        if self.left.get(name) is None:
            self.left.pop(name, None)
            return None
        wrong = cast(T, None)
        return self.take(name, kind, wrong)

    def each(
        self, name: str, read_one: Callable[[Any, Place, list[Fault]], T | None], *, required: bool = False
    ) -> list[T]:
        """Return the items of a list, each read by a function that returns None for a hopeless one."""
        place = member(self.place, name)
        if not required and self.left.get(name) is None:
            self.left.pop(name, None)
            return []
        values = self.take(name, list, [], required=required)
        found = (read_one(value, item(place, index), self.faults) for index, value in enumerate(values))
        return [one for one in found if one is not None]

    def texts(self, name: str, *, required: bool = False) -> tuple[str, ...]:
        """Return a list of texts."""
        return tuple(self.each(name, _text, required=required))

    def rest(self) -> Document:
        """Return the members that nobody took."""
        return self.left


def _text(value: Any, place: Place, faults: list[Fault]) -> str | None:
    if isinstance(value, str):
        return value
    faults.append(Fault(place, f"expected a text, found {describe(value)}", "shape"))
    return None


def _parameter(value: Any, place: Place, faults: list[Fault]) -> Parameter | None:
    reader = _Reader(value, place, faults)
    if not reader.is_object:
        return None
    name = reader.take("Name", str, "", required=True)
    type_name = reader.take("Type", str, "String", required=True)
    if type_name not in list(ParameterType):
        reader.fault("Type", f"{type_name!r} is not a type of parameters; expected one of {', '.join(ParameterType)}")
        type_name = "String"
    default = reader.left.pop("DefaultValue", msgspec.UNSET)
    enum_values = reader.take("EnumValues", list, [])
    return Parameter(
        name=name,
        type=ParameterType(type_name),
        default=default,
        enum_values=tuple(enum_values),
        members=reader.rest(),
        place=place,
    )


def _step(value: Any, place: Place, faults: list[Fault]) -> Step | None:
    reader = _Reader(value, place, faults)
    if not reader.is_object:
        return None
    name = reader.take("Name", str, "", required=True)
    type_name = reader.take("Type", str, "", required=True)
    arguments = _Reader(reader.take("Arguments", dict, {}, required=True), member(place, "Arguments"), faults)
    branches = {
        branch: tuple(arguments.each(branch, _step, required=True)) for branch in BRANCHES if branch in arguments.left
    }
    cache = reader.optional("CacheConfig", dict)
    return Step(
        name=name,
        type=type_name,
        branches=branches,
        arguments=arguments.rest(),
        display_name=reader.optional("DisplayName", str),
        description=reader.optional("Description", str),
        depends_on=tuple(reader.each("DependsOn", _dependency)),
        cache=None if cache is None else _cache_config(cache, member(place, "CacheConfig"), faults),
        retry_policies=tuple(reader.each("RetryPolicies", _retry_policy)),
        property_files=tuple(reader.each("PropertyFiles", _property_file)),
        members=reader.rest(),
        place=place,
    )


def _dependency(value: Any, place: Place, faults: list[Fault]) -> Dependency | None:
    if isinstance(value, str):
        return Dependency(step=value, place=place)
    if not isinstance(value, dict):
        faults.append(Fault(place, f"expected the name of a step, found {describe(value)}", "shape"))
        return None
    reader = _Reader(value, place, faults)
    step = reader.take("Step", str, "", required=True)
    trigger = reader.take("Trigger", str, "Completed")
    if trigger not in list(Trigger):
        reader.fault("Trigger", f"{trigger!r} is not a trigger; expected one of {', '.join(Trigger)}")
        trigger = "Completed"
    for name in reader.rest():
        reader.fault(name, "unknown member; expected Step and Trigger")
    return Dependency(step=step, trigger=Trigger(trigger), place=place) if step else None


def _cache_config(value: Document, place: Place, faults: list[Fault]) -> CacheConfig:
    reader = _Reader(value, place, faults)
    enabled = reader.take("Enabled", bool, False, required=True)
    return CacheConfig(enabled=enabled, expire_after=reader.optional("ExpireAfter", str), members=reader.rest())


def _retry_policy(value: Any, place: Place, faults: list[Fault]) -> RetryPolicy | None:
    reader = _Reader(value, place, faults)
    if not reader.is_object:
        return None
    return RetryPolicy(
        exception_types=reader.texts("ExceptionType", required=True),
        backoff_rate=reader.take("BackoffRate", float, 2.0),
        interval_s=reader.take("IntervalSeconds", int, 1),
        max_attempts=reader.optional("MaxAttempts", int),
        expire_after_min=reader.optional("ExpireAfterMin", int),
        members=reader.rest(),
        place=place,
    )


def _property_file(value: Any, place: Place, faults: list[Fault]) -> PropertyFile | None:
    reader = _Reader(value, place, faults)
    if not reader.is_object:
        return None
    return PropertyFile(
        name=reader.take("PropertyFileName", str, "", required=True),
        output_name=reader.take("OutputName", str, "", required=True),
        file_path=reader.take("FilePath", str, "", required=True),
        members=reader.rest(),
        place=place,
    )


def document(definition: Definition) -> Document:
    """Return the JSON document of a definition, as AWS would take it."""
    return {
        "Version": definition.version,
        **definition.members,
        "Parameters": [_parameter_document(parameter) for parameter in definition.parameters],
        "Steps": [step_document(step) for step in definition.steps],
    }


def _parameter_document(parameter: Parameter) -> Document:
    written: Document = {"Name": parameter.name, "Type": parameter.type.value}
    if parameter.default is not msgspec.UNSET:
        written["DefaultValue"] = parameter.default
    if parameter.enum_values:
        written["EnumValues"] = list(parameter.enum_values)
    return written | parameter.members


def step_document(step: Step) -> Document:
    """Return the JSON document of a step."""
    nested = {name: [step_document(inner) for inner in steps] for name, steps in step.branches.items()}
    written: Document = {"Name": step.name, "Type": step.type, "Arguments": {**step.arguments, **nested}}
    if step.depends_on:
        written["DependsOn"] = [
            entry.step if entry.trigger is Trigger.COMPLETED else {"Step": entry.step, "Trigger": entry.trigger.value}
            for entry in step.depends_on
        ]
    if step.display_name is not None:
        written["DisplayName"] = step.display_name
    if step.description is not None:
        written["Description"] = step.description
    if step.cache is not None:
        written["CacheConfig"] = {"Enabled": step.cache.enabled} | step.cache.members
        if step.cache.expire_after is not None:
            written["CacheConfig"]["ExpireAfter"] = step.cache.expire_after
    if step.retry_policies:
        written["RetryPolicies"] = [_retry_document(policy) for policy in step.retry_policies]
    if step.property_files:
        written["PropertyFiles"] = [
            {"PropertyFileName": file.name, "OutputName": file.output_name, "FilePath": file.file_path} | file.members
            for file in step.property_files
        ]
    return written | step.members


def _retry_document(policy: RetryPolicy) -> Document:
    written: Document = {
        "BackoffRate": policy.backoff_rate,
        "IntervalSeconds": policy.interval_s,
        "ExceptionType": list(policy.exception_types),
    }
    if policy.max_attempts is not None:
        written["MaxAttempts"] = policy.max_attempts
    if policy.expire_after_min is not None:
        written["ExpireAfterMin"] = policy.expire_after_min
    return written | policy.members
