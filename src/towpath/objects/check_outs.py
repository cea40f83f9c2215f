"""Who took which version of a dataset, and when; and the versions that the inputs of a job belong to."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import groupby

import msgspec

from towpath.kernel import paging
from towpath.kernel.accesses import GET_OBJECT
from towpath.kernel.events import Event
from towpath.kernel.objects import ObjectRef
from towpath.kernel.ports import Filter, Query, Transaction
from towpath.kernel.queries import every_in
from towpath.kernel.resource import Document, Resource, Uid
from towpath.objects.kinds import DATASET, DATASET_VERSION
from towpath.objects.manifest import files_of, path_below

CHECK_OUT = "Dataset Check-Out"
_FETCHED_WITHIN = timedelta(hours=1)  #: after a check-out: what the same principal reads of it then is not told anew


class DatasetUse(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset version, and the objects of somebody's input that belong to it."""

    dataset: str
    version: int
    arn: str  #: of the version
    dataset_uid: Uid
    manifest_sha256: str
    refs: tuple[ObjectRef, ...]
    complete: bool  #: `refs` are all files of the version

    @property
    def name(self) -> str:
        """DATASET/VERSION, as people write it and lineage shows it."""
        return f"{self.dataset}/{self.version}"


def dataset_versions_of(transaction: Transaction, refs: Iterable[ObjectRef]) -> list[DatasetUse]:
    """Return the dataset versions that these objects belong to, by dataset; objects of no dataset are in none.

    An object belongs to a version that lists its path with its digest, so that the same content put again still
    belongs to the version it makes up. Where several versions list some of the objects, the one that lists most of them
    wins; of equals one whose files are all among them, and else the newest.

    Args:
        refs: without a version id, the latest version is meant.
    """
    known = _digests(transaction, refs)
    if not known:
        return []
    datasets = every_in(transaction, Query(kind=DATASET.noun, sort_by="name", descending=False))
    return [use for dataset in datasets for use in _versions_in(transaction, dataset, known)]


def _digests(transaction: Transaction, refs: Iterable[ObjectRef]) -> dict[ObjectRef, str]:
    """Return the digests of objects; those that are deleted or gone are left out."""
    known: dict[ObjectRef, str] = {}
    for ref in refs:
        version = transaction.objects.get(ref)
        if version is not None and not version.is_delete_marker:
            known[ref] = version.sha256
    return known


def _versions_in(transaction: Transaction, dataset: Resource, known: dict[ObjectRef, str]) -> Iterator[DatasetUse]:
    """Yield the versions of one dataset that objects, given with their digests, belong to."""
    below = {ref: path for ref in known if (path := _path_in(dataset, ref)) is not None}
    while below:
        use = _best(transaction, dataset, {ref: (path, known[ref]) for ref, path in below.items()})
        if use is None:
            return
        yield use
        below = {ref: path for ref, path in below.items() if ref not in use.refs}


def check_out(
    transaction: Transaction,
    use: DatasetUse,
    *,
    principal: str,
    reader: str = "",
    purpose: str = "",
    request_id: str = "",
) -> None:
    """Record that somebody took a dataset version.

    Args:
        principal: who caused it.
        reader: ARN of the job that reads; empty when a person does.
    """
    detail = {
        "dataset": use.dataset,
        "version": use.version,
        "manifest_sha256": use.manifest_sha256,
        "files": len(use.refs),
        "complete": use.complete,
        "reader": reader,
        "purpose": purpose,
        "request_id": request_id,
    }
    transaction.events.append(
        Event(
            type=CHECK_OUT,
            subject=use.dataset_uid,
            subject_arn=use.arn,
            principal=principal,
            at=transaction.now,
            detail=detail,
        )
    )


def check_out_inputs(
    transaction: Transaction, refs: Iterable[ObjectRef], *, principal: str, reader: str
) -> list[DatasetUse]:
    """Record that a job reads these objects, once for each dataset version that they belong to, and return those."""
    uses = dataset_versions_of(transaction, refs)
    for use in uses:
        check_out(transaction, use, principal=principal, reader=reader)
    return uses


