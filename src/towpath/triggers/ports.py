"""What triggers need of the rest of the platform."""

from collections.abc import Callable
from typing import TypeAlias

import msgspec


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A request to a webhook."""

    url: str
    body: str  #: JSON, or text
    headers: dict[str, str]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a message."""

    status: int | None = None  #: of the HTTP answer; None: there was none
    reason: str = ""  #: why there was none, or what the answer said


#: Sends a message to a webhook, once, and returns what came of it; raises nothing for what the other side does.
Post: TypeAlias = Callable[[Message], Answer]
