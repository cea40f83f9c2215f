"""Which object versions something refers to, found out without holding up those who write."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from towpath.housekeeping.model import VersionKey
from towpath.housekeeping.ports import Transaction
from towpath.kernel.resource import Uid


@dataclass(frozen=True, slots=True, kw_only=True)
class Uses:
    """What referred to some versions at one moment. All documents are searched for that, which can take a while."""

    asked: frozenset[VersionKey]
    users: Mapping[VersionKey, str]  #: one that refers to each, for people; what nothing refers to is not there
    revisions: Mapping[Uid, int]  #: of all resources at that moment

    @classmethod
    def of(cls, transaction: Transaction, asked: frozenset[VersionKey]) -> "Uses":
        """Return what refers to each of `asked`: a resource, one that can still be undeleted too, or the lineage."""
        return cls(
            asked=asked,
            users=_users(transaction, asked, None),
            revisions=transaction.housekeeping.revisions(),
        )

    def by_now(self, transaction: Transaction) -> dict[VersionKey, str]:
        """Return the same as it stands now, having looked only at what was made or changed since."""
        changed = changed_since(transaction, self.revisions)
        return {**self.users, **_users(transaction, self.asked, changed)}


def changed_since(transaction: Transaction, revisions: Mapping[Uid, int]) -> list[Uid]:
    """Return the resources that were made or changed since their revisions were these."""
    now = transaction.housekeeping.revisions()
    return [uid for uid, revision in now.items() if revisions.get(uid) != revision]


def _users(transaction: Transaction, asked: frozenset[VersionKey], uids: Iterable[Uid] | None) -> dict[VersionKey, str]:
    users = dict.fromkeys(transaction.housekeeping.told_of(asked), "the lineage")
    for uid, named in transaction.housekeeping.references(asked, uids).items():
        resource = transaction.resources.get(uid)
        if resource is None:
            continue
        deleted = "" if resource.is_live else "deleted "
        users |= dict.fromkeys(named, f"the {deleted}{resource.kind} {resource.name}")
    return users
