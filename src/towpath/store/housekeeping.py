"""The repository of what house-keeping looks at and removes: tombstones, old versions, uploads, lineage."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Column, Connection, delete, exists, func, or_, select

from towpath.housekeeping.model import Node, OldRows, OldVersion, OpenUpload, Tombstone, VersionKey
from towpath.housekeeping.plan import node_of
from towpath.housekeeping.references import references as named_in
from towpath.kernel.objects import ObjectRef
from towpath.kernel.resource import Resource, Uid
from towpath.store.codec import from_epoch, from_json, to_epoch, to_json
from towpath.store.objects import ObjectTable
from towpath.store.resources import ResourceTable
from towpath.store.tables import (
    cached_step,
    changed_child,
    history,
    lineage_edge,
    lineage_node,
    log_line,
    long_spec,
    long_spec_text,
    long_text,
    metric_point,
    object_access,
    object_version,
    resource,
    resource_index,
    step,
    tag,
    upload,
    upload_part,
    work,
)

_IDS_LOOKED_FOR = 8
_VALUES_A_STATEMENT = 500  #: bound variables; older SQLite takes 999

T = TypeVar("T")


class HousekeepingTable:
    """Implements `housekeeping.ports.HousekeepingRows`."""

    def __init__(self, connection: Connection, resources: ResourceTable, objects: ObjectTable) -> None:
        self._connection = connection
        self._resources = resources
        self._objects = objects

    def revisions(self) -> dict[Uid, int]:
        rows = self._connection.execute(select(resource.c.uid, resource.c.revision))
        return {Uid(uid): revision for uid, revision in rows}

    def live(self) -> frozenset[Uid]:
        rows = self._connection.execute(select(resource.c.uid).where(resource.c.deleted_at.is_(None)))
        return frozenset(Uid(uid) for uid in rows.scalars())

    def tombstones(self) -> list[Tombstone]:
        rows = self._connection.execute(
            select(resource.c.uid, resource.c.kind, resource.c.name, resource.c.deleted_at)
            .where(resource.c.deleted_at.is_not(None))
            .order_by(resource.c.deleted_at.desc(), resource.c.seq.desc())
        )
        return [
            Tombstone(uid=Uid(row.uid), kind=row.kind, name=row.name, deleted_at=from_epoch(row.deleted_at))
            for row in rows
        ]

    def tombstone(self, kind: str, name: str) -> Resource | None:
        uid = self._connection.execute(
            select(resource.c.uid)
            .where(resource.c.kind == kind, resource.c.name == name, resource.c.deleted_at.is_not(None))
            .order_by(resource.c.deleted_at.desc(), resource.c.seq.desc())
            .limit(1)
        ).scalar_one_or_none()
        return None if uid is None else self._resources.get(Uid(uid))

    def old_versions(self) -> list[OldVersion]:
        of_key = (object_version.c.bucket, object_version.c.key)
        every = select(
            *of_key,
            object_version.c.version_id,
            object_version.c.size,
            object_version.c.created_at,
            object_version.c.is_latest,
            object_version.c.is_delete_marker,
            func.lead(object_version.c.created_at)
            .over(partition_by=of_key, order_by=object_version.c.seq)
            .label("next"),
            func.count().over(partition_by=of_key).label("versions"),
        ).subquery()
        rows = self._connection.execute(
            select(every).where(or_(every.c.is_latest.is_(False), every.c.is_delete_marker.is_(True)))
        )
        return [
            OldVersion(
                ref=VersionKey(row.bucket, row.key, row.version_id),
                size=row.size,
                since=from_epoch(row.created_at if row.next is None else row.next),
                is_latest=row.is_latest,
                others=row.versions - 1,
            )
            for row in rows
        ]

    def references(
        self, among: frozenset[VersionKey], uids: Iterable[Uid] | None = None
    ) -> dict[Uid, frozenset[VersionKey]]:
        if not among:
            return {}
        found: dict[Uid, frozenset[VersionKey]] = {}
        # Reading a document costs far more than seeing that a few ids are not in it.
        ids = [to_json(ref.version_id).strip(b'"') for ref in among] if len(among) <= _IDS_LOOKED_FOR else None
        for uid, spec, state in self._documents(uids):
            if ids is not None and not any(id_ in spec or id_ in state for id_ in ids):
                continue
            named = among.intersection((*named_in(from_json(spec)), *named_in(from_json(state))))
            if named:
                found[uid] = frozenset(named)
        for execution, outputs in self._cached(uids):
            if ids is not None and not any(id_ in outputs for id_ in ids):
                continue
            named = among.intersection(named_in(from_json(outputs)))
            if named:
                found[execution] = found.get(execution, frozenset()) | named
        return found

    def _cached(self, uids: Iterable[Uid] | None) -> Iterator[tuple[Uid, bytes]]:
        """Yield (execution, outputs) of what later executions may take over: the execution refers to its outputs."""
        every = select(cached_step.c.execution, cached_step.c.outputs)
        if uids is None:
            yield from ((Uid(execution), outputs) for execution, outputs in self._connection.execute(every))
            return
        for some in _some(uids):
            rows = self._connection.execute(every.where(cached_step.c.execution.in_(some)))
            yield from ((Uid(execution), outputs) for execution, outputs in rows)

    def _documents(self, uids: Iterable[Uid] | None) -> Iterator[tuple[Uid, bytes, bytes]]:
        spec = func.coalesce(long_spec.c.spec, resource.c.spec)
        every = select(resource.c.uid, spec, resource.c.state).outerjoin(long_spec, long_spec.c.uid == resource.c.uid)
        if uids is None:
            yield from ((Uid(uid), spec, state) for uid, spec, state in self._connection.execute(every))
            return
        for some in _some(uids):
            rows = self._connection.execute(every.where(resource.c.uid.in_(some)))
            yield from ((Uid(uid), spec, state) for uid, spec, state in rows)

    def told_of(self, among: frozenset[VersionKey]) -> set[VersionKey]:
        by_id = {node_of(ref): ref for ref in among}
        told: set[VersionKey] = set()
        for some in _some(by_id):
            rows = self._connection.execute(select(lineage_node.c.id).where(lineage_node.c.id.in_(some)))
            told.update(by_id[id_] for id_ in rows.scalars())
        return told

    def nodes(self) -> list[Node]:
        rows = self._connection.execute(select(lineage_node.c.id, lineage_node.c.type, lineage_node.c.modified_at))
        return [Node(row.id, row.type, from_epoch(row.modified_at)) for row in rows]

    def edges(self) -> list[tuple[str, str]]:
        rows = self._connection.execute(select(lineage_edge.c.source, lineage_edge.c.destination))
        return [(row.source, row.destination) for row in rows]

    def open_uploads(self) -> list[OpenUpload]:
        rows = self._connection.execute(
            select(upload, func.coalesce(func.sum(upload_part.c.size), 0).label("size"))
            .select_from(upload.outerjoin(upload_part, upload_part.c.upload_id == upload.c.upload_id))
            .group_by(*upload.c)
        )
        return [
            OpenUpload(
                upload_id=row.upload_id,
                bucket=row.bucket,
                key=row.key,
                size=row.size,
                begun_at=from_epoch(row.created_at),
            )
            for row in rows
        ]

    def old_lines(self, before: datetime) -> OldRows | None:
        return self._old(log_line.c.received_at, before)

    def old_accesses(self, before: datetime) -> OldRows | None:
        return self._old(object_access.c.last_at, before)

    def _old(self, at: Column[Any], before: datetime) -> OldRows | None:
        old = select(func.count(), func.min(at)).where(at < to_epoch(before))
        count, oldest = self._connection.execute(old).one()
        return OldRows(count=count, since=from_epoch(oldest)) if count else None

    def drop_accesses(self, before: datetime, *, limit: int) -> int:
        old = select(object_access.c.seq).where(object_access.c.last_at < to_epoch(before)).limit(limit)
        return self._connection.execute(delete(object_access).where(object_access.c.seq.in_(old))).rowcount

    def drop_tombstones(self, uids: Iterable[Uid]) -> int:
        count = 0
        for some in _some(uids):
            deleted = list(
                self._connection.execute(
                    select(resource.c.uid).where(resource.c.uid.in_(some), resource.c.deleted_at.is_not(None))
                ).scalars()
            )
            texts = select(long_spec_text.c.digest).where(long_spec_text.c.uid.in_(deleted)).distinct()
            digests = self._connection.execute(texts).scalars().all()
            for table in (resource_index, tag, work, long_spec, long_spec_text):
                self._connection.execute(delete(table).where(table.c.uid.in_(deleted)))
            self._connection.execute(delete(changed_child).where(changed_child.c.parent.in_(deleted)))
            self._connection.execute(delete(metric_point).where(metric_point.c.subject.in_(deleted)))
            self._connection.execute(delete(cached_step).where(cached_step.c.pipeline.in_(deleted)))
            for table in (step, history, cached_step):
                self._connection.execute(delete(table).where(table.c.execution.in_(deleted)))
            self._connection.execute(delete(resource).where(resource.c.uid.in_(deleted)))
            in_use = exists().where(long_spec_text.c.digest == long_text.c.digest)
            self._connection.execute(delete(long_text).where(long_text.c.digest.in_(digests), ~in_use))
            count += len(deleted)
        return count

    def drop_versions(self, refs: Iterable[VersionKey]) -> tuple[int, list[str]]:
        count = 0
        blobs: set[str] = set()
        # Delete markers last: they may be bare only when the other versions are gone.
        found = [version for ref in refs if (version := self._objects.get(ObjectRef(*ref))) is not None]
        for version in sorted(found, key=lambda version: version.is_latest):
            if version.is_latest:
                others = len(self._objects.versions(version.bucket, version.key)) > 1
                if others or not version.is_delete_marker:
                    continue
            self._objects.remove(version.bucket, version.key, version.version_id)
            count += 1
            if version.blob is not None:
                blobs.add(version.blob)
        return count, sorted(blobs - self._objects.known_blobs(blobs))

    def drop_uploads(self, upload_ids: Iterable[str]) -> tuple[int, list[str]]:
        count = 0
        blobs: list[str] = []
        for upload_id in upload_ids:
            if self._objects.uploads.find(upload_id) is None:
                continue
            blobs += [part.blob for part in self._objects.uploads.parts(upload_id)]
            self._objects.uploads.end(upload_id)
            count += 1
        return count, blobs

    def drop_nodes(self, ids: Mapping[str, datetime]) -> int:
        count = 0
        for some in _some(ids):
            rows = self._connection.execute(
                select(lineage_node.c.id, lineage_node.c.modified_at).where(lineage_node.c.id.in_(some))
            )
            going = [row.id for row in rows if row.modified_at <= to_epoch(ids[row.id])]
            self._connection.execute(
                delete(lineage_edge).where(or_(lineage_edge.c.source.in_(going), lineage_edge.c.destination.in_(going)))
            )
            self._connection.execute(delete(lineage_node).where(lineage_node.c.id.in_(going)))
            count += len(going)
        return count


def _some(values: Iterable[T]) -> Iterator[list[T]]:
    """Yield the values in pieces that fit into a statement."""
    listed = list(values)
    for start in range(0, len(listed), _VALUES_A_STATEMENT):
        yield listed[start : start + _VALUES_A_STATEMENT]
