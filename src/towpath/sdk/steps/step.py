"""What all steps of a pipeline have in common."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

from towpath.sdk.build import Build, Code
from towpath.sdk.errors import DefinitionError
from towpath.sdk.expressions import Document, Expression, Get
from towpath.sdk.steps.retry import RetryPolicy, policies_of

#: The types of steps whose results may be taken over from an earlier execution; those of others run every time.
TAKEN_OVER = frozenset({"Processing", "Training", "Tuning", "Transform", "Lambda", "QualityCheck", "ClarifyCheck"})
_NAME = re.compile(r"[A-Za-z0-9](-*[A-Za-z0-9]){0,63}")


@dataclass(frozen=True)
class After:
    """A step to wait for, and how it must have ended."""

    step: Step | StepResult | str
    trigger: str  #: Failed, Stopped or Any

    @property
    def name(self) -> str:
        """The name of the step."""
        return name_of(self.step)


def failed(step: Step | StepResult | str) -> After:
    """Return what lets a step run when another one has failed; the execution then goes on."""
    return After(step, "Failed")


def stopped(step: Step | StepResult | str) -> After:
    """Return what lets a step run when another one was stopped."""
    return After(step, "Stopped")


def ended(step: Step | StepResult | str) -> After:
    """Return what lets a step run when another one has ended, however it did."""
    return After(step, "Any")


@dataclass(eq=False)
class Step(ABC):
    """One step of a pipeline."""

    name: str
    _: KW_ONLY
    depends_on: Sequence[Step | StepResult | str | After] = ()  #: steps to wait for although nothing of theirs is read
    cache: str | None = None  #: ISO 8601 duration ("P30D") for which an equal earlier run is taken over
    description: str | None = None
    retry_policies: Sequence[RetryPolicy] = ()  #: when it is tried again after a failure that is not its script's

    type: ClassVar[str]  #: the definition's word

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise DefinitionError(
                f"{self.name!r} is not a step name; expected up to 64 letters, digits and inner hyphens"
            )
        policies_of(self.retry_policies, f"step {self.name}")  # a fault is told where the step is written

    @abstractmethod
    def request(self, build: Build) -> Document:
        """Return what the step asks for (its Arguments), expressions not yet written out."""

    @property
    def code(self) -> Code | None:
        """The code that the step needs uploaded."""
        return None

    @property
    def nested(self) -> Sequence[Step]:
        """The steps that stand inside this one."""
        return ()

    def branches(self) -> tuple[tuple[str, tuple[Step, ...]], ...]:
        """Return the lists of steps inside this one, by the argument that holds them: each runs, or not, by itself."""
        return ()

    @property
    def waits_for(self) -> tuple[str, ...]:
        """The names of the steps in `depends_on`."""
        return tuple(other.name if isinstance(other, After) else name_of(other) for other in self.depends_on)

    def property(self, path: str) -> Get:
        """Return a reference to a member of what the API describes once the step has ended.

        Example:
            train.property("FinalMetricDataList['validation:accuracy'].Value")
        """
        return Get(f"Steps.{self.name}.{path}")

    def document(self, build: Build) -> Document:
        """Return the step as it stands in the definition, expressions not yet written out."""
        step: Document = {"Name": self.name, "Type": self.type, "Arguments": self.request(build)}
        if self.description:
            step["Description"] = self.description
        if self.depends_on:
            step["DependsOn"] = [
                {"Step": other.name, "Trigger": other.trigger} if isinstance(other, After) else name
                for other, name in zip(self.depends_on, self.waits_for, strict=True)
            ]
        if self.retry_policies:
            step["RetryPolicies"] = policies_of(self.retry_policies, f"step {self.name}")
        if self.cache:
            step["CacheConfig"] = {"Enabled": True, "ExpireAfter": self.cache}
        return step


class StepResult(Expression):
    """What a step will have made, as a value that stands for the step as well: it may be given where a step may."""

    @property
    @abstractmethod
    def step(self) -> Step:
        """The step that makes it."""

    @property
    def steps(self) -> tuple[str, ...]:
        return (self.step.name,)

    @property
    @abstractmethod
    def folder(self) -> Get:
        """The S3 URI of the folder that holds it, for steps that read files."""


def steps_of(given: Sequence[Step | StepResult], where: str) -> tuple[Step, ...]:
    """Return the steps of a list that may hold their results instead, each once.

    Raises:
        DefinitionError: something in it is neither.
    """
    if isinstance(given, Step | StepResult):
        raise DefinitionError(f"{where} expects a list of steps; put brackets around the one")
    found: dict[int, Step] = {}
    for each in given:
        step = each.step if isinstance(each, StepResult) else each
        if not isinstance(step, Step):
            raise DefinitionError(
                f"{where}: {_shown(each)} is no step; expected a step, or what a function with @step gives when it is "
                "called at the top level of a file (elsewhere such a call runs the function: use NAME.later(…) there)"
            )
        found.setdefault(id(step), step)
    return tuple(found.values())


def _shown(value: object) -> str:
    text = repr(value)
    return f"{text[:60]}… (a {type(value).__name__})" if len(text) > 60 else text


def name_of(step: Step | StepResult | str) -> str:
    """Return the name of a step, which may be given by it or by what the step makes."""
    if isinstance(step, str):
        return step
    return step.step.name if isinstance(step, StepResult) else step.name
