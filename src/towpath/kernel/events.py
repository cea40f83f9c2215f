"""Events: who did what to what, and when. Append-only."""

from datetime import datetime

import msgspec

from towpath.kernel.resource import Document, Uid


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened."""

    type: str  #: in EventBridge's words where AWS has them, for example "SageMaker Training Job State Change"
    subject: Uid | None  #: the resource it happened to
    subject_arn: str = ""
    principal: str  #: who caused it; "towpath" for the platform itself
    at: datetime
    detail: Document = msgspec.field(default_factory=dict)
