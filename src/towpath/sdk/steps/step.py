"""What all steps of a pipeline have in common."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

from towpath.sdk.build import Build, Code
from towpath.sdk.errors import DefinitionError
from towpath.sdk.expressions import Document, Get

_NAME = re.compile(r"[A-Za-z0-9](-*[A-Za-z0-9]){0,63}")


@dataclass(frozen=True)
class After:
    """A step to wait for, and how it must have ended."""

    step: Step | str
    trigger: str  #: Failed, Stopped or Any

    @property
    def name(self) -> str:
        """The name of the step."""
        return self.step if isinstance(self.step, str) else self.step.name


def failed(step: Step | str) -> After:
    """Return what lets a step run when another one has failed; the execution then goes on."""
    return After(step, "Failed")


def stopped(step: Step | str) -> After:
    """Return what lets a step run when another one was stopped."""
    return After(step, "Stopped")


def ended(step: Step | str) -> After:
    """Return what lets a step run when another one has ended, however it did."""
    return After(step, "Any")


@dataclass(eq=False)
class Step(ABC):
    """One step of a pipeline."""

    name: str
    _: KW_ONLY
    depends_on: Sequence[Step | str | After] = ()  #: steps to wait for although nothing of theirs is read
    cache: str | None = None  #: ISO 8601 duration ("P30D") for which an equal earlier run is taken over
    description: str | None = None

    type: ClassVar[str]  #: the definition's word

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise DefinitionError(
                f"{self.name!r} is not a step name; expected up to 64 letters, digits and inner hyphens"
            )

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

    @property
    def waits_for(self) -> tuple[str, ...]:
        """The names of the steps in `depends_on`."""
        return tuple(other if isinstance(other, str) else other.name for other in self.depends_on)

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
        if self.cache:
            step["CacheConfig"] = {"Enabled": True, "ExpireAfter": self.cache}
        return step
