"""Results of earlier executions: found by the key of a step, taken over, and kept for later ones."""

import logging
from collections.abc import Iterable
from uuid import uuid4

from msgspec.structs import replace

from towpath.experiments.record import join_execution
from towpath.jobs.channels import PinnedObject
from towpath.jobs.ingredients import JobIngredients, Recorded
from towpath.jobs.tuned import TUNING_JOB
from towpath.kernel.errors import StaleRevision, TowpathError, Unavailable
from towpath.kernel.faults import said_by
from towpath.kernel.objects import ObjectRef, ObjectRows, ObjectVersion
from towpath.kernel.ports import Store
from towpath.kernel.ports import Transaction as KernelTransaction
from towpath.kernel.resource import Document, Resource, Uid
from towpath.lineage import artifact, outputs_of, record, taken_over_graph
from towpath.lineage.model import job_id
from towpath.pipelines.caching import Asked, Found, Lookup, material
from towpath.pipelines.graph import Node
from towpath.pipelines.model import StepRow, StepStatus
from towpath.pipelines.ports import CacheEntry, Transaction

logger = logging.getLogger(__name__)


class Results:
    """Implements `pipelines.ports.EarlierResults` for jobs."""

    def __init__(self, store: Store, ingredients: JobIngredients) -> None:
        self._store = store
        self._ingredients = ingredients

    def look_up(self, execution: Resource, node: Node, asked: Asked, request: Document, told: Document) -> Lookup:
        """Return the key of a step that would start now, and the newest success with this key.

        What is gone or damaged makes a miss that says so, since to run the step costs less than to wait for it.

        Raises:
            Unavailable: what is needed cannot be had just now; the decision is taken again.
        """
        assert node.type is not None, "only steps of known types are looked up"
        assert node.type.noun is not None, "what is cached are the results of resources"
        try:
            ingredients = self._ingredients.of_request(node.type.noun, request)
        except (Unavailable, StaleRevision):
            raise
        except TowpathError as error:
            return Lookup(asked=asked, keyless=f"it has no key: {error.message}")
        except ValueError as error:
            logger.exception("what step %r of %s would be made of cannot be read", node.name, execution.arn)
            return Lookup(asked=asked, keyless=f"it has no key: what it reads cannot be read ({said_by(error)})")
        key = material(node.type, request, ingredients, execution.name, told).key
        pipeline = Uid(execution.spec["PipelineUid"])
        late = node.type.cache is not None and node.type.cache.settled_late
        looked = Lookup(
            asked=asked,
            request=request,
            told=told,
            key=key,
            settled=ingredients.settled if late else None,
            pinned=ingredients.inputs,
        )
        try:
            found = self._store.read(lambda transaction: _found(transaction, pipeline, node.name, key))
        except ValueError as error:
            logger.exception("the earlier result of step %r of %s cannot be read", node.name, execution.arn)
            why = f"what is recorded of the newest success with this key cannot be read ({said_by(error)})"
            return replace(looked, unread=why)
        return replace(looked, found=found)

    def hand_over(self, transaction: Transaction, job: Uid, lookup: Lookup) -> None:
        """Have the job of a step that runs read what its key was made of."""
        self._ingredients.hand_over(transaction, job, lookup.pinned)

    def take_over(
        self, transaction: Transaction, execution: Resource, row: StepRow, displaced: Iterable[ObjectRef]
    ) -> None:
        """Record that a step took the result of another execution's job over, and put outputs back into their places.

        Raises:
            StaleRevision: an output is gone since it was looked up; the decision is void.
        """
        assert row.resource is not None, "a result is what a job left"
        again = []
        for ref in displaced:
            recorded = transaction.objects.get(ref)
            if recorded is None or recorded.blob is None:
                raise StaleRevision(f"{ref.uri} (version {ref.version_id}) has been removed")
            # A new row for the same bytes, since blobs never change.
            put = replace(
                recorded,
                version_id=uuid4().hex,
                created_at=transaction.now,
                created_by=execution.created_by,
                is_latest=True,
            )
            again.append(put)
        transaction.objects.put_all(again)
        places = {version.ref.uri: artifact(version) for version in again}
        for job in _writers(transaction, row.resource):
            if transaction.lineage.node(job_id(job)) is None:
                continue  # a call of a function, which leaves nothing but its answer
            put_back = [places[ref.uri] for ref in outputs_of(transaction, job) if ref.uri in places]
            record(transaction, taken_over_graph(job, execution.uid, execution.arn, put_back=put_back))
            join_execution(transaction, job, execution.uid)

    def is_as_looked_up(self, execution: Resource, node: Node, row: StepRow) -> bool:
        """Return whether what a step started, which has succeeded, was made of what its key says."""
        if row.cache is None or row.cache.key is None or row.resource is None:
            return False
        assert node.type is not None, "only steps of known types have keys"
        if node.type.cache is None or not node.type.cache.settled_late:
            return True
        started = row.resource

        def look(transaction: KernelTransaction) -> Recorded | None:
            job = transaction.resources.get(started)
            return None if job is None else self._ingredients.recorded(transaction, job)

        try:
            recorded = self._store.read(look)
        except (Unavailable, StaleRevision):
            raise  # it may be found out in a moment, and what was computed for hours is not thrown away before
        except TowpathError:
            return False  # parts of it were made of other things than other parts, and so of no one key
        except ValueError:
            logger.exception("what %s was made of cannot be read; its result is not kept", row.resource_arn)
            return False
        return recorded is not None and recorded.known.settled == row.cache.settled

    def keep(self, transaction: Transaction, execution: Resource, row: StepRow) -> None:
        """Keep the result of a step that ran, if it succeeded and has a key, for later executions of its pipeline."""
        note = row.cache
        if note is None or note.key is None or note.source is not None or row.resource is None:
            return
        if row.status is not StepStatus.SUCCEEDED or row.ended_at is None:
            return
        entry = CacheEntry(
            pipeline=Uid(execution.spec["PipelineUid"]),
            step=row.name,
            key=note.key,
            execution=execution.uid,
            ended_at=row.ended_at,
            outputs=tuple(item for job in _writers(transaction, row.resource) for item in _outputs(transaction, job)),
        )
        transaction.cache.put(entry)


