"""A pipeline as its author writes it, and the definition document that it emits."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from towpath.sdk.build import Build, Code, Defaults
from towpath.sdk.errors import DefinitionError
from towpath.sdk.expressions import Document, JsonGet, expressions_in, wire
from towpath.sdk.packing import Bundle, bundle, function_runtime
from towpath.sdk.parameters import Parameter
from towpath.sdk.provenance import Provenance, provenance
from towpath.sdk.pulling import completed
from towpath.sdk.steps.function import FunctionStep
from towpath.sdk.steps.step import Step, StepResult, steps_of
from towpath.sdk.steps.training import Training

VERSION = "2020-12-01"
_NAME = re.compile(r"[A-Za-z0-9](-*[A-Za-z0-9]){0,255}")


@dataclass(frozen=True, kw_only=True)
class Upload:
    """An object that must be in the lake before the pipeline runs. Its key changes with its content."""

    bucket: str
    key: str
    content: bytes


@dataclass(frozen=True, kw_only=True)
class Built:
    """A pipeline written out: what is sent to the server."""

    definition: Document
    uploads: tuple[Upload, ...]
    parameters: tuple[Parameter, ...]


class Pipeline:
    """Steps and parameters under a name.

    Paths of scripts start from the folder of the file that makes the pipeline, so it may be run from anywhere.

    Args:
        steps: the order does not matter; a step waits for the steps whose outputs it reads. Of functions with
            `@step` the last values will do: what they need comes along.
        parameters: those that steps use are found by themselves; the list sets their order and may name more.
        root: the folder that paths start from.
        defaults: role, image, instance type and bucket where steps name none.
    Raises:
        DefinitionError: names are taken twice, a file is missing, or a reference leads nowhere.
    """

    def __init__(
        self,
        name: str,
        *,
        steps: Sequence[Step | StepResult],
        parameters: Sequence[Parameter] = (),
        description: str | None = None,
        root: str | Path | None = None,
        defaults: Defaults | None = None,
    ) -> None:
        if not _NAME.fullmatch(name):
            raise DefinitionError(f"{name!r} is not a pipeline name; expected letters, digits and inner hyphens")
        self.name = name
        self.description = description
        self.steps = completed(steps_of(steps, f"pipeline {name}, steps"))
        self.root = Path(root) if root is not None else _folder_of_caller()
        self.defaults = defaults or Defaults()
        self._declared = tuple(parameters)
        if not self.steps:
            raise DefinitionError(f"pipeline {name} has no steps")
        # Written out once now, so that a fault is reported where the pipeline is written; where the code comes from
        # is asked only when it is sent.
        self.parameters = self._write(Provenance()).parameters

    def all_steps(self) -> Iterator[Step]:
        """Yield every step, those inside conditions included."""
        return _all(self.steps)

    def definition(self) -> Document:
        """Return the definition document (version 2020-12-01). Reads the scripts, sends nothing."""
        return self.build().definition

    def definition_json(self) -> str:
        """Return the definition document as JSON text."""
        return json.dumps(self.definition(), indent=1)

    def build(self) -> Built:
        """Return the definition and the code that it names, from one reading of the files."""
        return self._write(provenance(self.root))

    def _write(self, origin: Provenance) -> Built:
        completed(self.steps)  # functions may have been named for another pipeline in between
        names = _names(self.all_steps())
        read: dict[Code, Bundle] = {}
        for code in (step.code for step in self.all_steps()):
            if code is not None and code not in read:
                read[code] = _bundle(code, self.root)
        bundles = {step.name: read[code] for step in self.all_steps() if (code := step.code) is not None}
        build = Build(
            pipeline=self.name,
            defaults=self.defaults,
            bundles=bundles,
            tags={name: origin.tags(code.digest) for name, code in bundles.items()},
            runtime=function_runtime(),
        )
        steps = [step.document(build) for step in self.steps]
        _refuse_dangling(self.all_steps(), steps, names)
        parameters = _parameters(self._declared, steps)
        _declare_property_files(steps)
        definition: Document = {
            "Version": VERSION,
            "Metadata": {},
            "Parameters": [parameter.declaration() for parameter in parameters],
            "PipelineExperimentConfig": {
                "ExperimentName": {"Get": "Execution.PipelineName"},
                "TrialName": {"Get": "Execution.PipelineExecutionId"},
            },
            "Steps": wire(steps),
        }
        uploads = tuple(_uploads(self.all_steps(), build))
        return Built(definition=definition, uploads=uploads, parameters=parameters)


def _bundle(code: Code, root: Path) -> Bundle:
    found = bundle(code.root or root, code.script, source_dir=code.source_dir, include=code.include)
    return found if code.requirements is None else found.with_file("requirements.txt", code.requirements)


def _folder_of_caller() -> Path:
    """Return the folder of the file that makes the pipeline, or the working folder where there is no such file."""
    frame = sys._getframe(2)
    file = frame.f_globals.get("__file__")
    return Path(file).resolve().parent if file else Path.cwd()


def _all(steps: Sequence[Step]) -> Iterator[Step]:
    for step in steps:
        yield step
        yield from _all(step.nested)


def _names(steps: Iterator[Step]) -> set[str]:
    seen: set[str] = set()
    for step in steps:
        if step.name in seen:
            raise DefinitionError(
                f"two steps are called {step.name!r}; names are unique in a pipeline, those inside conditions included"
            )
        seen.add(step.name)
    return seen


def _refuse_dangling(steps: Iterator[Step], documents: list[Document], names: set[str]) -> None:
    for step in steps:
        for name in step.waits_for:
            if name not in names:
                raise DefinitionError(f"step {step.name} depends on {name!r}, which is not a step of this pipeline")
    for document in _documents(documents):
        own = {**document, "Arguments": {**document["Arguments"], "IfSteps": [], "ElseSteps": []}}
        for expression in expressions_in(own):
            for name in expression.steps:
                if name not in names:
                    raise DefinitionError(
                        f"step {document['Name']} reads from {name!r}, which is not a step of this pipeline; "
                        "add it to the pipeline's steps"
                    )
                if name == document["Name"]:
                    raise DefinitionError(f"step {name} reads from itself")


def _documents(steps: list[Document]) -> Iterator[Document]:
    for step in steps:
        yield step
        for branch in ("IfSteps", "ElseSteps", "ForEachBody"):
            yield from _documents(step["Arguments"].get(branch, []))


def _parameters(declared: tuple[Parameter, ...], steps: list[Document]) -> tuple[Parameter, ...]:
    found: dict[str, Parameter] = {}
    for parameter in (*declared, *(each for each in expressions_in(steps) if isinstance(each, Parameter))):
        known = found.setdefault(parameter.name, parameter)
        if known.declaration() != parameter.declaration():
            raise DefinitionError(f"two different parameters are called {parameter.name!r}")
    return tuple(found.values())


def _declare_property_files(steps: list[Document]) -> None:
    """Add to each step the property files that values of the pipeline are read from."""
    wanted: dict[str, dict[str, JsonGet]] = {}
    for expression in expressions_in(steps):
        if isinstance(expression, JsonGet):
            of_step = wanted.setdefault(expression.step, {})
            known = of_step.setdefault(expression.property_file, expression)
            if (known.output, known.file) != (expression.output, expression.file):
                raise DefinitionError(
                    f"step {expression.step}: {known.file!r} and {expression.file!r} give one property file name; "
                    "rename one of the files"
                )
    for document in _documents(steps):
        files = wanted.get(document["Name"], {})
        if files:
            document["PropertyFiles"] = [
                {"PropertyFileName": name, "OutputName": each.output, "FilePath": each.file}
                for name, each in sorted(files.items())
            ]


def _uploads(steps: Iterator[Step], build: Build) -> Iterator[Upload]:
    sent: set[str] = set()
    for step in steps:
        if step.code is None:
            continue
        packed = isinstance(step, Training)
        bundles = [build.bundles[step.name], *([build.runtime] if isinstance(step, FunctionStep) else [])]
        for each in bundles:
            prefix = build.prefix_of(each)
            if packed:
                yield Upload(bucket=build.defaults.bucket, key=f"{prefix}sourcedir.tar.gz", content=each.archive())
            elif prefix not in sent:
                sent.add(prefix)
                for file in each.files:
                    yield Upload(bucket=build.defaults.bucket, key=f"{prefix}{file.name}", content=file.content)
