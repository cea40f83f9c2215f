"""Deciding about executions: what starts when, what a failure means, and that the same history decides the same."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from towpath.pipelines.attempts import next_due
from towpath.pipelines.caching import Asked, Lookup
from towpath.pipelines.decisions import (
    Decision,
    Ended,
    EndStep,
    FinishExecution,
    NoteParallelism,
    OpenRounds,
    PerformStep,
    PostponeStep,
    PutOffEnd,
    Situation,
    StartStep,
    StopStep,
    Unreadable,
)
from towpath.pipelines.definition import Trigger, parse
from towpath.pipelines.evaluation import DocumentRef
from towpath.pipelines.execution import Course, advance
from towpath.pipelines.graph import Plan, compile
from towpath.pipelines.model import ExecutionStatus, Fact, StepRow, StepStatus
from towpath.pipelines.ports import Shapes
from towpath.pipelines.standing import Standings

START = datetime(2026, 1, 1, tzinfo=UTC)
SUCCEEDED, FAILED, STOPPED = StepStatus.SUCCEEDED, StepStatus.FAILED, StepStatus.STOPPED
LOST = "InternalServerError: the host was lost"


def job(name: str, *needs: Any, reads: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    arguments = {"Environment": {step: {"Get": f"Steps.{step}.Answer"} for step in reads}}
    return {"Name": name, "Type": "Processing", "Arguments": arguments, "DependsOn": list(needs), **more}


def condition(name: str, *, outcome: Any, then: list[Any], otherwise: list[Any], needs: Any = ()) -> dict[str, Any]:
    asked = [{"Type": "Equals", "LeftValue": outcome, "RightValue": "yes"}]
    arguments = {"Conditions": asked, "IfSteps": then, "ElseSteps": otherwise}
    return {"Name": name, "Type": "Condition", "DependsOn": list(needs), "Arguments": arguments}


def fail(name: str, message: Any = "as wished") -> dict[str, Any]:
    return {"Name": name, "Type": "Fail", "Arguments": {"ErrorMessage": message}}


class World:
    """Carries out decisions on rows in memory, and remembers what was decided."""

    def __init__(self, *steps: Any, **situation: Any) -> None:
        self.plan: Plan = compile(parse({"Version": "2020-12-01", "Steps": list(steps)}))
        self.situation: dict[str, Any] = {"execution_id": "abcdefghijkl", **situation}
        self.now = START
        self.rows: dict[str, StepRow] = {}
        self.inputs: dict[str, Any] = {}
        self.starts: list[tuple[str, int]] = []
        self.facts: list[Fact] = []
        self.finished: FinishExecution | None = None
        self.advance()

    def advance(self, **ended: Ended) -> list[Decision]:
        decisions = self.decided(Situation(**self.situation, ended=ended))
        for decision in decisions:
            assert self.finished is None, "something was decided after the end"
            match decision:
                case StartStep(row=row, input=request):
                    self.starts.append((row.name, row.attempt))
                    self.inputs[row.name] = request
                case EndStep(row=row) | PostponeStep(row=row):
                    self.facts.append(Fact(at=self.now, row=row))
                case FinishExecution():
                    self.finished = decision
                    continue
                case NoteParallelism(max_parallel=most):
                    self.situation["noted_parallel"] = most
                    continue
                case StopStep(row=row) | OpenRounds(row=row) | PerformStep(row=row) | PutOffEnd(row=row):
                    pass
            self.rows[row.name] = row
        return decisions

    def decided(self, situation: Situation) -> list[Decision]:
        return advance(self.plan, self.rows, self.now, situation)

    def end(self, name: str, status: StepStatus = SUCCEEDED, reason: str | None = None, **document: Any) -> None:
        self.advance(**{name: Ended(status=status, document=document, failure_reason=reason)})

    def stop(self) -> None:
        self.situation["stopping"] = True
        self.advance()

    @property
    def running(self) -> list[str]:
        active = {StepStatus.EXECUTING, StepStatus.STOPPING}
        return [name for name, row in self.rows.items() if row.status in active and row.items is None]

    @property
    def next_due(self) -> datetime | None:
        return next_due(Standings(self.plan, dict(self.rows)))

    @property
    def ending(self) -> tuple[str, str | None] | None:
        return None if self.finished is None else (self.finished.status.value, self.finished.failure_reason)


def test_independent_steps_start_side_by_side() -> None:
    world = World(job("A"), job("B"), job("C", "A", "B"))
    assert world.running == ["A", "B"]
    world.end("A")
    assert world.running == ["B"]
    world.end("B")
    assert world.running == ["C"]
    world.end("C")
    assert world.ending == ("Succeeded", None)


def test_the_parallelism_that_was_asked_for_is_kept() -> None:
    world = World(job("A"), job("B"), job("C"), max_parallel=2)
    assert world.running == ["A", "B"]
    world.end("B")
    assert world.running == ["A", "C"]


def test_values_of_ended_steps_go_into_the_request() -> None:
    world = World(job("A"), job("B", reads=("A",)))
    world.end("A", Answer="42")
    assert world.inputs["B"]["Environment"] == {"A": "42"}


KEY, SECRET = "{{secrets.towpath.access-key}}", "{{ secrets.towpath.secret-key }}"


def test_a_step_gets_the_keys_that_its_definition_names() -> None:
    world = World(job("A"), job("B", "A", Arguments={"Environment": {"KEY": KEY, "A": {"Get": "Steps.A.Answer"}}}))
    world.end("A", Answer="42")
    assert world.running == ["B"]


@pytest.mark.parametrize("answer", [SECRET, f"x={SECRET}.", KEY + SECRET])
def test_a_value_brings_no_keys_of_a_job_into_a_request(answer: str) -> None:
    world = World(job("A"), job("B", reads=("A",)))
    world.end("A", Answer=answer)
    assert world.rows["B"].status is StepStatus.FAILED
    assert "came with a value" in (world.rows["B"].failure_reason or "")


def test_a_value_brings_no_keys_of_a_job_in_parts() -> None:
    halves = {"Std:Join": {"On": "", "Values": ["{{secrets.", {"Get": "Steps.A.Answer"}]}}
    world = World(job("A"), job("B", "A", Arguments={"Environment": {"KEY": halves}}))
    world.end("A", Answer="towpath.access-key}}")
    assert "came with a value" in (world.rows["B"].failure_reason or "")


def test_a_branch_that_is_not_taken_never_runs() -> None:
    steps = [
        condition("If", outcome="yes", then=[job("Yes")], otherwise=[job("No")]),
        job("AfterNo", "No"),
        job("AfterYes", "Yes"),
    ]
    world = World(*steps)
    assert world.running == ["Yes"]
    assert world.rows["If"].metadata == {"Condition": {"Outcome": "True"}}
    world.end("Yes")
    world.end("AfterYes")
    assert world.ending == ("Succeeded", None)
    assert set(world.rows) == {"If", "Yes", "AfterYes"}


def test_conditions_in_branches_are_evaluated_in_one_go() -> None:
    inner = condition("Inner", outcome={"Get": "Steps.Outer.Outcome"}, then=[], otherwise=[job("Deep")])
    world = World(condition("Outer", outcome="yes", then=[inner], otherwise=[]))
    assert world.running == ["Deep"]


def test_a_condition_that_has_no_value_fails_with_its_place() -> None:
    steps = [job("A"), condition("If", outcome={"Get": "Steps.A.Nothing"}, then=[], otherwise=[])]
    world = World(*steps)
    world.end("A")
    place = "Steps[1].Arguments.Conditions[0].LeftValue.Get"
    assert world.ending == (
        "Failed",
        f"Step 'If' failed: {place}: the document has no member 'Nothing'; it has none",
    )


def test_messages_are_as_long_as_those_of_aws_at_most() -> None:
    world = World(fail("F", "x" * 1_000_000))
    assert world.rows["F"].metadata == {"Fail": {"ErrorMessage": "x" * 3071 + "…"}}
    assert world.ending == ("Failed", "x" * 1299 + "…")
    world = World(*(job(f"A{number:03}") for number in range(300)))
    for name in world.running:
        world.end(name, FAILED, "AlgorithmError: exit code 1")
    assert world.ending is not None and world.ending[1] is not None
    assert len(world.ending[1]) == 1300


def test_a_fail_step_ends_the_execution_with_its_message() -> None:
    message = {"Std:Join": {"On": " ", "Values": ["accuracy", {"Get": "Steps.A.Accuracy"}, "is too low"]}}
    world = World(job("A"), condition("If", outcome="no", needs=["A"], then=[job("B")], otherwise=[fail("F", message)]))
    world.end("A", Accuracy=0.4)
    assert world.ending == ("Failed", "accuracy 0.4 is too low")
    assert world.rows["F"].metadata == {"Fail": {"ErrorMessage": "accuracy 0.4 is too low"}}


def test_after_a_failure_running_steps_end_and_none_starts() -> None:
    world = World(job("A"), job("B"), job("C", "B"))
    world.end("A", FAILED, "AlgorithmError: exit code 1")
    assert world.running == ["B"]
    world.end("B")
    assert world.ending == ("Failed", "Step 'A' failed: AlgorithmError: exit code 1")
    assert "C" not in world.rows


def test_a_step_that_follows_on_failure_lets_the_execution_go_on() -> None:
    world = World(job("A"), job("Mend", {"Step": "A", "Trigger": "Failed"}), job("B", "A"), job("C"))
    world.end("A", FAILED, "no")
    assert world.running == ["C", "Mend"]
    world.end("Mend")
    world.end("C")
    assert world.ending == ("CompletedWithFailures", None)


def test_a_step_that_follows_on_failure_does_not_run_after_success() -> None:
    world = World(
        job("A"), job("Mend", {"Step": "A", "Trigger": "Failed"}), job("Any", {"Step": "A", "Trigger": "Any"})
    )
    world.end("A")
    assert world.running == ["Any"]
    world.end("Any")
    assert world.ending == ("Succeeded", None)


def test_a_job_that_somebody_stopped_fails_the_execution() -> None:
    world = World(job("A"))
    world.end("A", STOPPED)
    assert world.ending == ("Failed", "Step 'A' was stopped")


def test_stopping_stops_what_runs_and_starts_nothing() -> None:
    world = World(job("A"), job("B", "A"), {"Name": "M", "Type": "Model", "Arguments": {}})
    world.stop()
    assert world.rows["A"].status is StepStatus.STOPPING
    assert world.rows["M"].status is StepStatus.EXECUTING  # a model cannot be stopped, and ends by itself
    world.end("M")
    world.end("A", STOPPED)
    assert world.ending == ("Stopped", None)
    assert "B" not in world.rows


RETRIED = [
    {"ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR"], "IntervalSeconds": 10, "BackoffRate": 3, "MaxAttempts": 2}
]


def test_a_retryable_failure_is_tried_again_after_growing_delays() -> None:
    world = World(job("A", RetryPolicies=RETRIED))
    world.end("A", FAILED, LOST)
    assert world.rows["A"].status is StepStatus.STARTING
    assert world.next_due == START + timedelta(seconds=10)
    world.now = START + timedelta(seconds=10)
    world.advance()
    assert world.starts == [("A", 1), ("A", 2)]
    world.end("A", FAILED, LOST)
    assert world.next_due == START + timedelta(seconds=40)
    world.now = START + timedelta(seconds=40)
    world.advance()
    world.end("A", FAILED, LOST)
    assert world.ending == ("Failed", f"Step 'A' failed: {LOST}")
    assert world.rows["A"].attempt == 3


def test_each_attempt_has_a_name_of_its_own() -> None:
    world = World(job("A_b", RetryPolicies=RETRIED))
    first = world.inputs["A_b"]["ProcessingJobName"]
    world.end("A_b", FAILED, LOST)
    world.now += timedelta(seconds=10)
    world.advance()
    second = world.inputs["A_b"]["ProcessingJobName"]
    assert first != second
    assert first.startswith("pipelines-abcdefghijkl-A-b-")


def test_a_failure_of_the_script_is_not_tried_again() -> None:
    world = World(job("A", RetryPolicies=RETRIED))
    world.end("A", FAILED, "AlgorithmError: exit code 1")
    assert world.finished is not None


def test_a_document_is_asked_for_before_the_step_that_reads_it_starts() -> None:
    score = {"Std:JsonGet": {"S3Uri": "s3://b/report.json", "Path": "answer"}}
    world = World(condition("If", outcome=score, then=[job("Yes")], otherwise=[]))
    assert world.finished is None
    course = Course(Standings(world.plan, dict(world.rows)), START, Situation(**world.situation))
    assert course.run() == []
    assert list(course.wanted) == [DocumentRef("s3://b/report.json")]
    world.situation["documents"] = {DocumentRef("s3://b/report.json"): {"answer": "yes"}}
    world.advance()
    assert world.running == ["Yes"]


def test_a_document_that_cannot_be_read_fails_the_step_that_reads_it() -> None:
    score = {"Std:JsonGet": {"S3Uri": "s3://b/report.json", "Path": "answer"}}
    unreadable = {DocumentRef("s3://b/report.json"): Unreadable("there is no object s3://b/report.json")}
    world = World(condition("If", outcome=score, then=[], otherwise=[]), documents=unreadable)
    assert world.finished is not None
    assert world.finished.failure_reason == (
        "Step 'If' failed: Steps[0].Arguments.Conditions[0].LeftValue.Std:JsonGet: there is no object s3://b/report.json"
    )


def test_values_take_the_type_that_the_request_wants(golden: Callable[[str], Any], shapes: Shapes) -> None:
    plan = compile(parse(golden("v3_bert")))
    outputs = {"Outputs": [{"OutputName": "train", "S3Output": {"S3Uri": "s3://b/train"}}]}
    situation = Situation(
        execution_id="abcdefghijkl",
        shapes=shapes,
        parameters={"InputData": "s3://b/in", "ProcInstanceType": "ml.m5.large", "Epochs": 3, "MinAccuracy": 0.2},
        variables={"PipelineName": "p", "PipelineExecutionId": "abcdefghijkl"},
        lookups=dict.fromkeys(plan.nodes, Lookup(asked=Asked(request={}), keyless="nothing was looked up")),
    )
    (first,) = advance(plan, {}, START, situation)
    assert isinstance(first, StartStep)
    ended = {"Processing": Ended(status=SUCCEEDED, document={"ProcessingOutputConfig": outputs})}
    running = {"Processing": first.row}
    _, second = advance(plan, running, START, Situation(**{**as_dict(situation), "ended": ended}))
    assert isinstance(second, StartStep)
    assert second.input["HyperParameters"]["epochs"] == "3"
    assert second.input["ResourceConfig"]["InstanceCount"] == 1
    assert second.input["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"] == "s3://b/train"


def as_dict(situation: Situation) -> dict[str, Any]:
    return {name: getattr(situation, name) for name in Situation.__dataclass_fields__}


def test_a_request_that_the_api_would_refuse_fails_the_step(golden: Callable[[str], Any], shapes: Shapes) -> None:
    document = golden("v2_bert")
    document["Steps"] = document["Steps"][:1]
    values = {"InputData": "s3://b/in", "ProcInstanceType": "a laptop", "ProcInstanceCount": 1, "Epochs": 1}
    situation = Situation(
        execution_id="abcdefghijkl",
        shapes=shapes,
        parameters=values,
        variables={"PipelineName": "p", "PipelineExecutionId": "abcdefghijkl"},
    )
    decisions = advance(compile(parse(document)), {}, START, situation)
    assert isinstance(decisions[-1], FinishExecution)
    assert "Steps[0].Arguments.ProcessingResources.ClusterConfig.InstanceType: " in str(decisions[-1].failure_reason)


def replayed(world: World) -> tuple[list[tuple[str, int]], dict[str, StepRow], FinishExecution | None]:
    """Return what is started and how all ends when the facts of a world's history come again, in order."""
    fresh = World.__new__(World)
    fresh.__dict__ |= {
        "plan": world.plan,
        "situation": {**world.situation, "stopping": False, "noted_parallel": None},
        "now": START,
        "rows": {},
        "inputs": {},
        "starts": [],
        "facts": [],
        "finished": None,
    }
    fresh.advance()
    for fact in world.facts:
        if fresh.rows.get(fact.row.name) == fact.row:
            continue  # a consequence that was decided again already
        for due in sorted(
            {row.due_at for row in fresh.rows.values() if row.due_at is not None and row.due_at <= fact.at}
        ):
            fresh.now = due
            fresh.advance()
        fresh.now = fact.at
        fresh.rows[fact.row.name] = fact.row
        fresh.advance()
    return fresh.starts, fresh.rows, fresh.finished


