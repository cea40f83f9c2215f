"""The platform's own metrics of pipelines: their names are those that the documentation promises."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from towpath.kernel.events import Event
from towpath.kernel.ports import Transaction
from towpath.metrics.own import PIPELINES, OwnMetrics
from towpath.pipelines.controller import EXECUTION_EVENT, STEP_EVENT
from towpath.pipelines.model import ExecutionStatus, StepStatus
from towpath.store import SqliteStore

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
