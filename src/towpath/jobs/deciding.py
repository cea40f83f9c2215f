"""Decides what becomes of a job by what is known of it and what was seen, without a look at store, clock or process."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from towpath.jobs.contract import Attempt, Surroundings, code_origin, shortened
from towpath.jobs.decisions import Drop, Measure, Observation, Publish, Read, Record, Release, Stop, Submit, Tidy
from towpath.jobs.kinds import PENDING, JobStatus, is_terminal
from towpath.jobs.metrics import final_metrics, measured
from towpath.jobs.model import JobObservation, Manifest, Phase, StagedFile
from towpath.jobs.publication import ends_with, next_increments, next_outputs
from towpath.jobs.results import (
    environment_facts,
    event_of,
    failure_of,
    lineage_of,
    lineage_of_increments,
    lineage_of_outputs,
    status_of,
    versions_of,
    versions_of_increments,
)
from towpath.jobs.state import (
    Run,
    attempt_keys,
    epoch,
    is_lost,
    key_of,
    run_of,
    with_members,
    with_run,
    with_secondary,
    with_waiting,
)
from towpath.jobs.strategies import Strategy, secondary_status
from towpath.kernel.decisions import Decision
from towpath.kernel.errors import TowpathError
from towpath.kernel.objects import ObjectVersion
from towpath.kernel.resource import Document, Resource
from towpath.lineage import environment_graph

STOP_REPEAT_S = 10.0  #: a stop whose effect is not seen is asked for again after this time


class Decider:
    """Decides on the jobs of one kind."""

    def __init__(self, strategy: Strategy, surroundings: Surroundings) -> None:
        self._strategy = strategy
        self._surroundings = surroundings

    def decide(self, resource: Resource, observation: Observation, now: datetime) -> Decision:
        """Return what to do next with a job."""
        if is_terminal(resource.status):
            # Here after a crash between the commit that ended the job and the tidying that follows it.
            return Decision(effects=tuple(map(Tidy, observation.untidy)), last=True)
        run = run_of(resource)
        stopping = resource.status == JobStatus.STOPPING
        if run is None:
            if stopping:
                return self._ended(resource, JobStatus.STOPPED, now, reason="Stopped before it started")
            if observation.waits is not None:
                return self._waiting(resource, observation.waits, now)
            return self._begun(resource, observation, now, attempt=1)
        seen = observation.backend
        if observation.awaited is not None:
            return Decision(effects=(observation.awaited,))
        if seen.increments:
            return self._published(resource, run, observation, now)
        if seen.phase is Phase.FINISHED and seen.manifest is not None:
            if not ends_with(run, seen.manifest):
                return self._published_ahead(resource, run, seen.manifest, observation, now)
            return self._finished(resource, run, seen, seen.manifest, observation, now)
        if is_lost(run, seen):
            if stopping:
                return self._ended(resource, JobStatus.STOPPED, now)
            if run.attempt <= self._surroundings.lost_runner_restarts:
                return self._begun(resource, observation, now, attempt=run.attempt + 1)
            reason = f"InternalServerError: the runner of attempt {run.attempt} vanished and left no result"
            return self._ended(resource, JobStatus.FAILED, now, reason=reason)
        if seen.phase is Phase.ABSENT:
            if stopping:
                return self._ended(resource, JobStatus.STOPPED, now, reason="Stopped before it started")
            return self._begun(resource, observation, now, attempt=run.attempt)
        return self._followed(resource, run, observation, now)

    def _waiting(self, resource: Resource, sentence: str, now: datetime) -> Decision:
        """Say what the job waits for; whoever gives it back wakes the job."""
        state = with_waiting(resource.state, sentence)
        if self._strategy.secondary:
            state = with_secondary(state, PENDING, now, sentence)
        return Decision(state=state)

    def _begun(self, resource: Resource, observation: Observation, now: datetime, *, attempt: int) -> Decision:
        """Record which attempt is started on which inputs, then have it started. Deciding it again changes nothing."""
        if observation.problem is not None:
            return self._ended(resource, JobStatus.FAILED, now, reason=f"ClientError: {observation.problem}")
        environment = observation.environment
        assert environment is not None, "it is looked up wherever an attempt may begin"
        key = key_of(resource.uid, attempt)
        execution = {} if observation.execution is None else {"execution": observation.execution[1]}
        try:
            attempted = Attempt(
                key=key,
                surroundings=self._surroundings,
                image=environment,
                inputs=observation.inputs,
                paths=observation.paths,
                tags=execution,
            )
            job = self._strategy.job(resource, attempted)
        except TowpathError as error:
            return self._ended(resource, JobStatus.FAILED, now, reason=f"ClientError: {error.message}")
        run = Run(
            attempt=attempt,
            key=key,
            image=environment.image,
            python=environment.python,
            environment=environment.fingerprint,
            inputs=observation.inputs,
            code=code_origin(observation.tags, observation.inputs),
        )
        again = run_of(resource) == run
        state = with_waiting(resource.state, None)
        if self._strategy.secondary and attempt > 1:
            state = with_secondary(state, "Restarting", now)
        elif state.get("SecondaryStatus") == PENDING:
            state = with_secondary(state, "Starting", now)
        first = not again and attempt == 1
        recorded = () if again else (Record(environment_graph(environment_facts(environment))),)
        return Decision(
            state=with_run(state, run),
            events=(event_of(self._strategy, resource, JobStatus.IN_PROGRESS, now),) if first else (),
            facts=(*recorded, Read(run.inputs)) if first else recorded,
            effects=(Submit(job),),
        )

    def _followed(self, resource: Resource, run: Run, observation: Observation, now: datetime) -> Decision:
        """Take over what the back end tells of a running attempt."""
        seen = observation.backend
        stopping = resource.status == JobStatus.STOPPING
        facts, run = _measured(observation, replace(run, seen=True))
        state = with_members(resource.state, {self._strategy.start_member: epoch(seen.started_at)})
        if seen.metrics:
            state = with_members(state, {"FinalMetricDataList": final_metrics(seen.metrics)})
        if self._strategy.secondary:
            secondary = "Stopping" if stopping else secondary_status(seen.phase, seen.activity)
            state = with_secondary(state, secondary, now)
        if not stopping:
            return Decision(state=with_run(state, run), facts=facts, observed=True)
        asked = run.stop_asked_at
        if asked is not None and abs(now.timestamp() - asked) < STOP_REPEAT_S:  # the clock may have been put back
            return Decision(state=with_run(state, run), facts=facts, due_at=now + timedelta(seconds=STOP_REPEAT_S))
        run = replace(run, stop_asked_at=now.timestamp())
        return Decision(state=with_run(state, run), facts=facts, effects=(Stop(run.key),))

    def _published(self, resource: Resource, run: Run, observation: Observation, now: datetime) -> Decision:
        """Publish what waits of continuous outputs, however the attempt stands; those that were are only dropped."""
        some = next_increments(run, observation.backend)
        if not some:  # here after a crash between the commit and the dropping that follows it
            return Decision(effects=(Drop(run.key, run.published),))
        versions = versions_of_increments(some, resource, run.key, now)
        graph = lineage_of_increments(self._strategy, resource, run, versions=versions, execution=observation.execution)
        run = replace(run, seen=True, published=some[-1].number)
        return Decision(
            state=with_run(resource.state, run),
            facts=(_publish(run, versions), Record(graph)),
            effects=(Drop(run.key, run.published),),
        )

    def _published_ahead(
        self, resource: Resource, run: Run, manifest: Manifest, observation: Observation, now: datetime
    ) -> Decision:
        """Publish some of very many outputs before the job's end, then look again when others have had their turn."""
        places = next_outputs(run, manifest)
        versions = versions_of(manifest, resource, run.key, now, places)
        graph = lineage_of_outputs(self._strategy, resource, run, versions=versions, execution=observation.execution)
        run = replace(run, seen=True, outputs=places.stop)
        return Decision(state=with_run(resource.state, run), facts=(_publish(run, versions), Record(graph)), due_at=now)

    def _finished(
        self,
        resource: Resource,
        run: Run,
        seen: JobObservation,
        manifest: Manifest,
        observation: Observation,
        now: datetime,
    ) -> Decision:
        """End the job as its manifest tells, and publish with it what was not published before."""
        status = status_of(manifest)
        places = next_outputs(run, manifest)
        versions = versions_of(manifest, resource, run.key, now, places)
        graph = lineage_of(
            self._strategy,
            resource,
            run,
            seen,
            manifest,
            told=versions_of(manifest, resource, run.key, now, range(places.start)),
            versions=versions,
            execution=observation.execution,
        )
        run = replace(run, outputs=places.stop)
        reason = None
        if status is JobStatus.FAILED:
            reason = failure_of(manifest)
        elif manifest.timed_out:
            reason = "MaxRuntimeExceeded: the job ran longer than MaxRuntimeInSeconds and was stopped"
        members: Document = {
            self._strategy.start_member: epoch(manifest.started_at),
            self._strategy.end_member: manifest.ended_at.timestamp(),
            "FinalMetricDataList": final_metrics(seen.metrics) or None,
        }
        if manifest.started_at is not None:
            duration = max(1, round((manifest.ended_at - manifest.started_at).total_seconds()))
            members.update(dict.fromkeys(self._strategy.duration_members, duration))
        series, run = _measured(observation, run)
        ended = self._ended(
            replace(resource, state=with_run(with_members(resource.state, members), run)),
            status,
            now,
            reason=reason,
            secondary="MaxRuntimeExceeded" if manifest.timed_out else None,
        )
        return replace(ended, facts=(_publish(run, versions), Record(graph), *series))

    def _ended(
        self,
        resource: Resource,
        status: JobStatus,
        now: datetime,
        *,
        reason: str | None = None,
        secondary: str | None = None,
    ) -> Decision:
        """Return the decision that a job has come to its end."""
        members: Document = {self._strategy.end_member: resource.state.get(self._strategy.end_member, now.timestamp())}
        if reason is not None:
            members["FailureReason"] = shortened(reason)
            if self._strategy.exit_message:
                members["ExitMessage"] = shortened(reason)
        state = with_members(with_waiting(resource.state, None), members)
        if self._strategy.secondary:
            state = with_secondary(state, secondary or status, now, shortened(reason) if reason else None)
        event = event_of(self._strategy, resource, status, now, reason=reason)
        # After the commit: by then the outputs have been adopted, and a new attempt is out of the question. Where a
        # crash comes between, the back end wakes the job for each attempt that it finds when it is started again.
        tidying = tuple(map(Tidy, attempt_keys(resource)))
        return Decision(
            state=state, status=status, events=(event,), effects=(Release(resource.uid), *tidying), last=True
        )


def _publish(run: Run, versions: Sequence[tuple[ObjectVersion, StagedFile]]) -> Publish:
    """Return the fact that these versions are visible, which end where the attempt then is published up to."""
    return Publish(run.key, tuple((version, staged.path) for version, staged in versions), run.place)


def _measured(observation: Observation, run: Run) -> tuple[tuple[Measure, ...], Run]:
    """Return the fact that tells of new values of metrics, where there are any, and the attempt with a note of it."""
    values = measured(observation.series, run.measured)
    return (Measure(values),) if values else (), replace(run, measured=run.measured + len(values))
