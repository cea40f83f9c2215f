"""What is to go: decided from what there is, the retention and the time. Pure, so that a dry run tells the truth."""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from msgspec.structs import replace

from towpath import lineage
from towpath.housekeeping.model import Facts, Item, Node, OldRows, Retention, VersionKey, What
from towpath.kernel.resource import Uid

_ARTIFACT = "Artifact"
_JOB = "Job"
_GB = 1e9
#: What the size limit takes from; logs, deleted resources and lineage are small and are history.
_LIMITED = frozenset({What.ATTEMPT_FILES, What.VERSION, What.LAYER})
#: The size limit takes nothing that was needed a moment ago: whoever begins to use it now must find it.
_YOUNGEST = timedelta(hours=1)


def plan(facts: Facts, retention: Retention, now: datetime) -> list[Item]:
    """Return what is to go, each with the reason and its size, the longest unneeded first.

    Nothing in it is referred to by a resource that is live or can still be undeleted.
    """
    kept = set(facts.live) | {
        tombstone.uid for tombstone in facts.tombstones if not _over(tombstone.deleted_at, retention.deleted_days, now)
    }
    graph = _Graph(facts)
    named = _named_by(facts, kept) | graph.artifacts_of(kept)
    unneeded = [
        *_attempts(facts, retention),
        *_versions(facts, named, retention),
        *_uploads(facts, retention),
        *_tombstones(facts, kept, retention),
        *_lineage(facts, graph, kept, named, retention),
        *_layers(facts, retention),
        *_rows(
            What.ACCESS,
            facts.accesses,
            "records of access to objects",
            retention.accesses_days,
            "keep_accesses_days",
        ),
        *_rows(What.LINE, facts.lines, "lines of log groups", retention.logs_days, "keep_logs_days"),
    ]
    going = [item for item, days in unneeded if _over(item.since, days, now)]
    going += _over_the_limit([item for item, days in unneeded if not _over(item.since, days, now)], retention, now)
    going += _bare_markers(facts, going, retention, now)
    return sorted(_without_parts_of_others(going), key=lambda item: (item.since, item.what, item.id))


def _over(since: datetime, days: float, now: datetime) -> bool:
    return since + timedelta(days=days) <= now


def _age(days: float) -> str:
    return f"{days:g} day{'s' * (days != 1)}"


#: Something that nothing needs, and after how many days it goes.
_Unneeded = tuple[Item, float]


def _attempts(facts: Facts, retention: Retention) -> Iterator[_Unneeded]:
    for attempt in facts.attempts:
        if attempt.ended_at is None or attempt.key in facts.needed:
            continue
        whole = Item(
            what=What.ATTEMPT,
            id=(attempt.key,),
            name=attempt.key,
            size=attempt.files_bytes + attempt.log_bytes,
            since=attempt.ended_at,
            reason=f"it ended more than {_age(retention.logs_days)} ago (keep_logs_days)",
        )
        yield whole, retention.logs_days
        if attempt.files_bytes:
            files = replace(
                whole,
                what=What.ATTEMPT_FILES,
                size=attempt.files_bytes,
                reason=f"it ended more than {_age(retention.attempts_days)} ago (keep_attempts_days); its log stays",
            )
            yield files, retention.attempts_days


def _versions(facts: Facts, named: set[VersionKey], retention: Retention) -> Iterator[_Unneeded]:
    for version in facts.versions:
        if version.is_latest or version.ref in named:
            continue
        item = Item(
            what=What.VERSION,
            id=version.ref,
            name=f"s3://{version.ref.bucket}/{version.ref.key}#{version.ref.version_id}",
            size=version.size,
            since=version.since,
            reason=f"replaced more than {_age(retention.versions_days)} ago, and nothing refers to it "
            "(keep_versions_days)",
        )
        yield item, retention.versions_days


def _uploads(facts: Facts, retention: Retention) -> Iterator[_Unneeded]:
    for upload in facts.uploads:
        item = Item(
            what=What.UPLOAD,
            id=(upload.upload_id,),
            name=f"s3://{upload.bucket}/{upload.key} ({upload.upload_id})",
            size=upload.size,
            since=upload.begun_at,
            reason=f"begun more than {_age(retention.uploads_days)} ago and never completed (keep_uploads_days)",
        )
        yield item, retention.uploads_days


def _tombstones(facts: Facts, kept: set[Uid], retention: Retention) -> Iterator[_Unneeded]:
    for tombstone in facts.tombstones:
        if tombstone.uid in kept:
            continue
        item = Item(
            what=What.TOMBSTONE,
            id=(tombstone.uid,),
            name=f"{tombstone.kind} {tombstone.name}",
            since=tombstone.deleted_at,
            reason=f"deleted more than {_age(retention.deleted_days)} ago (keep_deleted_days)",
        )
        yield item, retention.deleted_days


def _lineage(
    facts: Facts, graph: "_Graph", kept: set[Uid], named: set[VersionKey], retention: Retention
) -> Iterator[_Unneeded]:
    """Yield the nodes that no kept resource came from, led to or names: they tell nobody's story any more."""
    told = graph.around(kept)
    for node in facts.nodes:
        if node.id in told or version_of(node) in named:
            continue
        item = Item(
            what=What.LINEAGE,
            id=(node.id,),
            name=node.id,
            since=node.modified_at,
            reason=f"nothing that is kept is connected with it since {_age(retention.deleted_days)} "
            "(keep_deleted_days)",
        )
        yield item, retention.deleted_days


