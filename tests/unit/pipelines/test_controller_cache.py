"""Executions that ask for the cache, on a real store: what changes between a look-up and the commit."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.pipelines.test_controller import Golden, Platform, Reports, chain, run_to_the_condition

from towpath.kernel.errors import Unavailable
from towpath.kernel.operations import Operation, Request
from towpath.kernel.resource import Document, Resource, Uid
from towpath.pipelines.caching import Asked, Found, Lookup
from towpath.pipelines.evaluation import StepYield
from towpath.pipelines.graph import Node
from towpath.pipelines.model import StepRow
from towpath.pipelines.ports import NoResults, Shapes
from towpath.testing.replay import Replayed, replay_all

OLD, NEW = "s3://b/old/constraints.json", "s3://b/new/constraints.json"


class Registry:
    """A model package group whose latest approved version names a baseline."""

    def __init__(self) -> None:
        self.baseline: str | None = OLD  #: None: no version is approved
        self.away = 0  #: how often it does not answer

    def operations(self) -> list[Operation]:
        return [
            Operation(name="ListModelPackages", function=self._list, writes=False),
            Operation(name="DescribeModelPackage", function=self._describe, writes=False),
        ]

    def _list(self, transaction: Any, request: Request) -> Document:
        if self.away:
            self.away -= 1
            raise Unavailable("the registry does not answer")
        latest = [] if self.baseline is None else [{"ModelPackageArn": "arn:latest"}]
        return {"ModelPackageSummaryList": latest}

    def _describe(self, transaction: Any, request: Request) -> Document:
        return {"DriftCheckBaselines": {"ModelDataQuality": {"Constraints": {"S3Uri": self.baseline}}}}


class Approving(NoResults):
    """Approves another version right after the first look-up."""

    def __init__(self, registry: Registry, *, hits: bool, then: str | None) -> None:
        self.registry = registry
        self.hits = hits
        self.then = then
        self.looked: list[str] = []  #: for each look-up, the baseline that it was of
        self.taken: list[str] = []

    def look_up(self, execution: Resource, node: Node, asked: Asked, request: Document, told: Document) -> Lookup:
        self.looked.append(told["BaselineUsedForDriftCheckConstraints"])
        self.registry.baseline = self.then
        found = Found(
            execution_arn="arn:source",
            ended_at=execution.created_at,
            job=Uid("a-job"),
            job_arn="arn:job",
            metadata={"QualityCheck": {**told, "CheckJobArn": "arn:job"}},
            yielded=StepYield(document={}),
        )
        return Lookup(asked=asked, request=request, told=told, key="k", found=found if self.hits else None)

    def take_over(self, transaction: Any, execution: Resource, row: StepRow, displaced: Any) -> None:
        self.taken.append(row.metadata["QualityCheck"]["BaselineUsedForDriftCheckConstraints"])


@pytest.fixture
def platform(tmp_path: Path, shapes: Shapes) -> Iterator[Platform]:
    platform = Platform(tmp_path, shapes)
    yield platform
    platform.store.close()


def checked(
    platform: Platform, *, hits: bool, then: str | None, skip: bool = False, away: int = 0
) -> tuple[Approving, Document]:
    """Run a check that asks for the cache; return what was looked up, and how its step stands."""
    registry = Registry()
    registry.away = away
    platform.operations = {**platform.operations, **{each.name: each for each in registry.operations()}}
    platform.results = results = Approving(registry, hits=hits, then=then)
    platform.engine = platform.new_engine()
    output = {
        "OutputName": "out",
        "S3Output": {"S3Uri": "s3://b/made", "LocalPath": "/opt/ml/processing/out", "S3UploadMode": "EndOfJob"},
    }
    arguments = {
        "AppSpecification": {"ImageUri": "towpath"},
        "ProcessingResources": {
            "ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
        },
        "ProcessingOutputConfig": {"Outputs": [output]},
        "RoleArn": "arn:aws:iam::000000000000:role/any",
    }
    step = {
        "Name": "Check",
        "Type": "QualityCheck",
        "CheckType": "DATA_QUALITY",
        "ModelPackageGroupName": "reviews",
        "SkipCheck": skip,
        "RegisterNewBaseline": False,
        "Arguments": arguments,
        "CacheConfig": {"Enabled": True},
    }
    platform.create({"Version": "2020-12-01", "Steps": [step]})
    arn = platform.start()
    if away:
        waits = platform.steps(arn)["Check"]
        assert (waits["StepStatus"], waits["AttemptCount"]) == ("Starting", 0), "it has begun without a look-up"
        platform.clock.advance(60)
        platform.engine.run_until_idle()
    return results, platform.steps(arn)["Check"]


@pytest.mark.parametrize("skip", [False, True], ids=["compared with", "used on"])
@pytest.mark.parametrize("hits", [True, False], ids=["hit", "miss"])
def test_a_baseline_that_is_approved_between_look_up_and_commit_voids_the_decision(
    platform: Platform, hits: bool, skip: bool
) -> None:
    results, step = checked(platform, hits=hits, then=NEW, skip=skip)
    assert results.looked == [OLD, NEW]
    assert results.taken == ([NEW] if hits else [])
    assert step["StepStatus"] == ("Succeeded" if hits else "Executing")
    assert step["Metadata"]["QualityCheck"]["BaselineUsedForDriftCheckConstraints"] == NEW


def test_a_baseline_that_is_gone_between_look_up_and_commit_fails_the_step_and_no_result_stands_for_it(
    platform: Platform,
) -> None:
    results, step = checked(platform, hits=True, then=None)
    assert results.looked == [OLD]
    assert results.taken == []
    assert step["StepStatus"] == "Failed"
    assert "There is no earlier baseline" in step["FailureReason"]


def test_a_baseline_that_cannot_be_looked_up_now_is_looked_up_again(platform: Platform) -> None:
    results, step = checked(platform, hits=True, then=OLD, away=1)
    assert results.looked == [OLD]
    assert results.taken == [OLD]
    assert step["StepStatus"] == "Succeeded"


class Away(NoResults):
    """Cannot say anything of steps that ask for the cache, while it is told so."""

    def __init__(self) -> None:
        self.is_away = True
        self.asked = 0

    def look_up(self, execution: Resource, node: Node, asked: Asked, request: Document, told: Document) -> Lookup:
        self.asked += 1
        if self.is_away:
            raise Unavailable("The object store does not answer.")
        return Lookup(asked=asked, key="k")


def with_others() -> Document:
    """Return a pipeline of a step that asks for the cache, and two, one after the other, that do not."""
    definition = chain(3)
    for step in definition["Steps"][1:]:
        del step["CacheConfig"]
    definition["Steps"][1]["Arguments"]["Environment"] = {}
    return definition


def waiting_for_the_store(platform: Platform) -> tuple[Away, str]:
    """Return an execution that waits for what its cacheable step is made of, and for nothing else."""
    platform.results = away = Away()
    platform.engine = platform.new_engine()
    platform.create(with_others())
    arn = platform.start()
    for name in ("S1", "S2"):
        platform.end(arn, name, FailureReason=name)
    assert away.asked == 1, "nobody asks again whenever another step ends"
    return away, arn


def test_a_step_whose_look_up_has_no_answer_holds_no_other_one_up_and_begins_when_there_is_one(
    platform: Platform,
) -> None:
    away, arn = waiting_for_the_store(platform)
    shown = platform.steps(arn)
    assert {name: step["StepStatus"] for name, step in shown.items()} == {
        "S0": "Starting",
        "S1": "Succeeded",
        "S2": "Succeeded",
    }
    assert shown["S0"]["FailureReason"].startswith("The object store does not answer. The step has not begun")
    assert "FailureReason" not in platform.execution(arn), "nothing but that step waits"
    for wait_s in (2, 2, 4, 8, 16, 32, 60, 60):  # as long as it has waited so far, at most a minute
        before = away.asked
        platform.clock.advance(wait_s)
        platform.engine.run_until_idle()
        assert away.asked > before
    away.is_away = False
    platform.clock.advance(60)
    platform.engine.run_until_idle()
    begun = platform.steps(arn)["S0"]
    assert (begun["StepStatus"], begun["AttemptCount"]) == ("Executing", 1)
    assert "FailureReason" not in begun
    platform.end(arn, "S0")
    assert platform.execution(arn)["PipelineExecutionStatus"] == "Succeeded"
    assert replay_all(platform.store, platform.reports, platform.shapes) == Replayed(executions=1)


@pytest.mark.parametrize("begun", [False, True], ids=["while it waits", "when it has begun at last"])
def test_an_execution_with_a_step_that_had_no_answer_is_stopped_at_once(platform: Platform, begun: bool) -> None:
    away, arn = waiting_for_the_store(platform)
    if begun:
        away.is_away = False
        platform.clock.advance(2)
        platform.engine.run_until_idle()
    platform.clock.advance(1)
    platform.call("StopPipelineExecution", PipelineExecutionArn=arn)
    platform.engine.run_until_idle()
    if begun:
        platform.end(arn, "S0", "Stopped")
    assert platform.execution(arn)["PipelineExecutionStatus"] == "Stopped"
    step = platform.steps(arn)["S0"]
    assert (step["StepStatus"], step["AttemptCount"]) == ("Stopped", int(begun))
    assert replay_all(platform.store, platform.reports, platform.shapes) == Replayed(executions=1)


class ReportsAway(Reports):
    """Documents that cannot be had for the first times."""

    def __init__(self, away: int) -> None:
        super().__init__()
        self.away = away

    def read(self, uri: str, *, written_by: Uid | None) -> Any:
        if self.away:
            self.away -= 1
            raise Unavailable("The object store does not answer.")
        return super().read(uri, written_by=written_by)


def test_a_condition_whose_document_has_no_answer_waits_and_is_decided_when_there_is_one(
    platform: Platform, golden: Golden
) -> None:
    platform.reports = ReportsAway(2)
    platform.engine = platform.new_engine()
    arn = run_to_the_condition(platform, golden, 0.8)
    waits = platform.steps(arn)["Accuracy"]
    assert (waits["StepStatus"], waits["AttemptCount"]) == ("Starting", 0)
    assert "FailureReason" not in platform.execution(arn)
    for status in ("Starting", "Succeeded"):
        platform.clock.advance(2)
        platform.engine.run_until_idle()
        assert platform.statuses(arn)["Accuracy"] == status
    decided = platform.steps(arn)["Accuracy"]
    assert decided["Metadata"] == {"Condition": {"Outcome": "True"}}
    assert decided["AttemptCount"] == 1
    assert "FailureReason" not in decided
    assert platform.statuses(arn)["Register"] == "Succeeded"
    assert replay_all(platform.store, platform.reports, platform.shapes).complaints == ()


class Keeping(NoResults):
    """Has a key for every step, and finds out what a step was made of while others write."""

    def __init__(self, platform: Platform, *, same: bool) -> None:
        self.platform = platform
        self.same = same
        self.kept: list[str] = []

    def look_up(self, execution: Resource, node: Node, asked: Asked, request: Document, told: Document) -> Lookup:
        return Lookup(asked=asked, key="k")

    def is_as_looked_up(self, execution: Resource, node: Node, row: StepRow) -> bool:
        self.platform.store.write(lambda transaction: transaction.resources.next_number("meanwhile"))
        return self.same

    def keep(self, transaction: Any, execution: Resource, row: StepRow) -> None:
        assert row.cache is not None
        self.kept.append(f"{row.name} as {row.cache.key}")


@pytest.mark.parametrize(
    ("status", "same", "kept"),
    [("Completed", True, ["S0 as k"]), ("Completed", False, []), ("Failed", True, [])],
    ids=["as looked up", "otherwise", "failed"],
)
def test_what_a_step_was_made_of_is_found_out_before_the_transaction_that_keeps_its_result(
    platform: Platform, status: str, same: bool, kept: list[str]
) -> None:
    platform.results = results = Keeping(platform, same=same)
    platform.engine = platform.new_engine()
    platform.create(chain(1))
    arn = platform.start()
    platform.end(arn, "S0", status)
    assert results.kept == kept
    assert platform.execution(arn)["PipelineExecutionStatus"] == ("Failed" if status == "Failed" else "Succeeded")
