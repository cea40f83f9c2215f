"""The key of a step in the cache: what it is made of, whether an earlier result may stand for it, and what differs
between two keys. Pure."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from towpath.jobs.channels import PinnedInput, Role
from towpath.jobs.ingredients import Ingredients
from towpath.kernel.objects import ObjectRef
from towpath.kernel.resource import Document, Uid
from towpath.pipelines.definition import CacheConfig
from towpath.pipelines.durations import parse_duration
from towpath.pipelines.evaluation import StepYield, as_text
from towpath.pipelines.model import CacheNote
from towpath.pipelines.quality_checks import deciding
from towpath.pipelines.steps.declaration import StepType

_RULES = 1  #: raised when keys are made in another way, so that no result of the old rules is taken for one of the new
#: A time as the SageMaker SDKs put it into the names of jobs and folders.
_TIME_IN_NAME = re.compile(r"\d{4}-\d{2}-\d{2}-\d{2}-\d{2}-\d{2}(-\d{3})?")

ARGUMENT, INPUT, CODE, ENVIRONMENT = "argument", "input", "code", "environment"


class Part(msgspec.Struct, frozen=True):
    """One part of a key."""

    group: str  #: "argument", "input", "code" or "environment"
    name: str  #: of the argument, the input, the file, the package
    value: str  #: the argument as text, the SHA-256 of an input or a file, the version of a package


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A part that is not the same in two keys."""

    group: str
    name: str
    before: str | None  #: None where there was none
    after: str | None


class Material(msgspec.Struct, frozen=True, kw_only=True):
    """All that decides what comes of a step."""

    step_type: str
    parts: tuple[Part, ...]  #: by group, in the order in which differences are told, and by name

    @property
    def key(self) -> str:
        """SHA-256, in hex, of the parts."""
        return hashlib.sha256(msgspec.json.encode([_RULES, self.step_type, self.parts])).hexdigest()


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The newest success with a key, as it stands now."""

    execution_arn: str
    ended_at: datetime
    job: Uid | None  #: what the step had started
    job_arn: str | None
    metadata: Document
    yielded: StepYield
    displaced: tuple[ObjectRef, ...] = ()  #: its outputs that are not what lies at their places now, each as recorded
    gone: str | None = None  #: URI of an output that can neither be found in its place nor be put back


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a step that is about to start asks for."""

    request: Document  #: of its Create operation
    members: Document = msgspec.field(default_factory=dict)  #: of a check: what stands beside the Arguments