def _writers(transaction: KernelTransaction, job: Uid) -> list[Uid]:
    """Return the jobs that wrote what a step left: that of the step, or the training jobs of its tuning job."""
    found = transaction.resources.heading(job)
    if found is None or found.kind != TUNING_JOB:
        return [job]
    return [child.uid for child in transaction.resources.headings(job)]


def _outputs(transaction: Transaction, job: Uid) -> Iterable[PinnedObject]:
    refs = outputs_of(transaction, job)
    latest = _latest(transaction.objects, refs)
    for ref in refs:
        version: ObjectVersion | None = latest.get((ref.bucket, ref.key))
        if version is None or version.version_id != ref.version_id:
            version = transaction.objects.get(ref)
        if version is not None:
            yield PinnedObject("", version.bucket, version.key, version.version_id, version.size, version.sha256)


def _latest(rows: ObjectRows, refs: Iterable[ObjectRef | PinnedObject]) -> dict[tuple[str, str], ObjectVersion]:
    keys: dict[str, list[str]] = {}
    for ref in refs:
        keys.setdefault(ref.bucket, []).append(ref.key)
    return {(bucket, key): found for bucket, some in keys.items() for key, found in rows.latest(bucket, some).items()}


def _found(transaction: KernelTransaction, pipeline: Uid, step: str, key: str) -> Found | None:
    wide: Transaction = transaction  # type: ignore[assignment]
    entry = wide.cache.find(pipeline, step, key)
    if entry is None:
        return None
    source = transaction.resources.heading(entry.execution)
    row = wide.steps.find(entry.execution, step)
    if source is None or not source.is_live or row is None or row.yielded is None:
        return None
    latest = _latest(transaction.objects, entry.outputs)
    displaced = []
    gone = None
    for item in entry.outputs:
        now = latest.get((item.bucket, item.key))
        if now is not None and now.sha256 == item.sha256:
            continue
        displaced.append(item.ref)
        if gone is None and transaction.objects.get(item.ref) is None:
            gone = item.uri
    return Found(
        execution_arn=source.arn,
        ended_at=entry.ended_at,
        job=row.resource,
        job_arn=row.resource_arn,
        metadata=row.metadata,
        yielded=row.yielded,
        displaced=tuple(displaced),
        gone=gone,
    )
