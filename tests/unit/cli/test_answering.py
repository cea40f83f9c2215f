"""What `towpath answer` sends, and what it refuses."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from towpath.cli import answering
from towpath.cli.progress import note_of
from towpath.sdk.errors import Conflict, DefinitionError, RequestFailed
from towpath.sdk.step_runs import step_run

ARN = "arn:aws:sagemaker:us-east-1:000000000000:pipeline/reviews/execution/abc"
STEP = {
    "StepName": "Ticket",
    "StepStatus": "Executing",
    "Metadata": {"Callback": {"CallbackToken": "0123456789", "SqsQueueUrl": "https://q"}},
}


@pytest.fixture
def client(answers: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the client that the command gets, of a server where one step waits."""
    made = answers(
        ListPipelineExecutions={"PipelineExecutionSummaries": [{"PipelineExecutionArn": ARN}]},
        DescribePipelineExecution={"PipelineExecutionArn": ARN},
        ListPipelineExecutionSteps={"PipelineExecutionSteps": [STEP]},
        SendPipelineExecutionStepSuccess={"PipelineExecutionArn": ARN},
        SendPipelineExecutionStepFailure={"PipelineExecutionArn": ARN},
    )
    monkeypatch.setattr(answering, "connect", lambda home: made)
    return made


def sent(client: Any, operation: str) -> Any:
    (asked,) = [asked for name, asked in client.asked if name == operation]
    assert len(asked.pop("ClientRequestToken")) >= 32
    return asked


def test_values_are_sent_with_the_token_of_the_step(client: Any, capsys: pytest.CaptureFixture[str]) -> None:
    answering.answer("reviews/latest/Ticket", ["ticket=T=1", "ok=true"])
    given = [{"Name": "ticket", "Value": "T=1"}, {"Name": "ok", "Value": "true"}]
    assert sent(client, "SendPipelineExecutionStepSuccess") == {
        "CallbackToken": "0123456789",
        "OutputParameters": given,
    }
    assert capsys.readouterr().out == "Ticket of reviews/abc has succeeded\n"


def test_a_failure_is_sent_with_its_reason(client: Any, capsys: pytest.CaptureFixture[str]) -> None:
    answering.answer(f"{ARN}/Ticket", fail="declined", as_json=True)
    assert sent(client, "SendPipelineExecutionStepFailure") == {
        "CallbackToken": "0123456789",
        "FailureReason": "declined",
    }
    assert '"StepName": "Ticket"' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "output", "fail", "told"),
    [
        ("Ticket", None, None, "expected PIPELINE/EXECUTION/STEP"),
        ("reviews/latest/Ticket", ["ticket"], None, "expected NAME=VALUE"),
        ("reviews/latest/Ticket", ["=1"], None, "expected NAME=VALUE"),
        ("reviews/latest/Ticket", ["a=1"], "no", "give --output or --fail"),
    ],
)
def test_what_is_no_answer_is_refused(
    client: Any, name: str, output: list[str] | None, fail: str | None, told: str
) -> None:
    with pytest.raises(DefinitionError, match=told):
        answering.answer(name, output, fail)


@pytest.mark.parametrize("name", ["reviews/latest/Ticket", "reviews/latest/Ticket[2]"])
def test_a_refused_answer_is_told_with_what_to_type(client: Any, name: str) -> None:
    ask = {"Name": "Ticket", "Type": "Callback", "OutputParameters": [{"OutputName": "n"}, {"OutputName": "who"}]}
    each = {"Name": "Each", "Type": "ForEach", "Arguments": {"IterableItems": [1], "ForEachBody": [ask]}}
    context = {"ParentStepName": "Each", "Index": 2, "Item": "1"}
    in_a_round = {**STEP, "IterationContext": context}

    def refuse(_: Any) -> Any:
        raise RequestFailed("ValidationException", "Leaves out n", status=400)

    client.answers |= {
        "ListPipelineExecutionSteps": {"PipelineExecutionSteps": [in_a_round if "[" in name else STEP]},
        "SendPipelineExecutionStepSuccess": refuse,
        "DescribePipelineDefinitionForExecution": {"PipelineDefinition": json.dumps({"Steps": [each]})},
    }
    with pytest.raises(DefinitionError) as told:
        answering.answer(name, ["who=Ann B"])
    quoted = f"'{name}'" if "[" in name else name
    assert str(told.value) == f"Leaves out n; type: towpath answer {quoted} -o n=… -o 'who=Ann B'"
    with pytest.raises(RequestFailed, match="Leaves out n") as kept:
        answering.answer(name, ["who=Ann B", "n=x"])
    assert kept.value.code == "ValidationException", "all are given, so what to type is known"


