"""A small world for tuning jobs: that of jobs, with the controller of tuning jobs beside them."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.unit.jobs.conftest import HOME, World

from towpath.engine import Engine
from towpath.experiments import kinds as experiment_kinds
from towpath.jobs import KINDS as JOB_KINDS
from towpath.jobs.model import JobObservation, MetricPoint, Phase
from towpath.kernel.clock import VirtualClock
from towpath.kernel.resource import Document, Resource
from towpath.store import SqliteStore
from towpath.tuning import KINDS, OptunaSearch, Tuning, TuningController

ROLE = "arn:aws:iam::000000000000:role/any"


def request(name: str = "tune", strategy: str = "Random", **config: Any) -> Document:
    """Return a CreateHyperParameterTuningJob request that minimizes `loss` over `x` from 0 to 1."""
    ranges = {"ContinuousParameterRanges": [{"Name": "x", "MinValue": "0", "MaxValue": "1"}]}
    return {
        "HyperParameterTuningJobName": name,
        "HyperParameterTuningJobConfig": {
            "Strategy": strategy,
            "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "loss"},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 4, "MaxParallelTrainingJobs": 2},
            "ParameterRanges": ranges,
            "RandomSeed": 7,
            **config,
        },
        "TrainingJobDefinition": definition(),
    }


def definition(**members: Any) -> Document:
    """Return a definition of training jobs."""
    return {
        "StaticHyperParameters": {"sagemaker_program": "train.py", "sagemaker_submit_directory": "/opt/ml/code"},
        "AlgorithmSpecification": {
            "TrainingImage": "towpath",
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "loss", "Regex": "loss=([0-9.]+)"}],
        },
        "RoleArn": ROLE,
        "OutputDataConfig": {"S3OutputPath": "s3://models"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        **members,
    }


class TuningWorld(World):
    """Everything a tuning job needs."""

    def __init__(self, store: SqliteStore, clock: VirtualClock) -> None:
        super().__init__(store, clock)
        tuning = Tuning(self.jobs.check_training_job)
        self.operations.update({operation.name: operation for operation in tuning.operations()})

    def new_engine(self, store: Any = None) -> Engine:
        """Return an engine as a restarted platform would have it."""
        super().new_engine(store)
        store = store or self.store
        tuning = TuningController(store=store, operations=self.operations, search=OptunaSearch())
        kinds = {kind.noun: kind for kind in (*JOB_KINDS, *KINDS, *experiment_kinds.KINDS)}
        return Engine(store, {**self.controllers, tuning.kind: tuning}, clock=self.clock, kinds=kinds)

    def begin(self, document: Document) -> Resource:
        """Create a tuning job and let the platform do what it can."""
        self.call("CreateHyperParameterTuningJob", document)
        self.run()
        return self.tuning(document["HyperParameterTuningJobName"])

    def tuning(self, name: str = "tune") -> Resource:
        """Return a tuning job as it stands."""
        return self.resource("HyperParameterTuningJob", name)

    def children(self, name: str = "tune") -> list[Resource]:
        """Return the training jobs of a tuning job by number."""
        uid = self.tuning(name).uid
        found = self.store.read(lambda transaction: transaction.resources.children(uid))
        return sorted(found, key=lambda job: job.name)

    def end(self, job: Resource, loss: float | None = None, **changes: Any) -> None:
        """Let a training job's attempt end."""
        self.clock.advance(1)
        told = () if loss is None else (MetricPoint(name="loss", value=loss, at=self.clock.now()),)
        self.move("TrainingJob", job.name, self.finished(metrics=told, **changes))

    def tell(self, job: Resource, *losses: float) -> None:
        """Let a running attempt have told these values, and no others."""
        self.clock.advance(1)
        at = self.clock.now()
        points = tuple(
            MetricPoint(name="loss", value=value, at=at + timedelta(milliseconds=place))
            for place, value in enumerate(losses)
        )
        self.move("TrainingJob", job.name, JobObservation(phase=Phase.RUNNING, activity="Training", metrics=points))

    def live(self, loss: Callable[[float], float | None], name: str = "tune") -> Resource:
        """Let every training job end with what `loss` makes of its `x`, until the tuning job has ended."""
        while self.tuning(name).status in {"InProgress", "Stopping"}:
            running = [job for job in self.children(name) if job.status in {"InProgress", "Stopping"}]
            for job in running[:1]:
                self.end(job, loss(float(job.spec["HyperParameters"]["x"])))
        return self.tuning(name)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[TuningWorld]:
    clock = VirtualClock()
    store = SqliteStore(tmp_path / "store.db", home=HOME, clock=clock)
    yield TuningWorld(store, clock)
    store.close()
