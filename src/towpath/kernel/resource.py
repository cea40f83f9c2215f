"""A resource: a document with a spec (what the caller asked for) and a state (what the platform found)."""

import threading
from datetime import datetime
from typing import Any, NewType, TypeVar

import msgspec

T = TypeVar("T")
Uid = NewType("Uid", str)  #: one for each incarnation of a name, never used again
Document = dict[str, Any]  #: a JSON document as it stands on the wire or in the store; typed views are made from it

FORMAT = 1  #: version of the stored documents that this release writes


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """One incarnation of a named thing."""

    uid: Uid
    account: str  #: 12 digits
    region: str
    kind: str  #: the API's noun, for example "TrainingJob"
    name: str  #: unique among live resources of (account, region, kind)
    arn: str
    spec: Document  #: the Create request with later Update requests merged in
    state: Document = msgspec.field(default_factory=dict)  #: written by the controller alone
    status: str | None = None  #: the API's status word, None for kinds that have none
    parent: Uid | None = None  #: what started this (an execution for its jobs); woken when `status` changes
    generation: int = 1  #: raised by each change of `spec`
    observed_generation: int = 0  #: the generation that `state` answers to
    revision: int = 1  #: raised by each write; every write is compare-and-set on it
    format: int = FORMAT
    created_at: datetime
    created_by: str  #: name of the principal
    modified_at: datetime
    deleted_at: datetime | None = None  #: set on tombstones
    sort: dict[str, str | float | None] = msgspec.field(default_factory=dict)  #: values of the kind's indexed members

    @property
    def is_live(self) -> bool:
        """Whether the resource still exists for callers."""
        return self.deleted_at is None


_known: set[object] = set()  #: types whose every part msgspec knows
_learning = threading.Lock()


def view(kind: type[T], document: object, *, strict: bool = False) -> T:
    """Return `document` as a frozen typed view; members that the view does not know are left out.

    Any number of threads may ask at once.

    Args:
        strict: take no text for a number, nor the other way round.
    Raises:
        msgspec.ValidationError: the document is not of the kind; says where.
    """
    if kind not in _known:
        # msgspec 0.22 learns about a class when it is first asked, and lets other threads see what it knows half-way:
        # a second thread that asks for the same class meanwhile ends the process by a segmentation fault.
        with _learning:
            msgspec.json.Decoder(kind)
            _known.add(kind)
    return msgspec.convert(document, kind, strict=strict)
