"""What is listed as deleted: what can come back, and nothing else."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from towpath.housekeeping import Retention
from towpath.housekeeping.undelete import Undeletion
from towpath.kernel.errors import Conflict
from towpath.kernel.kinds import Kind
from towpath.kernel.operations import Request
from towpath.kernel.principals import Caller
from towpath.lineage.kinds import KINDS as LINEAGE_KINDS
from towpath.triggers.kinds import KINDS as TRIGGER_KINDS

NOW = datetime(2026, 1, 2, tzinfo=UTC)
KINDS: dict[str, Kind] = {kind.noun: kind for kind in (*LINEAGE_KINDS, *TRIGGER_KINDS)}


def asked(operation: str, **members: Any) -> Request:
    return Request(operation=operation, input=members, caller=Caller("ada"))


def test_what_never_comes_back_is_not_listed() -> None:
    tombstones = [
        SimpleNamespace(kind=noun, name=noun.lower(), uid=noun, deleted_at=NOW - timedelta(hours=1)) for noun in KINDS
    ]
    transaction: Any = SimpleNamespace(now=NOW, housekeeping=SimpleNamespace(tombstones=lambda: tombstones))
    found = Undeletion(KINDS, Retention()).list_deleted(transaction, asked("ListDeletedResources"))
    assert [each["ResourceKind"] for each in found["DeletedResources"]] == ["Rule", "Schedule"]


@pytest.mark.parametrize("noun", ["Delivery", "Artifact", "Action", "Context"])
def test_what_never_comes_back_says_why(noun: str) -> None:
    tombstone = SimpleNamespace(kind=noun, name="x", deleted_at=NOW - timedelta(hours=1))
    transaction: Any = SimpleNamespace(
        now=NOW,
        housekeeping=SimpleNamespace(tombstone=lambda kind, name: tombstone),
        resources=SimpleNamespace(find=lambda kind, name: None),
    )
    with pytest.raises(Conflict, match=r"not delivered again|has left the lineage graph"):
        Undeletion(KINDS, Retention()).undelete(transaction, asked("Undelete", ResourceKind=noun, ResourceName="x"))
