"""Whatever a back end tells, and whenever somebody stops the job, its life stays in order."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from towpath.jobs import JobStatus, attempt_keys, is_terminal, run_of
from towpath.jobs.decisions import Drop, Observation, Publish, Release, Stop, Submit, Tidy
from towpath.jobs.model import Increment, JobObservation, Manifest, Phase, StagedFile
from towpath.kernel.clock import VirtualClock
from towpath.kernel.resource import Document, Resource

if TYPE_CHECKING:
    from tests.unit.jobs.conftest import World

TRAINING: Document = {
    "TrainingJobName": "train",
    "AlgorithmSpecification": {
        "TrainingImage": "towpath",
        "TrainingInputMode": "File",
        "ContainerEntrypoint": ["python3", "-c", "pass"],
    },
    "OutputDataConfig": {"S3OutputPath": "s3://models"},
    "RoleArn": "arn:aws:iam::000000000000:role/any",
}
AT = VirtualClock().now()

ALLOWED = {
    JobStatus.IN_PROGRESS: {*JobStatus},
    # One that had ended by itself when the stop reached it is what it became.
    JobStatus.STOPPING: {JobStatus.STOPPING, JobStatus.STOPPED, JobStatus.COMPLETED, JobStatus.FAILED},
    JobStatus.COMPLETED: {JobStatus.COMPLETED},
    JobStatus.FAILED: {JobStatus.FAILED},
    JobStatus.STOPPED: {JobStatus.STOPPED},
}

endings = st.builds(
    Manifest,
    key=st.just(""),
    exit_code=st.sampled_from([0, 1, -9, None]),
    reason=st.sampled_from([None, "no"]),
    stopped=st.booleans(),
    timed_out=st.booleans(),
    ended_at=st.just(AT),
)
increments = st.builds(
    lambda numbers: tuple(
        Increment(
            number=number,
            file=StagedFile(output="checkpoints", bucket="b", key="c", path=f"/{number}", size=1, sha256="", md5=""),
        )
        for number in sorted(numbers)
    ),
    st.sets(st.integers(1, 6), max_size=3),
)
sights = st.one_of(
    st.builds(JobObservation, phase=st.sampled_from([Phase.ABSENT, Phase.STARTING])),
    st.builds(JobObservation, phase=st.sampled_from([Phase.RUNNING, Phase.LOST]), increments=increments),
    st.builds(JobObservation, phase=st.just(Phase.FINISHED), manifest=endings, increments=increments),
    st.just("stop"),
)


@pytest.fixture
def job(world: World) -> Resource:
    world.call("CreateTrainingJob", TRAINING)
    return world.resource("TrainingJob", "train")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(seen=st.lists(sights, max_size=12))
def test_no_order_of_events_breaks_the_life_of_a_job(
    world: World, job: Resource, seen: list[JobObservation | str]
) -> None:
    controller = world.controllers["TrainingJob"]
    environment = world.images.resolve("towpath")
    resource, now = job, AT
    submitted: dict[str, object] = {}
    published: set[str] = set()
    for sight in seen:
        now += timedelta(seconds=1)
        before = JobStatus(resource.status or "")
        if isinstance(sight, str):
            if before is JobStatus.IN_PROGRESS:
                resource = replace(resource, status=JobStatus.STOPPING)
            continue
        shown = sight if run_of(resource) is not None else JobObservation(phase=Phase.ABSENT)
        observation = Observation(backend=shown, environment=environment)
        decision = controller.decide(resource, observation, now)
        assert controller.decide(resource, observation, now) == decision
        resource = replace(
            resource,
            state=resource.state if decision.state is None else decision.state,
            status=resource.status if decision.status is None else decision.status,
        )
        assert JobStatus(resource.status or "") in ALLOWED[before]
        if is_terminal(resource.status) and not is_terminal(before) and shown.manifest is not None:
            told = shown.manifest
            assert (resource.status == JobStatus.STOPPED) == (told.stopped or told.timed_out), "it alone knows"
        elif before is JobStatus.STOPPING and is_terminal(resource.status):
            assert resource.status == JobStatus.STOPPED, "nothing tells of another end"
        versions = [version for fact in decision.facts if isinstance(fact, Publish) for version, _ in fact.versions]
        names = {version.version_id for version in versions}
        assert len(names) == len(versions)
        assert not names & published, "nothing is published twice"
        published |= names
        for effect in decision.effects:
            ended = is_terminal(resource.status)
            assert ended == isinstance(effect, Tidy | Release), (
                "nothing is begun for a job that has ended, nor tidied before"
            )
            if isinstance(effect, Drop):
                run = run_of(resource)
                assert run is not None
                assert effect.until <= run.published, "only what is published is dropped"
            match effect:
                case Submit(job=handed):
                    assert before is JobStatus.IN_PROGRESS, "a job that is being stopped is not started"
                    assert submitted.setdefault(handed.key, handed) == handed, "an attempt is one and the same job"
                case Stop(key=key):
                    assert before is JobStatus.STOPPING
                    assert key in submitted
        if is_terminal(before):
            assert decision.state is None
            assert not decision.events
    assert len(attempt_keys(resource)) <= 2
    transitions = resource.state["SecondaryStatusTransitions"]
    assert all("EndTime" in item for item in transitions[:-1])
    if is_terminal(resource.status):
        assert "TrainingEndTime" in resource.state
