"""How an execution is shown while it runs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from towpath.cli import progress
from towpath.cli.progress import Lines, LiveTable, Look, Row, follow, last_line, last_metric, note_of
from towpath.sdk.executions import Execution
from towpath.sdk.step_runs import StepRun

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ARN = "arn:aws:sagemaker:us-east-1:000000000000"


def step(name: str, status: str, **members: Any) -> StepRun:
    return StepRun(**{"name": name, "type": "", "status": status, "started_at": NOW, **members})


def test_steps_are_shown_in_the_pipelines_order_waiting_ones_too() -> None:
    look = Look(
        names=["Prepare", "Train", "Register"],
        steps=[
            step("Prepare", "Succeeded", ended_at=NOW + timedelta(seconds=3)),
            step("Train", "Executing"),
            step("Unknown", "Starting", started_at=None),
        ],
        metrics={"Train": "loss 0.5"},
        described={"PipelineExecutionStatus": "Executing"},
    )
    assert look.rows(NOW + timedelta(seconds=10)) == [
        Row(step="Prepare", state="Succeeded", seconds=3.0, note=""),
        Row(step="Train", state="Executing", seconds=10.0, note="loss 0.5"),
        Row(step="Register", state="waiting", seconds=None, note=""),
        Row(step="Unknown", state="Starting", seconds=None, note=""),
    ]


def test_the_rounds_of_a_step_stand_in_its_place() -> None:
    look = Look(
        names=["Each", "Train", "Score", "Register"],
        steps=[
            step("Each", "Executing"),
            *(step(f"{name}[{number}]", "Executing") for number in (0, 10, 2) for name in ("Train", "Score")),
        ],
        described={"PipelineExecutionStatus": "Executing"},
    )
    assert [row.step for row in look.rows(NOW)] == [
        "Each", "Train[0]", "Train[2]", "Train[10]", "Score[0]", "Score[2]", "Score[10]", "Register",
    ]  # fmt: skip
    assert [row.step for row in Look(names=["Each", "Train"]).rows(NOW)] == ["Each", "Train"], "none has begun"


def test_rounds_are_told_with_their_items_and_a_loop_with_the_round_that_it_chose() -> None:
    items = ["0.1", '{"name": "a rather long name",\n "more": "than a line has room for"}']
    look = Look(
        names=["Each", "Train"],
        steps=[
            step("Each", "Succeeded", type="ForEach", selected=1),
            *(step(f"Train[{number}]", "Succeeded", each="Each", item=item) for number, item in enumerate(items)),
            step("Train[2]", "Failed", each="Each", item="0.3", failure_reason="exit code 1"),
        ],
        metrics={"Train[0]": "accuracy 0.974"},
        described={"PipelineExecutionStatus": "Succeeded"},
    )
    short = '{"name": "a rather long name", "more": …'
    assert [row.note for row in look.rows(NOW)] == [
        f"chose round 1, for {short}",
        "for 0.1: accuracy 0.974",
        f"for {short}",
        "for 0.3: exit code 1",
    ]


def test_that_a_message_is_not_delivered_is_said_once_and_not_with_each_try() -> None:
    lines: list[str] = []
    show = Lines(lines.append)
    for tries in (1, 2):
        told = f"The message is not delivered yet: refused; tried {tries} times, next try at {tries} UTC"
        asking = step("Ask", "Executing", type="Callback", token="t", started_at=None, undelivered=told)
        arn = f"{ARN}:pipeline/own/execution/x"
        running = {"PipelineExecutionStatus": "Executing", "PipelineExecutionArn": arn}
        show(Look(names=["Ask"], steps=[asking], asks={"Ask": ["ok"]}, described=running))
    (line,) = lines
    assert line.endswith("refused; tried 1 times, next try at 1 UTC; waits for: towpath answer own/x/Ask -o ok=…")


def test_why_an_execution_is_held_up_is_said_once_and_so_is_its_end() -> None:
    lines: list[str] = []
    show = Lines(lines.append)
    tries = [
        Look(described={"PipelineExecutionStatus": "Executing", "FailureReason": f"Held up: {number} times"})
        for number in (3, 4)
    ]
    goes_on = Look(described={"PipelineExecutionStatus": "Executing"})
    ended = Look(described={"PipelineExecutionStatus": "Failed", "FailureReason": "a step has failed"})
    for look in (goes_on, *tries, goes_on, ended):
        show(look)
    assert lines == ["Held up: 3 times", "It goes on."]
    table = LiveTable("reviews/1")
    drawn = Console(width=80, file=None, record=True)
    table.show(tries[0])
    with drawn.capture() as captured:
        drawn.print(table)
    assert "Held up: 3 times" in captured.get()


def test_what_never_began_is_not_run_once_the_execution_has_ended() -> None:
    look = Look(names=["Register"], described={"PipelineExecutionStatus": "Failed"})
    assert [row.state for row in look.rows(NOW)] == ["not run"]


@pytest.mark.parametrize(
    ("shown", "note"),
    [
        (step("A", "Failed", failure_reason="first line\nsecond line"), "first line"),
        (
            step("A", "Failed", failure_reason='ExitCode 1:   File "t.py", line 2\n  def f(:\nSyntaxError: invalid\n'),
            "ExitCode 1: SyntaxError: invalid",
        ),
        (step("A", "Starting", failure_reason="Lost", attempts=1), "attempt 2 follows: Lost"),
        (
            step("A", "Starting", failure_reason="Lost", attempts=1, waiting_for="Waiting for noon to begin attempt 2"),
            "Waiting for noon to begin attempt 2, after: Lost",
        ),
        (step("A", "Executing", failure_reason="Lost", attempts=2), "attempt 2, after: Lost"),
        (step("A", "Failed", failure_reason="Lost", attempts=2), "Lost (attempt 2)"),
        (step("A", "Starting", failure_reason="The store is away", attempts=0), "The store is away"),
        (step("A", "Succeeded", type="Condition", outcome="True"), "condition is true"),
        (step("A", "Succeeded", type="RegisterModel", arn=f"{ARN}:model-package/reviews/3"), "reviews/3"),
        (step("A", "Starting", waiting_for="Waiting for 1 core"), "Waiting for 1 core"),
        (step("A", "Succeeded", cached_from=f"{ARN}:x"), "taken over from an earlier execution"),
        (step("A", "Executing", type="TrainingJob"), "the metric"),
    ],
)
def test_a_step_is_told_by_the_words_that_say_most(shown: StepRun, note: str) -> None:
    assert note_of(shown, "the metric", "reviews/abc") == note


def test_the_last_metric_is_the_newest_one(answers: Callable[..., Any]) -> None:
    metrics = [
        {"MetricName": "loss", "Value": 0.123456, "Timestamp": 20.0},
        {"MetricName": "accuracy", "Value": 0.5, "Timestamp": 10.0},
    ]
    client = answers(DescribeTrainingJob={"FinalMetricDataList": metrics})
    train = step("Train", "Executing", type="TrainingJob", arn=f"{ARN}:training-job/t")
    assert last_metric(client, train) == "loss 0.1235"
    assert client.asked == [("DescribeTrainingJob", {"TrainingJobName": "t"})]


def test_only_training_steps_are_asked_for_metrics(answers: Callable[..., Any]) -> None:
    client = answers()
    assert last_metric(client, step("A", "Executing", type="ProcessingJob", arn=f"{ARN}:processing-job/p")) == ""
    assert client.asked == []


def test_of_a_tuning_step_the_best_result_is_shown(answers: Callable[..., Any]) -> None:
    counts = {"Completed": 2, "NonRetryableError": 1, "InProgress": 4}
    best = {"MetricName": "loss", "Value": 0.123456}
    described: dict[str, Any] = {"TrainingJobStatusCounters": counts}
    tune = step("Tune", "Executing", type="TuningJob", arn=f"{ARN}:hyper-parameter-tuning-job/t")
    assert last_metric(answers(DescribeHyperParameterTuningJob=described), tune) == ""
    described["BestTrainingJob"] = {"FinalHyperParameterTuningJobObjectiveMetric": best}
    told = last_metric(answers(DescribeHyperParameterTuningJob=described), tune)
    assert told == "loss 0.1235, the best of 3 training jobs"


def test_a_line_is_written_for_each_change_and_only_then() -> None:
    written: list[str] = []
    lines = Lines(written.append)
    executing = step("Train", "Executing", started_at=None)
    lines(Look(names=["Prepare", "Train"], steps=[executing]))
    lines(Look(names=["Prepare", "Train"], steps=[executing]))
    lines(Look(names=["Prepare", "Train"], steps=[executing], metrics={"Train": "loss 0.5"}))
    done = step("Train", "Succeeded", ended_at=NOW + timedelta(seconds=61))
    lines(Look(names=["Prepare", "Train"], steps=[done], metrics={"Train": "loss 0.5"}))
    assert written == ["Train  Executing", "Train  Executing  loss 0.5", "Train  Succeeded  1 min 01 s  loss 0.5"]


def test_of_changes_seen_at_one_look_the_ends_come_first_in_their_order() -> None:
    written: list[str] = []
    at = [NOW + timedelta(seconds=second) for second in range(5)]
    Lines(written.append)(
        Look(
            names=["Each", "Register", "Train[0]", "Next"],
            steps=[
                step("Each", "Succeeded", ended_at=at[3]),
                step("Register", "Succeeded", ended_at=at[4]),
                step("Train[0]", "Succeeded", ended_at=at[2]),
                step("Next", "Starting", started_at=None),
                step("Early", "Succeeded", ended_at=at[1]),
            ],
        )
    )
    assert [line.split()[0] for line in written] == ["Early", "Train[0]", "Each", "Register", "Next"]


def test_a_loop_that_ended_with_its_last_round_is_told_behind_it_and_before_what_waited_for_it() -> None:
    written: list[str] = []
    steps = [
        step("Each", "Succeeded", type="ForEach", ended_at=NOW),
        *(step(f"Train[{number}]", "Succeeded", ended_at=NOW) for number in range(2)),
        step("Register", "Succeeded", ended_at=NOW),
    ]
    Lines(written.append)(Look(names=["Each", "Train", "Register"], steps=steps))
    assert [line.split()[0] for line in written] == ["Train[0]", "Train[1]", "Each", "Register"]


def test_a_loop_tells_which_round_failed_and_the_step_of_that_round_why() -> None:
    written: list[str] = []
    why = "AlgorithmError: ExitCode 1: ValueError: no"
    loop = f"Step 'Train' failed in round 1 (item '5'): {why} (and 2 more)"
    steps = [
        step("Each", "Failed", type="ForEach", ended_at=NOW, failure_reason=loop),
        step("Train[1]", "Failed", ended_at=NOW, each="Each", failure_reason=why),
    ]
    Lines(written.append)(Look(names=["Each", "Train"], steps=steps))
    assert written == [
        f"Train[1]  Failed  0.0 s  {why}",
        "Each  Failed  0.0 s  Step 'Train' failed in round 1 (item '5') (and 2 more)",
    ]


def test_the_live_table_shows_step_state_time_and_metric() -> None:
    table = LiveTable("reviews/abc")
    done = step("Train", "Succeeded", ended_at=NOW + timedelta(seconds=5))
    table.show(Look(names=["Train", "Evaluate"], steps=[done], metrics={"Train": "loss 0.5"}))
    shown = Console(width=80)
    with shown.capture() as text:
        shown.print(table)
    assert [line.split() for line in text.get().splitlines()] == [
        ["reviews/abc"],
        ["step", "state", "time"],
        ["Train", "Succeeded", "5.0", "s", "loss", "0.5"],
        ["Evaluate", "waiting"],
    ]


def drawn(look: Look, *, width: int = 80, height: int = 40) -> list[str]:
    """Return the lines of the live table on a screen of that size."""
    table = LiveTable("reviews/abc")
    table.show(look)
    shown = Console(width=width, height=height)
    with shown.capture() as text:
        shown.print(table)
    return text.get().splitlines()


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_long_note_is_cut_and_leaves_step_state_and_time_whole(width: int) -> None:
    failed = step("TooInaccurate", "Failed", ended_at=NOW + timedelta(seconds=125), failure_reason="because " * 40)
    *_, last, waiting = drawn(Look(names=["TooInaccurate", "Register"], steps=[failed]), width=width)
    assert last.startswith("TooInaccurate  Failed   2 min 05 s  because because")
    assert last.endswith("…")
    assert len(last) <= width
    assert waiting.split() == ["Register", "waiting"]


def test_what_a_running_script_printed_last_is_shown_until_it_has_a_metric() -> None:
    running = [step("Prepare", "Executing"), step("Train", "Executing")]
    look = Look(steps=running, printed={"Prepare": "row 7", "Train": "row 8"}, metrics={"Train": "loss 0.5"})
    assert [(row.note, row.is_log_line) for row in look.rows(NOW)] == [("row 7", True), ("loss 0.5", False)]


def test_a_printed_line_is_shown_without_what_it_wrote_over_and_without_control_characters(
    answers: Callable[..., Any],
) -> None:
    client = answers(
        DescribeLogStreams={"logStreams": [{"logStreamName": "p/1"}]},
        GetLogEvents={"events": [{"timestamp": 1, "message": "10 %\r\x1b[32m20 %\x1b[0m\a\r"}]},
    )
    job = {"type": "ProcessingJob", "arn": f"{ARN}:processing-job/p"}
    assert last_line(client, step("A", "Executing", **job)) == "20 %"
    assert last_line(client, step("A", "Succeeded", **job)) == ""


def test_what_a_function_printed_last_is_shown_while_its_step_runs(answers: Callable[..., Any]) -> None:
    client = answers(
        DescribePipelineExecutionStepLogs={"AttemptCount": 1, "Streams": [{"LogStreamName": "call-1"}]},
        GetLogEvents={"events": [{"timestamp": 1, "message": "row 7"}]},
    )
    call = {"type": "Lambda", "arn": f"{ARN}:function:f", "attempts": 1}
    assert last_line(client, step("A", "Executing", **call), f"{ARN}:pipeline/p/execution/e") == "row 7"
    assert last_line(client, step("A", "Executing", type="CallbackStep", token="t")) == ""


def test_what_a_training_job_of_a_search_printed_last_is_shown(answers: Callable[..., Any]) -> None:
    job = {"TrainingJobName": "tune-001", "TrainingJobStatus": "InProgress", "CreationTime": 1}
    client = answers(
        ListTrainingJobsForHyperParameterTuningJob={"TrainingJobSummaries": [job]},
        DescribeLogStreams={"logStreams": [{"logStreamName": "tune-001/1"}]},
        GetLogEvents={"events": [{"timestamp": 1, "message": "loss 0.5"}]},
    )
    tuning = {"type": "TuningJob", "arn": f"{ARN}:hyper-parameter-tuning-job/tune"}
    assert last_line(client, step("A", "Executing", **tuning), f"{ARN}:pipeline/p/execution/e") == "loss 0.5"


def test_of_more_steps_than_the_screen_has_lines_those_that_tell_most_are_shown() -> None:
    names = [f"s{number:03}" for number in range(300)]
    steps = [step(name, "Succeeded", ended_at=NOW) for name in names[:100]] + [step(names[100], "Executing")]
    look = Look(names=names, steps=steps, described={"PipelineExecutionStatus": "Executing"})
    lines = drawn(look, height=15)
    assert len(lines) < 15
    assert lines[2].startswith("s091  Succeeded")
    assert lines[-2].startswith("s100  Executing")
    assert lines[-1] == "and 290 more: 91 Succeeded, 199 waiting"
    assert len(drawn(Look(names=names, described={"PipelineExecutionStatus": "Succeeded"}), height=15)) == 302


def test_following_ends_with_the_execution_and_asks_a_finished_job_no_more(
    answers: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "POLL_S", 0.0)
    statuses = iter(["Executing", "Executing", "Succeeded"])
    train = {"TrainingJob": {"Arn": f"{ARN}:training-job/t"}}

    def steps(_: Any) -> Any:
        looks = len([name for name, _ in client.asked if name == "ListPipelineExecutionSteps"])
        status = "Executing" if looks == 1 else "Succeeded"
        return {"PipelineExecutionSteps": [{"StepName": "Train", "StepStatus": status, "Metadata": train}]}

    client = answers(
        DescribePipelineExecution=lambda _: {"PipelineExecutionStatus": next(statuses)},
        ListPipelineExecutionSteps=steps,
        DescribeTrainingJob={"FinalMetricDataList": [{"MetricName": "loss", "Value": 0.5}]},
    )
    look = follow(Execution(client, f"{ARN}:pipeline/p/execution/e"), client, ["Train"])
    assert look.status == "Succeeded"
    assert [name for name, _ in client.asked].count("DescribeTrainingJob") == 2
    assert capsys.readouterr().out.splitlines() == ["Train  Executing  loss 0.5", "Train  Succeeded  loss 0.5"]
