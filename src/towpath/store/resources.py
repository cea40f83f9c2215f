"""The repository of resources: rows of all kinds, their tags and counters."""

from collections.abc import Callable, Iterable, Set
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from towpath.kernel.arns import Home
from towpath.kernel.errors import Conflict, StaleRevision
from towpath.kernel.formats import raised
from towpath.kernel.ports import Heading, Page, Query
from towpath.kernel.resource import Document, Resource, Uid
from towpath.store.codec import from_epoch, from_json, optional_time, to_epoch, to_json
from towpath.store.long_specs import LONG_BYTES, DecodedSpecs, LongSpecTable, parted
from towpath.store.prepared import Found, Prepared
from towpath.store.queries import page
from towpath.store.tables import counter, resource, resource_index, tag

_DOCUMENTS = {"spec", "state", "sort"}
_TIMES = {"created_at", "modified_at", "deleted_at"}
_MEMBERS = tuple(column.name for column in resource.c if column.name != "seq")
#: What a change of a resource may write; the rest is fixed when it is made.
_MUTABLE = (
    "spec", "state", "status", "parent", "generation", "observed_generation", "revision", "format", "modified_at",
    "deleted_at", "sort",
)  # fmt: skip

_FIND = Prepared(
    select(resource).where(
        resource.c.account == bindparam("account"),
        resource.c.region == bindparam("region"),
        resource.c.kind == bindparam("kind"),
        resource.c.name == bindparam("name"),
        resource.c.deleted_at.is_(None),
    )
)
_GET = Prepared(select(resource).where(resource.c.uid == bindparam("uid")))
_REVISION = Prepared(select(resource.c.revision).where(resource.c.uid == bindparam("uid")))
_BY_ARN = Prepared(select(resource).where(resource.c.arn == bindparam("arn"), resource.c.deleted_at.is_(None)))
_INSERT = Prepared(insert(resource).values({name: bindparam(name) for name in _MEMBERS}))
_heading = select(resource.c.uid, resource.c.kind, resource.c.arn, resource.c.status, resource.c.deleted_at)
_HEADING = Prepared(_heading.where(resource.c.uid == bindparam("of")))
_HEADINGS = Prepared(
    _heading.where(resource.c.parent == bindparam("of"), resource.c.deleted_at.is_(None)).order_by(resource.c.seq)
)
_BY_MEMBER = Prepared(
    select(resource)
    .join(resource_index, resource_index.c.uid == resource.c.uid)
    .where(
        resource_index.c.kind == bindparam("of"),
        resource_index.c.member == bindparam("having"),
        resource.c.deleted_at.is_(None),
    )
    .order_by(resource.c.seq)
)


_REPLACE = Prepared(
    update(resource)
    .where(resource.c.uid == bindparam("of"), resource.c.revision == bindparam("before"))
    .values({name: bindparam(name) for name in _MUTABLE})
)
#: Most changes leave the spec. Not so where the row is still of an older format: both documents are raised together.
_BUT_SPEC = tuple(name for name in _MUTABLE if name != "spec")
_REPLACE_BUT_SPEC = Prepared(
    update(resource)
    .where(
        resource.c.uid == bindparam("of"),
        resource.c.revision == bindparam("before"),
        resource.c.format == bindparam("format"),
    )
    .values({name: bindparam(name) for name in _BUT_SPEC if name != "format"})
)
_CHILDREN = Prepared(
    select(resource)
    .where(resource.c.parent == bindparam("of"), resource.c.deleted_at.is_(None))
    .order_by(resource.c.seq)
)
_TAGS = Prepared(select(tag.c.key, tag.c.value).where(tag.c.uid == bindparam("of")))
_UNTAG = Prepared(delete(tag).where(tag.c.uid == bindparam("of"), tag.c.key == bindparam("named")))
_TAG = Prepared(insert(tag).values({column.name: bindparam(column.name) for column in tag.c}))
_INDEX = Prepared(insert(resource_index).values({column.name: bindparam(column.name) for column in resource_index.c}))
_UNINDEX = Prepared(delete(resource_index).where(resource_index.c.uid == bindparam("of")))


