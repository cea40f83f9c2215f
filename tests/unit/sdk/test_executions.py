"""Steps as an execution's list shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from towpath.sdk import Client, NotFound
from towpath.sdk import executions as module
from towpath.sdk.executions import Execution, failure_text
from towpath.sdk.step_runs import StepRun, step_run

ARN = "arn:aws:sagemaker:us-east-1:000000000000"


Scene = tuple[dict[str, tuple[str, str]], dict[str, list[str]]]


class Course(Client):
    """A server whose execution goes on by one scene each time that its status is asked for.

    A scene is (steps, printed): the job and status of each step, and what each job has printed when the scene ends.
    """

    def __init__(self, *scenes: Scene, ended_at: Mapping[str, float] | None = None) -> None:
        super().__init__("http://127.0.0.1:1", token="t")
        self.scenes = scenes
        self.ended_at = ended_at or {}  #: of steps, in seconds since 1970
        self.read: list[str] = []  #: the streams
        self.at = -1

    def call(self, operation: str, request: Any = None) -> Any:
        steps, printed = self.scenes[max(self.at, 0)]
        match operation.rpartition(".")[2]:
            case "DescribePipelineExecution":
                self.at += 1
                ended = self.at == len(self.scenes) - 1
                return {"PipelineExecutionStatus": "Succeeded" if ended else "Executing"}
            case "ListPipelineExecutionSteps":
                return {
                    "PipelineExecutionSteps": [
                        {
                            "StepName": name,
                            "StepStatus": status,
                            "EndTime": self.ended_at.get(name),
                            "Metadata": {"TrainingJob": {"Arn": f"{ARN}:training-job/{job}"}},
                        }
                        for name, (job, status) in steps.items()
                    ]
                }
            case "DescribeLogStreams":
                job = request["logStreamNamePrefix"].rstrip("/")
                return {"logStreams": [{"logStreamName": f"{job}/algo-1-1"}] if job in printed else []}
            case "GetLogEvents":
                self.read.append(request["logStreamName"])
                lines = list(printed[request["logStreamName"].partition("/")[0]])
                start = int(request.get("nextToken") or (0 if request["startFromHead"] else -request["limit"]))
                events = [{"timestamp": int(line.split()[0]), "message": line} for line in lines[start:]]
                return {"events": events, "nextForwardToken": str(len(lines))}
        raise AssertionError(operation)


def followed(monkeypatch: pytest.MonkeyPatch, course: Course, **options: Any) -> list[str]:
    monkeypatch.setattr(module, "POLL_S", 0)
    execution = Execution(course, f"{ARN}:pipeline/p/execution/e")
    return [f"{line.step}: {line.text}" for line in execution.logs(**options)]


BESIDE: tuple[Scene, ...] = (
    ({"A": ("a", "Executing"), "B": ("b", "Executing")}, {"a": ["1 x", "4 x"], "b": ["2 y", "3 y"]}),
    ({"A": ("a", "Succeeded"), "B": ("b", "Executing")}, {"a": ["1 x", "4 x", "5 x"], "b": ["2 y", "3 y"]}),
    ({"A": ("a", "Succeeded"), "B": ("b", "Succeeded")}, {"a": ["1 x", "4 x", "5 x"], "b": ["2 y", "3 y", "6 y"]}),
)


def test_steps_that_run_side_by_side_are_followed_together(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = followed(monkeypatch, Course(*BESIDE), follow=True)
    assert lines == ["A: 1 x", "B: 2 y", "B: 3 y", "A: 4 x", "A: 5 x", "B: 6 y"]


def test_the_logs_of_steps_come_one_after_the_other_where_nothing_is_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    assert followed(monkeypatch, Course(*BESIDE)) == ["A: 1 x", "A: 4 x", "B: 2 y", "B: 3 y"]


def test_the_last_lines_are_those_of_all_steps_together(monkeypatch: pytest.MonkeyPatch) -> None:
    assert followed(monkeypatch, Course(BESIDE[-1]), tail=1) == ["B: 6 y"]
    assert followed(monkeypatch, Course(BESIDE[-1]), tail=4) == ["B: 3 y", "A: 4 x", "A: 5 x", "B: 6 y"]
    assert followed(monkeypatch, Course(*BESIDE), tail=1, follow=True) == ["A: 4 x", "A: 5 x", "B: 6 y"]


def test_a_step_that_ended_before_the_last_lines_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    scene: Scene = ({"A": ("a", "Succeeded"), "B": ("b", "Succeeded")}, {"a": ["1000 x"], "b": ["8000 y", "9000 y"]})
    course = Course(scene, ended_at={"A": 2.0, "B": 9.5})
    assert followed(monkeypatch, course, tail=2) == ["B: 8000 y", "B: 9000 y"]
    assert set(course.read) == {"b/algo-1-1"}


def test_what_an_attempt_printed_last_is_not_lost_when_the_step_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    course = Course(
        ({"A": ("a-1", "Executing")}, {"a-1": ["1 x"]}),
        ({"A": ("a-2", "Executing")}, {"a-1": ["1 x", "2 no memory"], "a-2": ["3 x"]}),
        ({"A": ("a-2", "Succeeded")}, {"a-1": ["1 x", "2 no memory"], "a-2": ["3 x", "4 done"]}),
    )
    assert followed(monkeypatch, course, follow=True) == ["A: 1 x", "A: 2 no memory", "A: 3 x", "A: 4 done"]


class Tuned(Client):
    """A server whose execution tunes and then calls a function, going on by one scene with each look.

    A scene is (trials, called, printed): the status of each training job, the attempt of the Lambda step that goes
    on, and what each stream holds when the scene ends.
    """

    def __init__(self, *scenes: tuple[dict[str, str], int, dict[str, list[str]]], page: int = 100) -> None:
        super().__init__("http://127.0.0.1:1", token="t")
        self.scenes = scenes
        self.page = page
        self.asked: list[tuple[str, Any]] = []
        self.at = -1

    def call(self, operation: str, request: Any = None) -> Any:
        trials, called, printed = self.scenes[max(self.at, 0)]
        self.asked.append((operation.rpartition(".")[2], request))
        ended = self.at == len(self.scenes) - 1
        match self.asked[-1][0]:
            case "DescribePipelineExecution":
                self.at += 1
                return {"PipelineExecutionStatus": "Succeeded" if self.at == len(self.scenes) - 1 else "Executing"}
            case "ListPipelineExecutionSteps":
                tune = {"TuningJob": {"Arn": f"{ARN}:hyper-parameter-tuning-job/t"}}
                call = {"Lambda": {"Arn": "arn:aws:lambda:us-east-1:000000000000:function:note"}}
                status = "Succeeded" if ended else "Executing"
                steps: list[Any] = [{"StepName": "Tune", "StepStatus": status, "Metadata": tune}]
                if called:
                    steps.append({"StepName": "Note", "StepStatus": status, "AttemptCount": called, "Metadata": call})
                return {"PipelineExecutionSteps": steps}
            case "ListTrainingJobsForHyperParameterTuningJob":
                begin = int(request.get("NextToken") or 0)
                listed = [{"TrainingJobName": name, "TrainingJobStatus": now} for name, now in trials.items()]
                end = begin + self.page
                return {
                    "TrainingJobSummaries": listed[begin:end],
                    "NextToken": str(end) if end < len(listed) else None,
                }
            case "DescribePipelineExecutionStepLogs":
                names = [f"call-{called}"] if called else []
                streams = [{"LogGroupName": "/aws/lambda/note", "LogStreamName": name} for name in names]
                return {"AttemptCount": called, "Streams": streams}
            case "DescribeLogStreams":
                name = request["logStreamNamePrefix"] + "algo-1-1"
                return {"logStreams": [{"logStreamName": name}] if name in printed else []}
            case "GetLogEvents":
                lines = printed.get(request["logStreamName"], [])
                start = int(request.get("nextToken") or (0 if request["startFromHead"] else -request["limit"]))
                events = [{"timestamp": int(line.split()[0]), "message": line} for line in lines[start:]]
                return {"events": events, "nextForwardToken": str(len(lines))}
        raise AssertionError(operation)


ONE, TWO = "t-001-aaaaaaaa", "t-002-bbbbbbbb"
TUNED = (
    ({ONE: "InProgress"}, 0, {f"{ONE}/algo-1-1": ["1 a"]}),
    ({ONE: "Completed", TWO: "InProgress"}, 1, {f"{ONE}/algo-1-1": ["1 a", "2 a"], f"{TWO}/algo-1-1": ["3 b"]}),
    (
        {ONE: "Completed", TWO: "Completed"},
        2,
        {
            f"{ONE}/algo-1-1": ["1 a", "2 a"],
            f"{TWO}/algo-1-1": ["3 b", "4 b"],
            "call-1": ["5 no luck"],
            "call-2": ["6 noted"],
        },
    ),
)


def parts(monkeypatch: pytest.MonkeyPatch, server: Tuned, *step: str, **options: Any) -> list[str]:
    monkeypatch.setattr(module, "POLL_S", 0)
    lines = Execution(server, f"{ARN}:pipeline/p/execution/e").logs(*step, **options)
    return [f"{line.step}/{line.part}: {line.text}" for line in lines]


def test_training_jobs_of_a_tuning_step_are_followed_as_they_come_and_so_are_calls_of_a_lambda_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert parts(monkeypatch, Tuned(*TUNED), follow=True) == [
        "Tune/001: 1 a", "Tune/001: 2 a", "Tune/002: 3 b", "Tune/002: 4 b", "Note/: 5 no luck", "Note/: 6 noted",
    ]  # fmt: skip


def test_what_an_execution_printed_is_told_with_its_training_jobs_and_its_last_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tuned = ["Tune/001: 1 a", "Tune/001: 2 a", "Tune/002: 3 b", "Tune/002: 4 b"]
    assert parts(monkeypatch, Tuned(TUNED[-1])) == [*tuned, "Note/: 6 noted"]
    assert parts(monkeypatch, Tuned(TUNED[-1]), tail=2) == ["Tune/002: 4 b", "Note/: 6 noted"]
    assert parts(monkeypatch, Tuned(TUNED[-1]), "Tune") == tuned
    assert parts(monkeypatch, Tuned(TUNED[-1]), "Tune", tail=3) == tuned[1:]
    assert parts(monkeypatch, Tuned(TUNED[-1]), "Note") == ["Note/: 6 noted"]


def test_training_jobs_that_have_ended_are_read_and_listed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Tuned(*TUNED[:2], TUNED[1], *TUNED[1:], page=1)
    parts(monkeypatch, server, follow=True)
    read = [request["logStreamName"] for name, request in server.asked if name == "GetLogEvents"]
    begun = [request.get("NextToken") for name, request in server.asked if name.startswith("ListTrainingJobs")]
    assert begun == [None, None, "1", "1", "1", "1"], "the page of the first is asked for until it has ended"
    assert server.at == 4
    first = [number for number, name in enumerate(read) if name == f"{ONE}/algo-1-1"]
    assert max(first) < min(number for number, name in enumerate(read) if name == f"{TWO}/algo-1-1")


def test_only_a_step_that_has_begun_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFound, match="has no step 'Nope' that has begun; those that have: Tune, Note"):
        parts(monkeypatch, Tuned(TUNED[-1]), "Nope")


def test_a_step_of_a_round_is_named_by_its_number() -> None:
    context = {"ParentStepName": "Tries", "Index": 2, "Item": "5"}
    metadata = {"TrainingJob": {"Arn": "arn:aws:sagemaker:us-east-1:000000000000:training-job/j"}}
    step = step_run({"StepName": "Train", "IterationContext": context, "Metadata": metadata})
    assert (step.name, step.type, step.job, step.each) == ("Train[2]", "TrainingJob", "j", "Tries")


def test_why_a_round_failed_is_told_once() -> None:
    steps = [
        StepRun(name="Each", type="ForEach", status="Failed", failure_reason="Step 'Train' failed in round 1: no"),
        StepRun(name="Train[1]", type="TrainingJob", status="Failed", each="Each", failure_reason="no"),
    ]
    ended = {"PipelineExecutionStatus": "Failed"}
    assert failure_text(ended, steps) == "step Train[1] failed: no"
    assert failure_text(ended, steps[:1]) == "step Each failed: Step 'Train' failed in round 1: no"


def test_of_an_execution_that_nothing_in_it_failed_its_end_is_told() -> None:
    assert failure_text({"PipelineExecutionStatus": "Stopped"}, []) == "the execution ended Stopped"
    ended = {"PipelineExecutionStatus": "Failed", "FailureReason": "Step 'A' was stopped: too long"}
    assert failure_text(ended, []) == "the execution ended Failed: Step 'A' was stopped: too long"


def test_the_job_of_a_check_is_at_hand() -> None:
    told = {"CheckType": "DATA_QUALITY", "CheckJobArn": "arn:aws:sagemaker:us-east-1:000000000000:processing-job/j"}
    step = step_run({"StepName": "Check", "StepStatus": "Failed", "Metadata": {"QualityCheck": told}})
    assert (step.type, step.job) == ("ProcessingJob", "j")