def test_replaying_a_history_decides_the_same() -> None:
    steps = [
        job("A"),
        job("B", RetryPolicies=RETRIED),
        condition("If", outcome={"Get": "Steps.A.Answer"}, then=[job("Yes", "B")], otherwise=[fail("F")]),
    ]
    world = World(*steps)
    world.end("B", FAILED, LOST)
    world.end("A", Answer="yes")
    world.now += timedelta(seconds=10)
    world.advance()
    world.end("B")
    world.end("Yes")
    assert world.ending == ("Succeeded", None)
    assert replayed(world) == (world.starts, world.rows, world.finished)


NAMES = "ABCDEFGH"


@st.composite
def pipelines(draw: st.DrawFn) -> list[Any]:
    """Return the steps of some pipeline without circles."""
    count = draw(st.integers(1, len(NAMES)))
    steps: list[Any] = []
    for number in range(count):
        before = NAMES[:number]
        chosen = draw(st.lists(st.sampled_from(before), unique=True, max_size=3)) if before else []
        triggers = [draw(st.sampled_from(["Completed"] * 3 + ["Failed", "Stopped", "Any"])) for _ in chosen]
        needs = [{"Step": name, "Trigger": trigger} for name, trigger in zip(chosen, triggers, strict=True)]
        name = NAMES[number]
        match draw(st.sampled_from(["job", "job", "job", "retried", "broken", "condition"])):
            case "job":
                steps.append(job(name, *needs))
            case "broken":
                steps.append(job(name, *needs) | {"Arguments": {"Environment": {"Get": "Parameters.Unknown"}}})
            case "retried":
                steps.append(job(name, *needs, RetryPolicies=RETRIED))
            case _:
                outcome = draw(st.sampled_from(["yes", "no"]))
                then, otherwise = [job(f"{name}-then")], [job(f"{name}-else", *needs)]
                steps.append(condition(name, outcome=outcome, then=then, otherwise=otherwise, needs=needs))
    return list(draw(st.permutations(steps)))


