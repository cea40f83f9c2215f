"""The step that calls a function."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar

from towpath.sdk.build import Build
from towpath.sdk.expressions import Document, Expression, Get
from towpath.sdk.steps.outputs import declared, reference, refuse_other_types
from towpath.sdk.steps.step import Step


@dataclass(eq=False)
class Lambda(Step):
    """Calls a function with its inputs, and goes on with what that returns.

    Example:
        notify = Lambda("Notify", function="notify", inputs={"accuracy": accuracy}, outputs={"ticket": str})
        Fail("Told", message=notify.output("ticket"))
    """

    _: KW_ONLY
    function: str | Expression  #: its ARN, or its name alone, which AWS does not take; see `Client.functions`
    inputs: Mapping[str, Any] = field(default_factory=dict)  #: the event that it is called with
    outputs: Mapping[str, type] = field(default_factory=dict)  #: of what it returns: str, int, float or bool

    type: ClassVar[str] = "Lambda"

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_other_types(self.name, self.outputs)

    def output(self, name: str) -> Get:
        """Return a reference to a value that the function returned."""
        return reference(self, name, self.outputs)

    def request(self, build: Build) -> Document:
        return dict(self.inputs)

    def document(self, build: Build) -> Document:
        return {**super().document(build), "FunctionArn": self.function, "OutputParameters": declared(self.outputs)}
