"""The platform's own metrics of pipelines: their names are those that the documentation promises."""

import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from towpath.kernel.errors import Invalid
from towpath.kernel.events import Event
from towpath.kernel.operations import Request
from towpath.kernel.ports import Transaction
from towpath.kernel.principals import Caller
from towpath.kernel.resource import Uid
from towpath.metrics import ALARM, operations
from towpath.metrics.own import PIPELINES, OwnMetrics
from towpath.pipelines.acting import EXECUTION_EVENT, STEP_EVENT
from towpath.pipelines.model import ExecutionStatus, StepStatus
from towpath.store import SqliteStore, SqlTransaction

DOCS = Path(__file__).parents[3] / "docs" / "operations.md"
ARN = "arn:aws:sagemaker:us-east-1:000000000000:pipeline/reviews/execution/abc"
AT = datetime(2026, 1, 1, tzinfo=UTC)


def told(tmp_path: Path) -> set[tuple[str, tuple[tuple[str, str], ...]]]:
    """Return name and dimensions of what is kept when an execution and a step have ended in each way."""
    store = SqliteStore(tmp_path / "store.db")
    store.subscribe(OwnMetrics(keep_days=15))

    def happen(transaction: Transaction) -> None:
        def append(type_: str, **detail: Any) -> None:
            event = Event(type=type_, subject=None, subject_arn=ARN, principal="ann", at=AT, detail=detail)
            transaction.events.append(event)

        append("StartPipelineExecution")
        for status in ExecutionStatus:
            if status.is_terminal:
                append(EXECUTION_EVENT, currentPipelineExecutionStatus=status.value)
        for step_status in StepStatus:
            append(STEP_EVENT, currentStepStatus=step_status.value, stepName="Body[3]")

    store.write(happen)
    keys = store.read(
        lambda transaction: list(transaction.series.keys(namespace=PIPELINES, name=None, since=None, after=0))
    )
    store.close()
    return {(key.name, key.dimensions) for _, key in keys}


def test_executions_and_steps_are_counted_by_how_they_end(tmp_path: Path) -> None:
    pipeline = (("PipelineName", "reviews"),)
    expected = {"Started", "Succeeded", "Failed", "Stopped", "CompletedWithFailures"}
    assert told(tmp_path) == {
        *((f"Execution{end}", pipeline) for end in expected),
        *((f"Step{end}", (*pipeline, ("StepName", "Body"))) for end in ("Started", "Succeeded", "Failed", "Stopped")),
    }


def test_the_table_of_the_documentation_names_each_of_them(tmp_path: Path) -> None:
    rows = re.search(rf"^\| `{PIPELINES}` .*\n\| \| .*$", DOCS.read_text(), re.M)
    assert rows is not None
    named = set(re.findall(r"`((?:Execution|Step)\w+)`", rows[0])) - {"StepName"}  # a dimension
    assert named == {name for name, _ in told(tmp_path)} | {
        "ExecutionDuration",
        "StepDuration",
    }  # of what is in the store


OPERATIONS = operations(keep_days=15, flush=lambda: None)


def together(store: SqliteStore, *works: Callable[[SqlTransaction], object]) -> None:
    """Write these in this order in one transaction of the database."""
    begun, go_on = threading.Event(), threading.Event()

    def hold(_: SqlTransaction) -> None:
        begun.set()
        assert go_on.wait(30)

    with ThreadPoolExecutor(len(works) + 1) as threads:
        threads.submit(store.write, hold)
        assert begun.wait(30)
        for number, work in enumerate(works, start=1):
            threads.submit(store.write, work)
            while store._queue.qsize() < number:
                pass
        go_on.set()


class Counted:
    """A store with alarms on the failures of a step, and what was due of them when one was counted."""

    def __init__(self, path: Path) -> None:
        self.store = SqliteStore(path)
        own = OwnMetrics(keep_days=15)
        self.store.subscribe(own)
        self.store.on_kind(ALARM.noun, own.forget)
        self.due: list[set[str]] = []

    def alarm(self, name: str, transaction: SqlTransaction) -> None:
        asked = {
            "AlarmName": name,
            "Namespace": PIPELINES,
            "MetricName": "StepFailed",
            "Dimensions": [{"Name": "PipelineName", "Value": "reviews"}, {"Name": "StepName", "Value": "Train"}],
            "Statistic": "Sum",
            "Period": 60,
            "EvaluationPeriods": 1,
            "Threshold": 0.0,
            "ComparisonOperator": "GreaterThanThreshold",
        }
        request = Request(operation="PutMetricAlarm", input=asked, caller=Caller("ann"))
        OPERATIONS["PutMetricAlarm"].function(transaction, request)

    def refused(self, transaction: SqlTransaction) -> None:
        self.alarm("undone", transaction)
        raise Invalid("no")

    def fails(self, transaction: SqlTransaction) -> None:
        """Count a failure of the step."""
        detail = {"currentStepStatus": StepStatus.FAILED.value, "stepName": "Train"}
        event = Event(type=STEP_EVENT, subject=None, subject_arn=ARN, principal="ann", at=AT, detail=detail)
        transaction.events.append(event)
        alarms = (transaction.resources.get(Uid(uid)) for uid in transaction.work.scheduled)
        self.due.append({alarm.name for alarm in alarms if alarm is not None})


def test_an_alarm_counts_from_the_moment_in_which_it_was_made_though_both_are_committed_together(
    tmp_path: Path,
) -> None:
    world = Counted(tmp_path / "store.db")
    together(
        world.store,
        world.fails,
        lambda transaction: world.alarm("low", transaction),
        world.fails,
        world.refused,
        world.fails,
    )
    world.store.write(world.fails)
    assert world.due == [set(), {"low"}, {"low"}, {"low"}]
    world.store.close()