class ResourceTable:
    """Implements `kernel.ports.Resources` in one transaction."""

    def __init__(
        self,
        connection: Connection,
        home: Home,
        now: datetime,
        wake: Callable[[Uid, Uid], None],
        decoded: DecodedSpecs,
        changed_before: Set[str] = frozenset(),
    ) -> None:
        """`changed_before`: the kinds of what was made or changed before by others whose commit is the same."""
        self._connection = connection
        self._changed_before = changed_before
        self._long = LongSpecTable(connection, decoded)
        self._home = home
        self._now = now
        self.replaced: dict[Uid, int] = {}  #: what this transaction has changed, with its newest revision
        self.changed_kinds: set[str] = set()  #: the kinds of what it has made or changed
        self._wake = wake  # makes the work of a parent due for a child's sake, in this same transaction

    def find(self, kind: str, name: str) -> Resource | None:
        home = self._home
        return self._one(_FIND(self._connection, account=home.account, region=home.region, kind=kind, name=name))

    def get(self, uid: Uid, known: Resource | None = None) -> Resource | None:
        """Return a resource as it stands.

        Args:
            known: the resource as it stood in a transaction that was committed. Every change raises the revision, so
                it is returned, and nothing else read or decoded, where it still has that.
        """
        if known is not None and _REVISION(self._connection, uid=uid).scalar() == known.revision:
            return known
        return self._one(_GET(self._connection, uid=uid))

    def by_arn(self, arn: str) -> Resource | None:
        return self._one(_BY_ARN(self._connection, arn=arn))

    def heading(self, uid: Uid) -> Heading | None:
        row = _HEADING(self._connection, of=uid).one_or_none()
        return None if row is None else _headed(row)

    def headings(self, parent: Uid) -> list[Heading]:
        return [_headed(row) for row in _HEADINGS(self._connection, of=parent).all()]

    def by_member(self, kind: str, member: str) -> list[Resource]:
        return [self._resource(row) for row in _BY_MEMBER(self._connection, of=kind, having=member).all()]

    def children(self, parent: Uid) -> list[Resource]:
        return [self._resource(row) for row in _CHILDREN(self._connection, of=parent).all()]

    def query(self, query: Query) -> Page:
        rows, token = page(self._connection, query)
        return Page([self._resource(row) for row in rows], token)

    def insert(self, new: Resource) -> None:
        values, texts = _parted(msgspec.structs.asdict(new))
        try:
            _INSERT(self._connection, **_in_row(values, texts))
        except IntegrityError as error:
            raise Conflict(f"{new.kind} {new.name!r} already exists") from error
        self._keep_long(new.uid, values, texts)
        self.changed_kinds.add(new.kind)
        if new.sort:
            self._index(new)

    def has_changed(self, kind: str) -> bool:
        return kind in self.changed_kinds or kind in self._changed_before

    def replace(self, before: Resource, **changes: Any) -> Resource:
        after = msgspec.structs.replace(
            before, **{"modified_at": self._now, **changes, "revision": before.revision + 1}
        )
        if "spec" in changes or not self._write_but_spec(before, after):
            self._write(before, after)
        if after.sort != before.sort:
            _UNINDEX(self._connection, of=after.uid)
            self._index(after)
        if after.parent is not None and (after.status, after.is_live) != (before.status, before.is_live):
            self._wake(after.parent, after.uid)
        self.replaced[after.uid] = after.revision
        self.changed_kinds.add(after.kind)
        return after

    def _write_but_spec(self, before: Resource, after: Resource) -> bool:
        """Write all members but the spec; False when the row is another one or of another format than before."""
        values = _members(after, _BUT_SPEC)
        return _REPLACE_BUT_SPEC(self._connection, of=before.uid, before=before.revision, **values).rowcount == 1

    def _write(self, before: Resource, after: Resource) -> None:
        values, texts = _parted({name: getattr(after, name) for name in _MUTABLE})
        written = _REPLACE(self._connection, of=before.uid, before=before.revision, **_in_row(values, texts))
        if written.rowcount != 1:
            raise StaleRevision(f"{before.kind} {before.name!r} was changed by another writer")
        texts_before = self._long.drop(before.uid)
        self._keep_long(before.uid, values, texts)
        self._long.sweep(texts_before)

    def _keep_long(self, uid: Uid, values: dict[str, Any], texts: dict[str, str]) -> None:
        if _is_long(values, texts):
            self._long.put(uid, values["spec"], texts)

    def tags(self, uid: Uid) -> dict[str, str]:
        return {row.key: row.value for row in _TAGS(self._connection, of=uid).all()}

    def set_tags(self, uid: Uid, tags: dict[str, str | None]) -> None:
        if not tags:
            return
        _UNTAG.many(self._connection, [{"of": uid, "named": key} for key in tags])
        kept = [{"uid": uid, "key": key, "value": value} for key, value in tags.items() if value is not None]
        if kept:
            _TAG.many(self._connection, kept)

    def next_number(self, name: str) -> int:
        raised = self._connection.execute(
            update(counter).where(counter.c.name == name).values(value=counter.c.value + 1).returning(counter.c.value)
        ).scalar_one_or_none()
        if raised is None:
            self._connection.execute(insert(counter).values(name=name, value=1))
            return 1
        return int(raised)

    def _one(self, found: Found) -> Resource | None:
        row = found.one_or_none()
        return None if row is None else self._resource(row)

    def _resource(self, row: Row[Any]) -> Resource:
        return _resource(row, from_json(row.spec) if row.spec else self._long.get(row.uid))

    def _index(self, item: Resource) -> None:
        rows = [
            {
                "uid": item.uid,
                "member": member,
                "kind": item.kind,
                "created_at": to_epoch(item.created_at),
                "text": value if isinstance(value, str) else None,
                "number": None if isinstance(value, str) else value,
            }
            for member, value in item.sort.items()
            if value is not None
        ]
        if rows:
            _INDEX.many(self._connection, rows)


