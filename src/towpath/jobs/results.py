"""What comes of an attempt: the job's status and reason, its event, object versions, and its part of the lineage."""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime

from msgspec.structs import replace

from towpath.jobs.channels import PinnedInput, PinnedObject
from towpath.jobs.contract import CodeOrigin, shortened
from towpath.jobs.images import Environment, Interpreter, fingerprint
from towpath.jobs.kinds import JobStatus
from towpath.jobs.model import Increment, JobObservation, Manifest, StagedFile
from towpath.jobs.state import Run, epoch
from towpath.jobs.strategies import Strategy
from towpath.kernel.events import Event
from towpath.kernel.objects import ObjectVersion, StoredBlob
from towpath.kernel.principals import PLATFORM
from towpath.kernel.resource import Document, Resource, Uid
from towpath.lineage import (
    Artifact,
    CodeFacts,
    EnvironmentFacts,
    Graph,
    JobFacts,
    artifact,
    environment_graph,
    job_graph,
    products_graph,
)


def status_of(manifest: Manifest) -> JobStatus:
    """Return how a job has ended.

    The attempt alone knows: a stop that was asked for when its processes had ended by themselves changed nothing.
    """
    if manifest.stopped or manifest.timed_out:
        return JobStatus.STOPPED
    if manifest.reason is not None or manifest.exit_code != 0:
        return JobStatus.FAILED
    return JobStatus.COMPLETED


def failure_of(manifest: Manifest) -> str:
    """Return why a job failed, by whose fault in AWS's words: of its request, its script or the platform."""
    code = manifest.exit_code
    host = "" if manifest.host is None else f"{manifest.host}: "
    if manifest.no_room:
        return f"InternalServerError: {manifest.reason}"
    if code is None:
        return f"ClientError: {manifest.reason or 'the command could not be started'}"
    ending = f"killed by signal {-code}" if code < 0 else f"ExitCode {code}"
    if manifest.reason is None:
        return f"AlgorithmError: {host}{ending}"
    # A failure file speaks for the script alone; words of the runner begin with how the script ended.
    told = manifest.reason.startswith(("ExitCode", "Killed"))
    return f"AlgorithmError: {host}{manifest.reason}" + ("" if told else f", {ending}")


def event_of(
    strategy: Strategy, resource: Resource, status: JobStatus, now: datetime, *, reason: str | None = None
) -> Event:
    """Return the event that tells of a job's new status."""
    kind = strategy.kind
    detail: Document = {
        kind.name_member: resource.name,
        kind.arn_member: resource.arn,
        f"{kind.noun}Status": status.value,
    }
    if reason is not None:
        detail["FailureReason"] = shortened(reason)
    return Event(
        type=strategy.event,
        subject=resource.uid,
        subject_arn=resource.arn,
        principal=PLATFORM.principal,
        at=now,
        detail=detail,
    )


def versions_of(
    manifest: Manifest, resource: Resource, key: str, now: datetime, places: range
) -> tuple[tuple[ObjectVersion, StagedFile], ...]:
    """Return the object versions that the staged files at these places of the manifest become, in its order."""
    series = _series(key, "outputs")
    staged = ((place, manifest.outputs[place]) for place in places)
    return tuple((_version(series, place, file, resource, now), file) for place, file in staged)


def versions_of_increments(
    increments: Sequence[Increment], resource: Resource, key: str, now: datetime
) -> tuple[tuple[ObjectVersion, StagedFile], ...]:
    """Return the object versions that files become which an attempt staged while it runs, in their order."""
    series = _series(key, "increments")
    return tuple((_version(series, item.number, item.file, resource, now), item.file) for item in increments)


def _series(key: str, what: str) -> str:
    """Return what the names of all versions that an attempt makes of one sort begin with.

    What comes in one after the other so lies together: in one folder, which is synced once for all, and in neighbouring
    pages of the index by blob.
    """
    return hashlib.sha256(f"{key}/{what}".encode()).hexdigest()[:24]


def _version(series: str, place: int, staged: StagedFile, resource: Resource, now: datetime) -> ObjectVersion:
    """Return the object version that a staged file becomes; its names follow from the attempt and the file's place."""
    name = f"{series}{place:08x}"
    return ObjectVersion(
        bucket=staged.bucket,
        key=staged.key,
        version_id=name,
        size=staged.size,
        sha256=staged.sha256,
        etag=staged.md5,
        blob=name,
        created_at=now,
        created_by=resource.created_by,
    )


def blob_of(version: ObjectVersion) -> StoredBlob:
    """Return the bytes that an output's version stands for."""
    assert version.blob is not None
    return StoredBlob(blob=version.blob, size=version.size, sha256=version.sha256, etag=version.etag)


def artifacts_of(pinned: PinnedInput) -> Iterator[tuple[PinnedObject, Artifact]]:
    """Yield the objects of an input, each with what the lineage calls it."""
    for item in pinned.objects:
        yield (
            item,
            Artifact(
                bucket=item.bucket,
                key=item.key,
                version_id=item.version_id,
                sha256=item.sha256,
                size=item.size,
                role=pinned.role.value,
                name=pinned.name,
            ),
        )