def test_a_step_that_does_not_wait_is_not_answered(client: Any) -> None:
    client.answers["ListPipelineExecutionSteps"] = {"PipelineExecutionSteps": [{**STEP, "StepStatus": "Stopped"}]}
    with pytest.raises(Conflict, match="step Ticket is Stopped and waits for no answer; steps that do: none"):
        answering.answer("reviews/latest/Ticket")


ASK = {"Name": "Ticket", "Type": "Callback", "OutputParameters": [{"OutputName": "n"}, {"OutputName": "who"}]}
UNDELIVERED = "The message is not delivered yet: connection refused; tried 1 time, next try at 2026-01-01 00:00:02 UTC"


def test_without_a_name_what_waits_is_listed_with_what_to_type(client: Any, capsys: pytest.CaptureFixture[str]) -> None:
    shown = {"PipelineExecutionArn": ARN, "PipelineExecutionStatus": "Executing"}
    ended = {**shown, "PipelineExecutionArn": f"{ARN}d", "PipelineExecutionStatus": "Succeeded"}
    client.answers |= {
        "ListPipelines": {"PipelineSummaries": [{"PipelineName": "reviews"}]},
        "ListPipelineExecutions": {"PipelineExecutionSummaries": [shown, ended]},
        "ListPipelineExecutionSteps": {"PipelineExecutionSteps": [{**STEP, "StepDescription": UNDELIVERED}]},
        "DescribePipelineDefinitionForExecution": {"PipelineDefinition": json.dumps({"Steps": [ASK]})},
    }
    answering.answer()
    assert capsys.readouterr().out.splitlines() == [
        "STEP                WAITS SINCE",
        "reviews/abc/Ticket",
        f"reviews/abc/Ticket: {UNDELIVERED}",
        "",
        "What to type, or `--fail REASON` in place of values:",
        "  towpath answer reviews/abc/Ticket -o n=… -o who=…",
    ]
    answering.answer(as_json=True)
    assert json.loads(capsys.readouterr().out) == [
        {
            "PipelineExecutionArn": ARN,
            "StepName": "Ticket",
            "CallbackToken": "0123456789",
            "OutputNames": ["n", "who"],
        }
    ]
    with pytest.raises(DefinitionError, match="an answer needs the step that waits for it"):
        answering.answer(output=["n=1"])
    client.answers["ListPipelineExecutions"] = {"PipelineExecutionSummaries": [ended]}
    answering.answer()
    assert capsys.readouterr().out == "No step waits for an answer.\n"


def test_a_step_that_waits_says_so_where_its_execution_is_followed() -> None:
    assert note_of(step_run(STEP), "", "reviews/abc") == "waits for: towpath answer reviews/abc/Ticket"
    asks = "waits for: towpath answer reviews/abc/Ticket -o n=… -o who=…"
    assert note_of(step_run(STEP), "", "reviews/abc", ["n", "who"]) == asks
    nobody_knows = step_run({**STEP, "StepDescription": UNDELIVERED})
    assert note_of(nobody_knows, "", "reviews/abc", ["n", "who"]) == f"{UNDELIVERED}; {asks}"
    assert note_of(step_run({**STEP, "StepStatus": "Succeeded"}), "", "reviews/abc") == ""