class Lookup(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a step that is about to start: its key, and the newest success that has the same."""

    asked: Asked  #: that the key is of
    request: Document | None = None  #: that its job is created with, where that is more: a check's with its baseline
    told: Document = msgspec.field(default_factory=dict)  #: what its metadata would tell: a check's, how it judges
    key: str | None = None
    settled: str | None = None  #: where the type of the step says so: `Ingredients.settled` of what the key is made of
    keyless: str | None = None  #: why there is no key
    pinned: tuple[PinnedInput, ...] = ()  #: its inputs, which the job has to be given like this
    found: Found | None = None
    unread: str | None = None  #: why nothing can be said of a success that has the same key


def verdict(lookup: Lookup, config: CacheConfig, now: datetime) -> CacheNote:
    """Return whether a step takes the result that was found over (the note has a source), or why it runs."""
    note = _verdict(lookup, config, now)
    return note if note.source is not None else replace(note, settled=lookup.settled)


def _verdict(lookup: Lookup, config: CacheConfig, now: datetime) -> CacheNote:
    if lookup.key is None:
        return CacheNote(why=lookup.keyless or "nothing is known of what it reads")
    found = lookup.found
    if lookup.unread is not None:
        return CacheNote(key=lookup.key, why=lookup.unread)
    if found is None:
        return CacheNote(key=lookup.key, why="no execution of this pipeline has succeeded with this key")
    if config.expire_after is not None:
        age = now - found.ended_at
        if age > parse_duration(config.expire_after):
            why = f"the newest success with this key, of {found.execution_arn}, is older than {config.expire_after}"
            return CacheNote(key=lookup.key, why=why)
    if found.gone is not None:
        why = f"{found.gone}, which {found.execution_arn} wrote, was deleted and cannot be put back"
        return CacheNote(key=lookup.key, why=why)
    put_back = ""
    if found.displaced:
        put_back = f"; {len(found.displaced)} of its outputs had been changed or deleted and were put back"
    why = f"{found.execution_arn} has succeeded with this key{put_back}"
    return CacheNote(key=lookup.key, source=found.execution_arn, why=why)


def material(
    step_type: StepType, request: Mapping[str, Any], ingredients: Ingredients, execution_id: str, told: Document
) -> Material:
    """Return what decides what comes of a step.

    Args:
        request: that its job is created with.
        told: what the step's metadata tell of what it started; of a check they say how it judges.
        execution_id: of the execution that it is part of; where outputs are placed by it, they are not placed elsewhere
            by another one.
    """
    assert step_type.cache is not None, "only types that say how get a key"
    parts = [
        *_arguments(request, step_type, execution_id),
        *(Part(ARGUMENT, f"Model.{name}", value) for name, value in ingredients.model.items()),
        *(Part(ARGUMENT, f"Function.{name}", value) for name, value in ingredients.function.items()),
        *(Part(ARGUMENT, f"EarlierTuningJob[{place}]", uid) for place, uid in enumerate(ingredients.earlier)),
        *(Part(ARGUMENT, f"Check.{name}", as_text(value)) for name, value in _judging(step_type, told)),
        *(Part(INPUT, item.name, _content(item)) for item in ingredients.inputs if item.role is Role.DATA),
        *(Part(CODE, path, digest) for path, digest in ingredients.code.items()),
        Part(ENVIRONMENT, "Python", ingredients.python_version),
        *(Part(ENVIRONMENT, name, version) for name, version in ingredients.packages.items()),
    ]
    order = {group: rank for rank, group in enumerate((ARGUMENT, INPUT, CODE, ENVIRONMENT))}
    return Material(
        step_type=step_type.name,
        parts=tuple(sorted(parts, key=lambda part: (order[part.group], part.name, part.value))),
    )


def differences(before: Material, after: Material) -> list[Difference]:
    """Return the parts that two keys do not share, in the order of the parts: arguments, inputs, code, environment."""
    old = {(part.group, part.name): part.value for part in before.parts}
    new = {(part.group, part.name): part.value for part in after.parts}
    places = dict.fromkeys([*new, *old])
    order = {ARGUMENT: 0, INPUT: 1, CODE: 2, ENVIRONMENT: 3}
    return [
        Difference(group=group, name=name, before=old.get((group, name)), after=new.get((group, name)))
        for group, name in sorted(places, key=lambda place: (order[place[0]], place[1]))
        if old.get((group, name)) != new.get((group, name))
    ]


def changed_files(before: Iterable[PinnedInput], after: Iterable[PinnedInput], name: str) -> list[Difference]:
    """Return the files of an input that two jobs did not read alike, by their paths as the jobs see them."""
    old, new = _files(before, name), _files(after, name)
    return [
        Difference(group=INPUT, name=path, before=old.get(path), after=new.get(path))
        for path in sorted({*old, *new})
        if old.get(path) != new.get(path)
    ]


def _files(inputs: Iterable[PinnedInput], name: str) -> dict[str, str]:
    return {item.path: item.sha256 for pinned in inputs if pinned.name == name for item in pinned.objects}


def _content(pinned: PinnedInput) -> str:
    """Return the digest of what a job finds: where the files lie for it, and their bytes."""
    whole = hashlib.sha256()
    for path, digest in sorted((item.path, item.sha256) for item in pinned.objects):
        whole.update(f"{path}\0{digest}\n".encode())
    return whole.hexdigest()


def _arguments(request: Mapping[str, Any], step_type: StepType, execution_id: str) -> Iterator[Part]:
    rules = step_type.cache
    assert rules is not None
    left_out = rules.left_out | {step_type.name_member or ""}
    own_name = str(request.get(step_type.name_member or "") or "")
    for path, label, value in _leaves(request, step_type.names, "", ""):
        if any(path == name or path.startswith(f"{name}.") for name in left_out):
            continue
        text = as_text(value)
        if path in rules.read and text.strip('"').startswith("s3://"):
            continue  # what lies there counts, as an input or as code
        if path in rules.placed:
            text = _placement(text, execution_id, own_name)
        yield Part(ARGUMENT, label, text)


def _judging(step_type: StepType, told: Document) -> Iterator[tuple[str, Any]]:
    return iter(deciding(told).items()) if step_type.checks else iter(())


def _placement(uri: str, execution_id: str, job_name: str) -> str:
    """Return where outputs go, without what only keeps the outputs of one run from those of another."""
    marks = [mark for mark in (execution_id, job_name) if mark]
    return "/".join(
        "*" if _TIME_IN_NAME.search(segment) or any(mark in segment for mark in marks) else segment
        for segment in uri.rstrip("/").split("/")
    )


def _leaves(value: Any, names: Mapping[str, str], path: str, label: str) -> Iterator[tuple[str, str, Any]]:
    """Yield (dotted path, label for people, value) of each value that is neither a map nor a list.

    Args:
        names: dotted path of a list -> member that names its items; such an item goes by its name, not by its place.
    """
    match value:
        case None:
            return
        case Mapping():
            for name, inner in value.items():
                yield from _leaves(
                    inner, names, f"{path}.{name}" if path else name, f"{label}.{name}" if label else name
                )
        case list() | tuple():
            for index, inner in enumerate(value):
                own = inner.get(names[path]) if path in names and isinstance(inner, Mapping) else None
                yield from _leaves(inner, names, path, f"{label}[{index if own is None else repr(own)}]")
        case _:
            yield path, label, value