def environment_facts(environment: Environment) -> EnvironmentFacts:
    """Return what the lineage keeps of an environment."""
    return EnvironmentFacts(
        image=environment.image,
        description=environment.description,
        python_version=environment.python_version,
        fingerprint=environment.fingerprint,
        packages=environment.packages,
    )


def lineage_of(
    strategy: Strategy,
    resource: Resource,
    run: Run,
    seen: JobObservation,
    manifest: Manifest,
    *,
    told: Sequence[tuple[ObjectVersion, StagedFile]],
    versions: Sequence[tuple[ObjectVersion, StagedFile]],
    execution: tuple[Uid, str] | None,
) -> Graph:
    """Return what the lineage is told of a job that has ended: what it read, ran and produced.

    Args:
        told: what became of the staged files that `lineage_of_outputs` has told of.
        versions: what became of the others.
        execution: uid and ARN of the pipeline execution that started it.
    """
    layered = _layered(run, manifest)
    facts = replace(
        _facts(strategy, resource, run, execution),
        status=status_of(manifest).value,
        metrics={point.name: point.value for point in seen.metrics},
        started_at=epoch(manifest.started_at),
        ended_at=manifest.ended_at.timestamp(),
        added_packages={} if manifest.layer is None else manifest.layer.packages,
        began=_beginning(manifest),
    )
    known = Graph() if layered is None else environment_graph(layered)
    return known + job_graph(
        facts,
        inputs=[artifact for pinned in run.inputs for _, artifact in artifacts_of(pinned)],
        outputs=_produced(strategy, versions),
        environment_id=f"environment:{run.environment}" if layered is None else layered.id,
        code=None if run.code is None else _code_facts(run.code),
        models=strategy.models(resource),
        told=_produced(strategy, told),
    )


def lineage_of_outputs(
    strategy: Strategy,
    resource: Resource,
    run: Run,
    *,
    versions: Sequence[tuple[ObjectVersion, StagedFile]],
    execution: tuple[Uid, str] | None,
) -> Graph:
    """Return what the lineage is told of outputs that are published before their job's end: that it produced them."""
    facts = _facts(strategy, resource, run, execution)
    known = job_graph(facts, inputs=(), outputs=(), environment_id=None, code=None) if run.outputs == 0 else Graph()
    return known + products_graph(resource.uid, _produced(strategy, versions))


def lineage_of_increments(
    strategy: Strategy,
    resource: Resource,
    run: Run,
    *,
    versions: Sequence[tuple[ObjectVersion, StagedFile]],
    execution: tuple[Uid, str] | None,
) -> Graph:
    """Return what the lineage is told of files that a job publishes while it runs.

    What the job read and ran is told with the first of them, since an attempt may be lost and never tell of its end.
    How it ends, and what its requirements made of the environment, is known then only.
    """
    first = run.published == 0
    return job_graph(
        _facts(strategy, resource, run, execution),
        inputs=[artifact for pinned in run.inputs for _, artifact in artifacts_of(pinned)] if first else (),
        outputs=_produced(strategy, versions),
        environment_id=None,
        code=None if run.code is None else _code_facts(run.code),
    )


def _facts(strategy: Strategy, resource: Resource, run: Run, execution: tuple[Uid, str] | None) -> JobFacts:
    """Return what is known of a job since it began."""
    uid, arn = execution or (None, "")
    return JobFacts(
        uid=resource.uid,
        arn=resource.arn,
        kind=resource.kind,
        name=resource.name,
        attempt=run.attempt,
        image=run.image,
        parameters=strategy.parameters(resource.spec),
        packs_only=strategy.packs_only(resource.spec),
        execution=uid,
        execution_arn=arn,
    )


def _produced(strategy: Strategy, versions: Sequence[tuple[ObjectVersion, StagedFile]]) -> list[Artifact]:
    return [
        artifact(version, role=strategy.roles.get(staged.output, "data"), name=staged.output)
        for version, staged in versions
    ]


def _beginning(manifest: Manifest) -> str:
    if manifest.warm:
        return "warm"
    return f"cold: {manifest.cold_because}" if manifest.cold_because else ""


def _layered(run: Run, manifest: Manifest) -> EnvironmentFacts | None:
    """Return the environment with the packages that the job's requirements added, None where they added none."""
    layer = manifest.layer
    if layer is None or not layer.packages:
        return None
    held = Interpreter(python=run.python, version=layer.python_version, packages={**layer.base, **layer.packages})
    return EnvironmentFacts(
        image=run.image,
        description="with what requirements.txt asked for",
        python_version=held.version,
        fingerprint=fingerprint(held),
        packages=held.packages,
    )


def _code_facts(code: CodeOrigin) -> CodeFacts:
    return CodeFacts(
        commit=code.commit, dirty=code.dirty, tree=code.tree, repository=code.repository, objects=code.objects
    )