class Executions(RuleBasedStateMachine):
    """Some pipeline, whose jobs end in some order and some way, while time passes and somebody may stop it."""

    world: World

    @initialize(steps=pipelines(), max_parallel=st.none() | st.integers(1, 3))
    def begin(self, steps: list[Any], max_parallel: int | None) -> None:
        self.world = World(*steps, max_parallel=max_parallel)

    @precondition(lambda self: self.world.running)
    @rule(data=st.data(), result=st.sampled_from([SUCCEEDED, SUCCEEDED, FAILED, STOPPED]), lost=st.booleans())
    def a_job_ends(self, data: st.DataObject, result: StepStatus, lost: bool) -> None:
        name = data.draw(st.sampled_from(self.world.running))
        reason = None if result is SUCCEEDED else LOST if lost else "AlgorithmError: exit code 1"
        self.world.now += timedelta(seconds=1)
        self.world.end(name, result, reason)

    @precondition(lambda self: self.world.next_due is not None)
    @rule()
    def time_passes(self) -> None:
        due = self.world.next_due
        assert due is not None
        self.world.now = max(self.world.now, due)
        self.world.advance()

    @precondition(lambda self: self.world.finished is None and not self.world.situation.get("stopping"))
    @rule(wanted=st.integers(0, 9))
    def somebody_stops_it(self, wanted: int) -> None:
        if wanted == 0:
            self.world.stop()

    @precondition(lambda self: self.world.finished is not None)
    @rule()
    def nothing_is_left_to_happen(self) -> None:
        pass

    @invariant()
    def looking_again_decides_nothing_new(self) -> None:
        before = dict(self.world.rows)
        if self.world.finished is None:
            assert self.world.advance() == []
            assert self.world.rows == before

    @invariant()
    def no_attempt_starts_twice(self) -> None:
        assert len(set(self.world.starts)) == len(self.world.starts)

    @invariant()
    def every_step_began_after_what_it_waits_for_had_ended_as_it_must(self) -> None:
        satisfying = {
            Trigger.COMPLETED: {SUCCEEDED},
            Trigger.FAILED: {FAILED},
            Trigger.STOPPED: {STOPPED},
            Trigger.ANY: {SUCCEEDED, FAILED, STOPPED},
        }
        for row in self.world.rows.values():
            node = self.world.plan.nodes[row.name]
            for need in node.needs:
                target = self.world.rows[need.step]
                assert target.status in satisfying[need.trigger]
                assert target.ended_at is not None
                assert row.started_at is not None
                assert target.ended_at <= row.started_at
            if node.guard is not None:
                assert self.world.rows[node.guard.step].outcome is node.guard.outcome

    @invariant()
    def no_more_run_than_may(self) -> None:
        most = self.world.situation["max_parallel"]
        assert most is None or len(self.world.running) <= most

    @invariant()
    def it_ends_exactly_when_nothing_is_left(self) -> None:
        active = [row for row in self.world.rows.values() if not row.status.is_terminal]
        assert (self.world.finished is not None) == (not active)

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        for _ in range(100):
            if self.world.finished is not None:
                break
            if self.world.running:
                self.world.end(self.world.running[0])
            else:
                self.time_passes()
        assert self.world.finished is not None
        if self.world.finished.status is ExecutionStatus.SUCCEEDED:
            assert all(row.status is SUCCEEDED for row in self.world.rows.values())
        if not self.world.situation.get("stopping"):
            starts, rows, finished = replayed(self.world)
            assert starts == self.world.starts
            assert rows == self.world.rows
            assert finished == self.world.finished


TestExecutions = Executions.TestCase
TestExecutions.settings = settings(max_examples=60, stateful_step_count=15, deadline=None)
