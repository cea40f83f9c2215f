"""What is asked for by somebody who looks at the steps of an execution again and again."""

from __future__ import annotations

import time
from typing import Any

import pytest

from towpath.sdk import Client
from towpath.sdk.step_runs import UNCHANGED_S, StepRuns

SIZE = 2


class Steps(Client):
    """A server that lists the steps of one execution, two to a page, those behind a token."""

    def __init__(self, **statuses: str) -> None:
        super().__init__("http://127.0.0.1:1", token="t")
        self.statuses = statuses
        self.asked: list[str | None] = []

    def call(self, operation: str, request: Any = None) -> Any:
        assert operation == "SageMaker.ListPipelineExecutionSteps"
        token = request.get("NextToken")
        self.asked.append(token)
        begin = int(token or 0)
        names = list(self.statuses)
        listed = [
            {"StepName": name, "StepStatus": self.statuses[name], "StartTime": names.index(name)}
            for name in names[begin:][:SIZE]
        ]
        more = {"NextToken": str(begin + SIZE)} if begin + SIZE < len(names) else {}
        return {"PipelineExecutionSteps": listed, **more}


def test_pages_of_steps_that_have_all_ended_are_asked_for_once() -> None:
    server = Steps(A="Succeeded", B="Failed", C="Executing", D="Succeeded", E="Succeeded", F="Stopped", G="Executing")
    runs = StepRuns(server, "arn")
    assert [step.name for step in runs.look()] == list("ABCDEFG")
    assert server.asked == [None, "2", "4", "6"]

    server.asked.clear()
    server.statuses.update(C="Succeeded", G="Succeeded", H="Executing", I="Executing")
    assert {step.name: step.status for step in runs.look()} == server.statuses
    assert server.asked == ["2", "6", "8"]

    server.asked.clear()
    server.statuses.update(H="Succeeded", I="Succeeded")
    assert {step.name: step.status for step in runs.look()} == server.statuses
    assert server.asked == ["6", "8"], "the last page may always get more"


def test_pages_behind_one_that_ends_elsewhere_now_are_asked_for_again() -> None:
    class Shifting(Steps):
        by = 0

        def call(self, operation: str, request: Any = None) -> Any:
            answer = super().call(operation, request)
            if request.get("NextToken") is None and self.by:
                return {"PipelineExecutionSteps": answer["PipelineExecutionSteps"][:1], "NextToken": "1"}
            return answer

    server = Shifting(A="Succeeded", B="Starting", C="Succeeded", D="Succeeded", E="Executing")
    runs = StepRuns(server, "arn")
    runs.look()
    server.by = 1
    assert [step.name for step in runs.look()] == list("ABCDE")


def test_a_list_of_several_pages_is_asked_for_when_its_execution_has_changed_or_after_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    server = Steps(A="Executing", B="Executing", C="Executing")
    runs = StepRuns(server, "arn")
    first = runs.look(1.0)
    server.asked.clear()
    assert runs.look(1.0) == first
    assert server.asked == []
    server.statuses.update(A="Succeeded")
    assert runs.look(2.0)[0].has_ended
    assert server.asked == [None, "2"]
    assert runs.look(2.0)[0].has_ended
    assert server.asked == [None, "2"]
    now += UNCHANGED_S
    runs.look(2.0)
    assert server.asked == [None, "2", None, "2"]
    runs.look()
    assert server.asked == [None, "2", None, "2", None, "2"], "who does not know when it was changed always asks"


def test_a_list_of_one_page_is_always_asked_for() -> None:
    server = Steps(A="Executing", B="Executing")
    runs = StepRuns(server, "arn")
    runs.look(1.0)
    runs.look(1.0)
    assert server.asked == [None, None]
