"""What `towpath explain` says of a step."""

from collections.abc import Callable
from typing import Any

import pytest

from towpath.cli import explaining
from towpath.cli.explaining import cache_of, lines
from towpath.pipelines.steps import STEP_TYPES, StepType
from towpath.sdk import NotFound
from towpath.sdk.executions import Execution
from towpath.sdk.explanations import explanation

ARN = "arn:aws:sagemaker:us-east-1:000000000000:pipeline/reviews/execution"
OLD, NEW = "a" * 64, "b" * 64


def told(**members: Any) -> Any:
    """Return an answer of ExplainPipelineExecutionStep, read."""
    whole = {
        "PipelineExecutionArn": f"{ARN}/new",
        "StepName": "Train",
        "StepType": "Training",
        "Outcome": "Miss",
        "Reason": "no execution of this pipeline has succeeded with this key",
        "Key": NEW,
        "KeyParts": [{"Group": "argument", "Name": "HyperParameters.epochs", "Value": "3"}],
        "ComparedWith": f"{ARN}/old",
        "Differences": [],
    }
    return explanation({name: value for name, value in {**whole, **members}.items() if value is not None})


@pytest.mark.parametrize(
    ("difference", "said"),
    [
        (
            {"Group": "argument", "Name": "HyperParameters.epochs", "Before": "2", "After": "3"},
            "argument HyperParameters.epochs (2 → 3)",
        ),
        (
            {"Group": "code", "Name": "code/helpers/deep.py", "Before": OLD, "After": f"{NEW}x"},
            "file code/helpers/deep.py (aaaaaaaaaaaa → bbbbbbbbbbbb)",
        ),
        ({"Group": "environment", "Name": "numpy", "Before": "2.0.1"}, "package numpy (2.0.1 → absent)"),
        (
            {
                "Group": "input",
                "Name": "train",
                "Before": OLD,
                "After": NEW,
                "FileCount": 3,
                "Files": [{"Path": "input/data/train/a.csv", "After": NEW}],
            },
            "input train: input/data/train/a.csv and 2 more (absent → bbbbbbbbbbbb)",
        ),
        ({"Group": "input", "Name": "extra", "After": NEW}, "input extra (absent → bbbbbbbbbbbb)"),
    ],
)
def test_the_first_difference_is_named(difference: dict[str, Any], said: str) -> None:
    explained = told(Differences=[difference])
    assert explained.first == explained.differences[0]
    assert lines(explained)[2] == f"First difference from reviews/old: {said}"


def test_all_differences_are_told() -> None:
    some = [{"Group": "argument", "Name": name, "After": "1"} for name in ("a", "b")]
    assert lines(told(Differences=some)) == [
        "Train ran: no execution of this pipeline has succeeded with this key",
        f"Key: {NEW[:12]}, of 1 argument",
        "First difference from reviews/old: argument a (absent → 1)",
        "Then: argument b (absent → 1)",
    ]


def test_whose_result_was_taken_over_is_told_by_its_name() -> None:
    reason = f"{ARN}/old has succeeded with this key; 1 of its outputs had been changed or deleted and were put back"
    explained = told(Outcome="Hit", Reason=reason, SourcePipelineExecutionArn=f"{ARN}/old", ComparedWith=None)
    assert explained.source == f"{ARN}/old"
    assert lines(explained) == [
        "Train took a result over: reviews/old has succeeded with this key; 1 of its outputs had been changed or "
        "deleted and were put back",
        f"Key: {NEW[:12]}, of 1 argument",
    ]


def test_what_cannot_be_compared_is_said() -> None:
    assert lines(told())[-1] == "Nothing differs from reviews/old."
    assert lines(told(ComparedWith=None))[-1] == (
        "No earlier execution ran this step, so that there is nothing to compare with."
    )
    assert lines(told(Outcome="Off", Reason="the step has no CacheConfig"))[:2] == [
        "Train ran: the step has no CacheConfig",
        f"Key would be: {NEW[:12]}, of 1 argument",
    ]
    gone = told(Outcome="NoKey", Reason="it has no key: no objects", Key=None, KeyParts=[])
    assert lines(gone) == ["Train ran: it has no key: no objects"]


