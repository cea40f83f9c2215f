"""Operations: the API's verbs as functions on a transaction, in one table that the front door and the engine share."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec

from towpath.kernel.errors import TowpathError, Unsupported
from towpath.kernel.principals import Caller
from towpath.kernel.resource import Document, Uid


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A checked request: its members have the types and bounds that the operation's input shape asks for."""

    operation: str
    input: Document
    caller: Caller
    parent: Uid | None = None  #: the resource on whose behalf the engine calls, for example an execution
    prepared: Any = None  #: what `Operation.prepare` made of it


class NotYet(Exception):
    """Raised by an operation that has nothing to answer yet, where its caller said how long it is willing to wait.

    The transaction is undone. The front door asks again when resources of a kind were changed, and when it is time.
    """

    def __init__(self, *, answer: Document | TowpathError, kind: str, patience_s: float, again_s: float | None) -> None:
        """
        Args:
            answer: what is answered when the patience is at its end, or the error that is told then.
            kind: of the resources whose changes may make another answer.
            again_s: after so long there may be another answer without any change, None: not without one.
        """
        super().__init__(kind)
        self.answer = answer
        self.kind = kind
        self.patience_s = patience_s
        self.again_s = again_s


Function: TypeAlias = Callable[
    [Any, Request], Document
]  #: (transaction, request) -> answer in the operation's output shape


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One verb of the API."""

    name: str
    function: Function
    writes: bool = True
    prepare: Callable[[Request], Any] | None = None  #: done by the front door before the transaction
    finish: Function | None = (
        None  #: what is answered instead, asked when `function` is committed; may raise NotYet, `function` stays done
    )
    why_refused: str | None = None  #: for one that is refused whatever is asked: the sentence that is told


def refusing(name: str, why: str) -> Operation:
    """Return an operation that is refused whatever is asked, with a sentence that says what is missing."""

    def refuse(_: Any, request: Request) -> Document:
        raise Unsupported(why)

    return Operation(name=name, function=refuse, writes=False, why_refused=why)


Operations: TypeAlias = Mapping[str, Operation]
