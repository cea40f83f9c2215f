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


@dataclass(eq=False)
class Step(ABC):
    """One step of a pipeline."""

    name: str
    _: KW_ONLY
    depends_on: Sequence[Step | str] = ()  #: steps to wait for although nothing of theirs is read
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
            step["DependsOn"] = list(self.waits_for)
        if self.cache:
            step["CacheConfig"] = {"Enabled": True, "ExpireAfter": self.cache}
        return step
