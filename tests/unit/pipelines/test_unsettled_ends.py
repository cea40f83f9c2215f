"""Steps whose job has ended, and how they end is not known yet: the report of a check, what a search was made of."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.pipelines.test_controller import Platform, Reports, chain

from towpath.kernel.errors import DiskFull, Invalid, Unavailable
from towpath.kernel.resource import Document, Resource, Uid
from towpath.pipelines.caching import Asked, Lookup
from towpath.pipelines.graph import Node
from towpath.pipelines.model import StepRow
from towpath.pipelines.ports import NoResults, Shapes
from towpath.testing.replay import Replayed, replay_all

REPORT = "s3://b/made/constraint_violations.json"
VIOLATED = {"violations": [{"feature_name": "age"}]}


class ReportsAway(Reports):
    """Reports that have no answer, or another error, while there is one."""

    def __init__(self) -> None:
        super().__init__()
        self.error: Exception | None = Unavailable("The object store does not answer.")

    def read(self, uri: str, *, written_by: Uid | None) -> Any:
        if self.error is not None:
            raise self.error
        return super().read(uri, written_by=written_by)


@pytest.fixture
def platform(tmp_path: Path, shapes: Shapes) -> Iterator[Platform]:
    platform = Platform(tmp_path, shapes)
    platform.reports = ReportsAway()
    platform.engine = platform.new_engine()
    yield platform
    platform.store.close()


def away(platform: Platform) -> ReportsAway:
    assert isinstance(platform.reports, ReportsAway)
    return platform.reports


def check() -> Document:
    """Return a check of data quality."""
    (job,) = chain(1)["Steps"]
    output = {"S3Uri": "s3://b/made", "LocalPath": "/opt/ml/processing/out", "S3UploadMode": "EndOfJob"}
    arguments = {
        **job["Arguments"],
        "ProcessingOutputConfig": {"Outputs": [{"OutputName": "out", "S3Output": output}]},
    }
    return {
        "Name": "Check",
        "Type": "QualityCheck",
        "CheckType": "DATA_QUALITY",
        "SuppliedBaselineConstraints": "s3://b/old/constraints.json",
        "Arguments": arguments,
    }


def ended_check(platform: Platform) -> str:
    """Return an execution whose check has come to the end of its job, beside two steps, one after the other."""
    definition = chain(3)
    definition["Steps"][0] = check()
    definition["Steps"][1]["Arguments"]["Environment"] = {}
    for step in definition["Steps"]:
        step.pop("CacheConfig", None)
    platform.create(definition)
    arn = platform.start()
    end_job(platform, platform.steps(arn)["Check"]["Metadata"]["QualityCheck"]["CheckJobArn"])
    return arn


def end_job(platform: Platform, arn: str) -> None:
    found = platform.store.read(lambda transaction: transaction.resources.by_arn(arn))
    assert found is not None
    platform.store.write(lambda transaction: transaction.resources.replace(found, status="Completed"))
    platform.engine.run_until_idle()


def pass_time(platform: Platform, seconds: float) -> None:
    platform.clock.advance(seconds)
    platform.engine.run_until_idle()


def test_a_check_whose_report_has_no_answer_waits_by_itself(platform: Platform) -> None:
    arn = ended_check(platform)
    for name in ("S1", "S2"):
        assert platform.statuses(arn)["Check"] == "Executing"
        platform.end(arn, name, FailureReason=name)  # which the next one reads
    waits = platform.steps(arn)["Check"]
    assert waits["FailureReason"].startswith("The object store does not answer. The job has ended")
    assert "FailureReason" not in platform.execution(arn), "nothing but that step waits"
    for wait_s in (2, 2, 4, 8, 16, 32, 60):
        pass_time(platform, wait_s)
        assert platform.statuses(arn)["Check"] == "Executing"
    away(platform).error = None
    pass_time(platform, 60)
    assert platform.execution(arn)["PipelineExecutionStatus"] == "Succeeded"
    assert "FailureReason" not in platform.steps(arn)["Check"]
    assert replay_all(platform.store, platform.reports, platform.shapes) == Replayed(executions=1)


@pytest.mark.parametrize("dies", [False, True], ids=["the same server", "another server"])
def test_a_check_that_has_waited_for_its_report_fails_where_that_tells_of_violations(
    platform: Platform, dies: bool
) -> None:
    arn = ended_check(platform)
    if dies:
        platform.engine = platform.new_engine()
    away(platform).error = None
    platform.reports.documents[REPORT] = VIOLATED
    pass_time(platform, 2)
    assert platform.steps(arn)["Check"]["FailureReason"].startswith("CheckFailed: 1 violations of the baseline (age)")
    assert platform.statuses(arn)["Check"] == "Failed"


def test_a_check_is_not_passed_by_a_report_that_cannot_be_read(platform: Platform) -> None:
    away(platform).error = Invalid(f"{REPORT} does not hold JSON")
    arn = ended_check(platform)
    step = platform.steps(arn)["Check"]
    assert (step["StepStatus"], step["FailureReason"]) == ("Failed", f"CheckFailed: {REPORT} does not hold JSON")


def test_a_stop_does_not_wait_for_the_report_and_a_retry_checks_anew(platform: Platform) -> None:
    arn = ended_check(platform)
    platform.clock.advance(1)
    platform.call("StopPipelineExecution", PipelineExecutionArn=arn)
    platform.engine.run_until_idle()
    platform.end(arn, "S1", "Stopped")
    assert platform.execution(arn)["PipelineExecutionStatus"] == "Stopped"
    assert platform.statuses(arn)["Check"] == "Stopped"
    assert replay_all(platform.store, platform.reports, platform.shapes) == Replayed(executions=1)
    away(platform).error = None
    platform.clock.advance(1)
    platform.call("RetryPipelineExecution", PipelineExecutionArn=arn)
    platform.engine.run_until_idle()
    again = platform.steps(arn)["Check"]
    assert (again["StepStatus"], again["AttemptCount"]) == ("Executing", 2)
    end_job(platform, again["Metadata"]["QualityCheck"]["CheckJobArn"])
    assert platform.statuses(arn)["Check"] == "Succeeded"


def test_a_full_disk_is_no_answer_for_one_step_alone(platform: Platform) -> None:
    away(platform).error = DiskFull()
    arn = ended_check(platform)
    assert "FailureReason" not in platform.steps(arn)["Check"]


class SearchAway(NoResults):
    """Has a key for every step, and cannot say what it was made of."""

    def __init__(self) -> None:
        self.is_away = True
        self.kept: list[str] = []

    def look_up(self, execution: Resource, node: Node, asked: Asked, request: Document, told: Document) -> Lookup:
        return Lookup(asked=asked, key="k")

    def is_as_looked_up(self, execution: Resource, node: Node, row: StepRow) -> bool:
        if self.is_away:
            raise Unavailable("The store does not answer.")
        return True

    def keep(self, transaction: Any, execution: Resource, row: StepRow) -> None:
        self.kept.append(row.name)


@pytest.mark.parametrize("stopped", [False, True])
def test_what_a_step_was_made_of_is_asked_again_and_a_stop_does_not_wait_for_it(
    platform: Platform, stopped: bool
) -> None:
    platform.results = results = SearchAway()
    platform.engine = platform.new_engine()
    platform.create(chain(1))
    arn = platform.start()
    platform.end(arn, "S0")
    assert platform.statuses(arn)["S0"] == "Executing"
    if stopped:
        platform.call("StopPipelineExecution", PipelineExecutionArn=arn)
        platform.engine.run_until_idle()
    else:
        results.is_away = False
        pass_time(platform, 2)
    assert platform.statuses(arn)["S0"] == "Succeeded"
    assert platform.execution(arn)["PipelineExecutionStatus"] == ("Stopped" if stopped else "Succeeded")
    assert results.kept == ([] if stopped else ["S0"])