def check_outs_of(
    transaction: Transaction, dataset: Resource, *, version: int | None, limit: int, token: str | None
) -> tuple[list[Document], str | None]:
    """Return a page of a dataset's check-outs, newest first, and the token of the next page.

    They are those that were asked for, those of jobs, and what was read of the dataset's files by GetObject: one for
    each principal, version and hour of the clock.

    Raises:
        Invalid: the token is not one of this list.
    """
    events = [event for event in transaction.events.of(dataset.uid) if event.type == CHECK_OUT]
    found = [_shown(event) for event in events] + list(_fetched(transaction, dataset, events))
    found = [each for each in found if version in {None, each["Version"]}]
    found.sort(key=lambda each: each["CheckOutTime"])  # stable: of equal times, in the order of their events
    return paging.newest_first(found, token, limit)


def _fetched(transaction: Transaction, dataset: Resource, events: list[Event]) -> Iterator[Document]:
    """Yield what was read of a dataset's files by S3, unless the reader had checked the version out to fetch it."""
    asked = [event for event in events if not event.detail["reader"]]
    sources: list[str] = dataset.state["Sources"]
    within = {each for each in sources for other in sources if each != other and path_below(other, each) is not None}
    for source in sorted(set(sources) - within):  # what lies in another one is read with that
        reads = transaction.accesses.reads_below(source)
        for _, together in groupby(reads, key=lambda read: (read.kind.hour, read.principal)):
            of = {ObjectRef(read.bucket, read.key, read.version_id): read for read in together}
            for use in _versions_in(transaction, dataset, _digests(transaction, of)):
                fetched = [of[ref] for ref in use.refs]
                first = min(read.first_at for read in fetched)
                by = fetched[0].principal
                if any(
                    event.principal == by
                    and event.detail["version"] == use.version
                    and timedelta() <= first - event.at < _FETCHED_WITHIN
                    for event in asked
                ):
                    continue
                yield {
                    **_named(use),
                    "FileCount": len(fetched),
                    "Complete": use.complete,
                    "Principal": by,
                    "CheckOutTime": first.timestamp(),
                    "LastReadTime": max(read.last_at for read in fetched).timestamp(),
                    "RequestCount": sum(read.count for read in fetched),
                    "EventName": GET_OBJECT,
                }


def _named(use: DatasetUse) -> Document:
    return {
        "DatasetName": use.dataset,
        "Version": use.version,
        "DatasetVersionArn": use.arn,
        "ManifestSha256": use.manifest_sha256,
    }


def _shown(event: Event) -> Document:
    shown: Document = {
        "DatasetName": event.detail["dataset"],
        "Version": event.detail["version"],
        "DatasetVersionArn": event.subject_arn,
        "ManifestSha256": event.detail["manifest_sha256"],
        "FileCount": event.detail["files"],
        "Complete": event.detail["complete"],
        "Principal": event.principal,
        "CheckOutTime": event.at.timestamp(),
    }
    for member, name in (("Reader", "reader"), ("Purpose", "purpose")):
        if event.detail[name]:
            shown[member] = event.detail[name]
    return shown


def _path_in(dataset: Resource, ref: ObjectRef) -> str | None:
    """Return the path that an object has in a dataset by where it lies."""
    paths = (path_below(source, ref.uri) for source in dataset.state["Sources"])
    return next((path for path in paths if path is not None), None)


def _best(transaction: Transaction, dataset: Resource, wanted: dict[ObjectRef, tuple[str, str]]) -> DatasetUse | None:
    """Return the version that fits the objects best, each given with its path and digest."""
    best: DatasetUse | None = None
    versions = Query(kind=DATASET_VERSION.noun, filters=(Filter("dataset", "=", dataset.name),), sort_by="version")
    for version in every_in(transaction, versions):
        listed = {(file.path, file.sha256) for file in files_of(version.state)}
        refs = tuple(ref for ref, entry in wanted.items() if entry in listed)
        complete = len({wanted[ref] for ref in refs}) == len(listed)
        if not refs or (best is not None and (len(refs), complete) <= (len(best.refs), best.complete)):
            continue
        best = DatasetUse(
            dataset=dataset.name,
            version=version.state["Version"],
            arn=version.arn,
            dataset_uid=dataset.uid,
            manifest_sha256=version.state["ManifestSha256"],
            refs=refs,
            complete=complete,
        )
        if complete and len(refs) == len(wanted):
            break
    return best
