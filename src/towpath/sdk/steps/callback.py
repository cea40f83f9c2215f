"""The step that asks somebody outside and waits for the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar

from towpath.sdk.build import Build
from towpath.sdk.errors import DefinitionError
from towpath.sdk.expressions import Document, Expression, Get
from towpath.sdk.steps.outputs import declared, reference, refuse_other_types
from towpath.sdk.steps.step import Step


@dataclass(eq=False)
class Callback(Step):
    """Asks people or programs, and waits until they answer: by `towpath answer`, or by the token in the message.

    Example:
        ask = Callback("Ticket", to="https://tickets.example.org/hook", inputs={"accuracy": accuracy},
                       outputs={"ticket": str, "accepted": bool})
        Condition("Accepted", if_=ask.output("accepted") == True, then=[register])
    """

    _: KW_ONLY
    to: str | Expression  #: the address of a queue, see `Client.queue`, or of a webhook
    inputs: Mapping[str, Any] = field(default_factory=dict)  #: what the message tells
    outputs: Mapping[str, type] = field(default_factory=dict)  #: what an answer has to bring: str, int, float or bool

    type: ClassVar[str] = "Callback"

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_other_types(self.name, self.outputs)
        if isinstance(self.to, str) and not self.to.startswith(("http://", "https://")):
            raise DefinitionError(
                f"step {self.name}: {self.to!r} is no address; expected client.queue(NAME), or that of a webhook"
            )

    def output(self, name: str) -> Get:
        """Return a reference to a value of the answer."""
        return reference(self, name, self.outputs)

    def request(self, build: Build) -> Document:
        return dict(self.inputs)

    def document(self, build: Build) -> Document:
        return {**super().document(build), "SqsQueueUrl": self.to, "OutputParameters": declared(self.outputs)}