def _layers(facts: Facts, retention: Retention) -> Iterator[_Unneeded]:
    used = {attempt.layer for attempt in facts.attempts if attempt.ended_at is None or attempt.key in facts.needed}
    for layer in facts.layers:
        if layer.name in used:
            continue
        item = Item(
            what=What.LAYER,
            id=(layer.name,),
            name=layer.name,
            size=layer.size,
            since=layer.used_at,
            reason=f"not used for more than {_age(retention.layers_days)} (keep_layers_days); it can be made again",
        )
        yield item, retention.layers_days


def _rows(what: What, rows: OldRows | None, named: str, days: float, setting: str) -> Iterator[_Unneeded]:
    """Yield rows that are told of as one thing.

    Args:
        named: what they are, in the plural.
        setting: says for how many `days` they are kept.
    """
    if rows is not None:
        item = Item(
            what=what,
            id=(),
            name=f"{rows.count} {named}",
            since=rows.since,
            reason=f"of more than {_age(days)} ago ({setting})",
            count=rows.count,
        )
        yield item, days


def _over_the_limit(remaining: list[Item], retention: Retention, now: datetime) -> list[Item]:
    """Return what goes before its time, so that no more than the limit remains; the longest unneeded goes first."""
    if not retention.limit_gb:
        return []
    limited = sorted((item for item in remaining if item.what in _LIMITED), key=lambda item: (item.since, item.id))
    surplus = sum(item.size for item in limited) - retention.limit_gb * _GB
    going = []
    for item in limited:
        if surplus <= 0 or item.since + _YOUNGEST > now:
            break
        if item.size == 0:
            continue
        surplus -= item.size
        reason = f"more than {retention.limit_gb:g} GB that nothing needs were kept (keep_limit_gb); the oldest go"
        going.append(replace(item, reason=reason))
    return going


def _bare_markers(facts: Facts, going: Iterable[Item], retention: Retention, now: datetime) -> Iterator[Item]:
    """Yield the delete markers that are all there is of their key, or will be."""
    leaving: dict[tuple[str, str], int] = defaultdict(int)
    for item in going:
        if item.what is What.VERSION:
            leaving[item.id[0], item.id[1]] += 1
    for version in facts.versions:
        if not version.is_latest or version.others > leaving[version.ref.bucket, version.ref.key]:
            continue
        if _over(version.since, retention.versions_days, now):
            yield Item(
                what=What.VERSION,
                id=version.ref,
                name=f"s3://{version.ref.bucket}/{version.ref.key}#{version.ref.version_id}",
                since=version.since,
                reason="a delete marker of an object that has no versions left (keep_versions_days)",
            )


def _without_parts_of_others(going: list[Item]) -> Iterator[Item]:
    whole = {item.id for item in going if item.what is What.ATTEMPT}
    return (item for item in going if not (item.what is What.ATTEMPT_FILES and item.id in whole))


def _named_by(facts: Facts, kept: set[Uid]) -> set[VersionKey]:
    named: set[VersionKey] = set()
    for uid in kept & facts.references.keys():
        named |= facts.references[uid]
    return named


def version_of(node: Node) -> VersionKey | None:
    """Return the object version that a node of the lineage stands for, None where it stands for something else."""
    ref = lineage.version_of(node.id)
    return None if ref is None else VersionKey(ref.bucket, ref.key, str(ref.version_id))


def node_of(version: VersionKey) -> str:
    """Return the id of the node of the lineage that stands for an object version."""
    return f"artifact:s3://{version.bucket}/{version.key}#{version.version_id}"


class _Graph:
    """The lineage graph in memory."""

    def __init__(self, facts: Facts) -> None:
        self._types = {node.id: node.type for node in facts.nodes}
        self._versions = {node.id: ref for node in facts.nodes if (ref := version_of(node)) is not None}
        self._sources: dict[str, list[str]] = defaultdict(list)
        self._destinations: dict[str, list[str]] = defaultdict(list)
        for source, destination in facts.edges:
            self._sources[destination].append(source)
            self._destinations[source].append(destination)

    def artifacts_of(self, kept: set[Uid]) -> set[VersionKey]:
        """Return the versions in the past of kept resources, and what the jobs in it and the kept ones produced."""
        past = self._reached(self._nodes_of(kept), self._sources)
        made = (made for node in past if self._types.get(node) == _JOB for made in self._destinations[node])
        return {self._versions[node] for node in (*past, *made) if node in self._versions}

    def around(self, kept: set[Uid]) -> set[str]:
        """Return the nodes that kept resources came from, what the jobs among them produced, and what came of them."""
        nodes = self._nodes_of(kept)
        past = self._reached(nodes, self._sources)
        made = [made for node in past if self._types.get(node) == _JOB for made in self._destinations[node]]
        return past | set(made) | self._reached(nodes, self._destinations)

    def _nodes_of(self, kept: set[Uid]) -> list[str]:
        return [
            node for node, type_ in self._types.items() if type_ != _ARTIFACT and Uid(node.partition(":")[2]) in kept
        ]

    @staticmethod
    def _reached(start: Iterable[str], neighbours: dict[str, list[str]]) -> set[str]:
        seen = set(start)
        waiting = deque(seen)
        while waiting:
            for neighbour in neighbours[waiting.popleft()]:
                if neighbour not in seen:
                    seen.add(neighbour)
                    waiting.append(neighbour)
        return seen
