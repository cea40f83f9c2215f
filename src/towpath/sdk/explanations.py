"""Why a step ran, or whose result it took over."""

from __future__ import annotations

from dataclasses import dataclass

from towpath.sdk.expressions import Document

#: Group of a part -> what one of it is called.
_WORDS = {"argument": "argument", "input": "input", "code": "file", "environment": "package"}


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of a step's cache key."""

    group: str  #: "argument", "input", "code" or "environment"
    name: str  #: of the argument, the input, the file or the package
    value: str  #: the argument as text, SHA-256 of an input or a file, version of a package


@dataclass(frozen=True, kw_only=True)
class FileDifference:
    """A file of an input that was another one before."""

    path: str  #: below /opt/ml, as the job sees it
    before: str | None  #: SHA-256; None where there was none
    after: str | None


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A part of the key that was another one before."""

    group: str
    name: str
    before: str | None  #: None where there was none
    after: str | None
    files: tuple[FileDifference, ...] = ()  #: of an input: the first of those that differ
    file_count: int = 0  #: of an input: how many differ

    @property
    def place(self) -> str:
        """What differs, for people: the argument, the file, the package."""
        if self.group == "input" and self.files:
            more = f" and {self.file_count - 1} more" if self.file_count > 1 else ""
            return f"input {self.name}: {self.files[0].path}{more}"
        return f"{_WORDS[self.group]} {self.name}"


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Why a step of an execution ran, or whose result it took over."""

    execution: str  #: ARN
    step: str
    type: str
    outcome: str  #: "Hit", "Miss", "NoKey", "Off" (the cache was not asked), "NotCacheable"
    reason: str
    key: str | None
    parts: tuple[Part, ...]
    source: str | None  #: ARN of the execution whose result was taken over
    compared_with: str | None  #: ARN of the execution in which the step ran before
    differences: tuple[Difference, ...]  #: from that one, in the order of the parts

    @property
    def first(self) -> Difference | None:
        """The first part that differs from the run before."""
        return self.differences[0] if self.differences else None


def explanation(told: Document) -> Explanation:
    """Return what ExplainPipelineExecutionStep answered."""
    return Explanation(
        execution=told["PipelineExecutionArn"],
        step=told["StepName"],
        type=told["StepType"],
        outcome=told["Outcome"],
        reason=told["Reason"],
        key=told.get("Key"),
        parts=tuple(Part(group=each["Group"], name=each["Name"], value=each["Value"]) for each in told["KeyParts"]),
        source=told.get("SourcePipelineExecutionArn"),
        compared_with=told.get("ComparedWith"),
        differences=tuple(_difference(each) for each in told["Differences"]),
    )


def _difference(told: Document) -> Difference:
    files = tuple(
        FileDifference(path=each["Path"], before=each.get("Before"), after=each.get("After"))
        for each in told.get("Files", ())
    )
    return Difference(
        group=told["Group"],
        name=told["Name"],
        before=told.get("Before"),
        after=told.get("After"),
        files=files,
        file_count=told.get("FileCount", 0),
    )
