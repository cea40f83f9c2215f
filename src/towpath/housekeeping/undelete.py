"""Brings deleted resources back while their tombstones are kept."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from towpath.housekeeping.model import Retention
from towpath.housekeeping.ports import Transaction
from towpath.kernel.errors import Conflict, Invalid, NotFound
from towpath.kernel.generic import record
from towpath.kernel.kinds import Kind
from towpath.kernel.operations import Request
from towpath.kernel.resource import Document, Resource

_MOST = 100


class Undeletion:
    """The operations on what was deleted."""

    def __init__(self, kinds: Mapping[str, Kind], retention: Retention) -> None:
        self._kinds = kinds
        self._retention = retention

    def undelete(self, transaction: Transaction, request: Request) -> Document:
        """Carry out Undelete: the resource of that name that was deleted last lives again, with all that it was.

        Raises:
            Invalid: there is no such kind.
            NotFound: nothing of that name was deleted within the retention.
            Conflict: the name is taken, or something that the resource cannot live without is gone.
        """
        noun, name = request.input["ResourceKind"], request.input["ResourceName"]
        kind = self._kinds.get(noun)
        if kind is None:
            raise Invalid(f"There is no kind {noun!r}; the kinds are {', '.join(sorted(self._kinds))}")
        tombstone = transaction.housekeeping.tombstone(noun, name)
        if tombstone is None or not self._is_kept(tombstone, transaction.now):
            raise NotFound(
                f"No {noun} {name!r} was deleted in the last {self._retention.deleted_days:g} days; "
                "ListDeletedResources tells what can be undeleted",
                code="ResourceNotFound",
            )
        live = transaction.resources.find(noun, name)
        if live is not None:
            raise Conflict(
                f"{noun} {name!r} cannot be undeleted: the name is taken by another one, created at "
                f"{live.created_at:%Y-%m-%d %H:%M:%S} UTC ({live.arn}). Delete that first."
            )
        if kind.refuse_undelete is not None:
            kind.refuse_undelete(transaction, tombstone)
        changes: dict[str, Any] = {"deleted_at": None}
        if kind.undeleted_status is not None:
            # What ran was taken down; the controller begins anew from the spec.
            changes |= {
                "status": kind.undeleted_status,
                "state": {},
                "generation": tombstone.generation + 1,
            }
        restored = transaction.resources.replace(tombstone, **changes)
        if kind.controlled:
            transaction.work.schedule(restored.uid, transaction.now)
        assert tombstone.deleted_at is not None
        record(transaction, restored, request, request.operation, deleted_at=tombstone.deleted_at.timestamp())
        return {
            "ResourceArn": restored.arn,
            "ResourceKind": noun,
            "ResourceName": name,
            "DeletionTime": tombstone.deleted_at.timestamp(),
        }

    def list_deleted(self, transaction: Transaction, request: Request) -> Document:
        """Carry out ListDeletedResources: what can still be undeleted, the latest deleted first."""
        asked = request.input
        found = [
            tombstone
            for tombstone in transaction.housekeeping.tombstones()
            if asked.get("ResourceKind") in {None, tombstone.kind}
            and asked.get("ResourceName") in {None, tombstone.name}
            and self._until(tombstone.deleted_at) > transaction.now
            and self._comes_back(tombstone.kind)
        ]
        token, limit = asked.get("NextToken"), min(int(asked.get("MaxResults") or _MOST), _MOST)
        if token is not None:
            uids = [tombstone.uid for tombstone in found]
            if token not in uids:
                raise Invalid(f"NextToken {token!r} is not one of this list; begin anew without it")
            found = found[uids.index(token) :]
        answer: Document = {
            "DeletedResources": [
                {
                    "ResourceKind": tombstone.kind,
                    "ResourceName": tombstone.name,
                    "DeletionTime": tombstone.deleted_at.timestamp(),
                    "KeptUntil": self._until(tombstone.deleted_at).timestamp(),
                }
                for tombstone in found[:limit]
            ]
        }
        return answer if len(found) <= limit else {**answer, "NextToken": found[limit].uid}

    def _comes_back(self, noun: str) -> bool:
        kind = self._kinds.get(noun)
        return kind is None or kind.comes_back

    def _is_kept(self, tombstone: Resource, now: datetime) -> bool:
        return tombstone.deleted_at is not None and self._until(tombstone.deleted_at) > now

    def _until(self, deleted_at: datetime) -> datetime:
        return deleted_at + timedelta(days=self._retention.deleted_days)