WITH_KEY = [step_type for step_type in STEP_TYPES.values() if step_type.cache is not None]


@pytest.mark.parametrize("step_type", WITH_KEY, ids=lambda step_type: step_type.name)
def test_every_step_that_has_a_key_is_explained_and_no_other_is_asked_about(
    answers: Callable[..., Any], step_type: StepType
) -> None:
    steps = [
        {"StepName": "Has", "StepStatus": "Succeeded", "Metadata": {step_type.metadata: {"Arn": f"{ARN}:x/y"}}},
        *(
            {"StepName": other.name, "StepStatus": "Succeeded", "Metadata": {other.metadata: {}}}
            for other in STEP_TYPES.values()
            if other.cache is None and other.metadata is not None
        ),
        {"StepName": "Begins", "StepStatus": "Starting"},
    ]
    whole = {"PipelineExecutionArn": f"{ARN}/new", "StepName": "Has", "StepType": step_type.name}
    reason = f"{ARN}/old failed with this key"
    explained = {**whole, "Outcome": "Miss", "Reason": reason, "KeyParts": [], "Differences": []}
    client = answers(
        ListPipelineExecutionSteps={"PipelineExecutionSteps": steps}, ExplainPipelineExecutionStep=explained
    )
    execution = Execution(client, f"{ARN}/new")
    told = {step.name: cache_of(execution, step) for step in execution.steps()}
    assert told.pop("Has") == ("Miss", "reviews/old failed with this key")
    assert set(told.values()) == {("", "")}
    assert [name for name, _ in client.asked].count("ExplainPipelineExecutionStep") == 1


@pytest.mark.parametrize(
    ("name", "step"), [("reviews/abc", "Train"), ("reviews/abc/Train", None), ("execution/reviews/abc/Train", None)]
)
def test_a_step_may_be_named_as_it_is_everywhere_else(
    answers: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, name: str, step: str | None
) -> None:
    asked = {"PipelineExecutionArn": f"{ARN}/abc", "StepName": "Train"}
    explained = {**asked, "StepType": "Training", "Outcome": "Off", "Reason": "no", "KeyParts": [], "Differences": []}
    client = answers(
        ListPipelineExecutions={"PipelineExecutionSummaries": [{"PipelineExecutionArn": f"{ARN}/abc"}]},
        DescribePipelineExecution={"PipelineExecutionArn": f"{ARN}/abc"},
        ExplainPipelineExecutionStep=explained,
    )
    monkeypatch.setattr(explaining, "connect", lambda home: client)
    explaining.explain(name, step)
    assert ("ExplainPipelineExecutionStep", asked) in client.asked


def test_a_pipeline_that_has_never_run_is_told_as_such(
    answers: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = answers(DescribePipeline={}, ListPipelineExecutions={"PipelineExecutionSummaries": []})
    monkeypatch.setattr(explaining, "connect", lambda home: client)
    with pytest.raises(NotFound, match="pipeline 'reviews' has no execution yet; start one: towpath run FILE"):
        explaining.explain("reviews")


def test_a_key_is_told_by_its_beginning_and_by_what_it_is_made_of() -> None:
    groups = [("argument", "a"), ("argument", "b"), ("input", "x"), ("code", "train.py"), ("code", "other.py")]
    groups += [("environment", name) for name in ("Python", "numpy")]
    parts = [{"Group": group, "Name": name, "Value": "1"} for group, name in groups]
    made_of = "2 arguments, 1 file of inputs, 2 files of code, 1 package"
    assert lines(told(KeyParts=parts))[1] == f"Key: {NEW[:12]}, of {made_of}"