def _headed(row: Any) -> Heading:
    return Heading(Uid(row.uid), row.kind, row.arn, row.status, is_live=row.deleted_at is None)


def _members(item: Resource, names: Iterable[str]) -> dict[str, Any]:
    return _values({name: getattr(item, name) for name in names})


def _parted(members: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return members of a resource as they stand in columns, and what of its spec lies by itself."""
    spec, texts = parted(members["spec"])
    return _values({**members, "spec": spec}), texts


def _is_long(values: dict[str, Any], texts: dict[str, str]) -> bool:
    return bool(texts) or len(values["spec"]) > LONG_BYTES


def _in_row(values: dict[str, Any], texts: dict[str, str]) -> dict[str, Any]:
    """Return what stands in the row of a resource: its spec does not where it is long."""
    return {**values, "spec": b""} if _is_long(values, texts) else values


def _values(members: dict[str, Any]) -> dict[str, Any]:
    """Return members of a resource as they stand in columns."""
    values = dict(members)
    for name in _DOCUMENTS & values.keys():
        values[name] = to_json(values[name])
    for name in _TIMES & values.keys():
        values[name] = None if values[name] is None else to_epoch(values[name])
    return values


def _resource(row: Row[Any], spec: Document) -> Resource:
    stored = Resource(
        uid=Uid(row.uid),
        account=row.account,
        region=row.region,
        kind=row.kind,
        name=row.name,
        arn=row.arn,
        spec=spec,
        state=from_json(row.state),
        status=row.status,
        parent=None if row.parent is None else Uid(row.parent),
        generation=row.generation,
        observed_generation=row.observed_generation,
        revision=row.revision,
        format=row.format,
        created_at=from_epoch(row.created_at),
        created_by=row.created_by,
        modified_at=from_epoch(row.modified_at),
        deleted_at=optional_time(row.deleted_at),
        sort=from_json(row.sort),
    )
    return raised(stored)
