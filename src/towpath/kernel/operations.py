"""Operations: the API's verbs as functions on a transaction, in one table that the front door and the engine share."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec

from towpath.kernel.errors import Unsupported
from towpath.kernel.principals import Caller
from towpath.kernel.resource import Document, Uid


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A checked request: its members have the types and bounds that the operation's input shape asks for."""

    operation: str
    input: Document
    caller: Caller
    parent: Uid | None = None  #: the resource on whose behalf the engine calls, for example an execution


Function: TypeAlias = Callable[
    [Any, Request], Document
]  #: (transaction, request) -> answer in the operation's output shape


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One verb of the API."""

    name: str
    function: Function
    writes: bool = True
    why_refused: str | None = None  #: for one that is refused whatever is asked: the sentence that is told


def refusing(name: str, why: str) -> Operation:
    """Return an operation that is refused whatever is asked, with a sentence that says what is missing."""

    def refuse(_: Any, request: Request) -> Document:
        raise Unsupported(why)

    return Operation(name=name, function=refuse, writes=False, why_refused=why)


Operations: TypeAlias = Mapping[str, Operation]
