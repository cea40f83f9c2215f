"""What is decided about a call of a function, from how it and its attempt stand."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from towpath.functions.decisions import Answer, Forget, Observation, Settle, Stop, Submit, answer_in, decide, outputs_in
from towpath.functions.model import Code, FunctionSpec, InvocationSpec, InvocationState, InvocationStatus
from towpath.jobs.model import JobObservation, JobSpec, Manifest, Phase
from towpath.kernel.decisions import Decision
from towpath.kernel.errors import Invalid
from towpath.kernel.resource import Document, Resource, Uid, view

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
KEEP = timedelta(days=90)
CODE = Code("b", "functions/f/code.zip", "v", 1, "0" * 64, is_ours=True)
SPEC = InvocationSpec(
    function=Uid("f" * 32),
    function_name="f",
    function_arn="arn:aws:lambda:us-east-1:000000000000:function:f",
    code=CODE,
    configuration=FunctionSpec(runtime="python3.11", handler="f.handler"),
    request_id="r",
    payload="{}",
)
JOB = JobSpec(key="u-1", kind="function", name="f/c", argv=("x",), python="/usr/bin/python3")
FAILED = Answer(error="Unhandled", payload='{"errorType": "ValueError", "errorMessage": "no"}')


def call(status: InvocationStatus, *, spec: InvocationSpec = SPEC, **state: Any) -> Resource:
    return Resource(
        uid=Uid("u"),
        account="000000000000",
        region="us-east-1",
        kind="FunctionInvocation",
        name="c",
        arn="a",
        spec=msgspec.to_builtins(spec),
        state=msgspec.to_builtins(InvocationState(**state)),
        status=status.value,
        created_at=NOW,
        created_by="ann",
        modified_at=NOW,
    )


def seen(
    phase: Phase, *, reason: str | None = None, peak: int | None = None, stopped: bool = False, **more: Any
) -> Observation:
    manifest = Manifest(
        key="u-1",
        exit_code=0,
        reason=reason,
        ended_at=NOW,
        peak_memory_bytes=peak,
        memory_limit="cgroup",
        stopped=stopped,
    )
    shown = JobObservation(phase=phase, manifest=manifest if phase is Phase.FINISHED else None)
    return Observation(backend=shown, **more)


def state_of(decision: Decision) -> InvocationState:
    assert decision.state is not None
    return view(InvocationState, decision.state)


def test_a_new_call_begins_its_first_attempt() -> None:
    decided = decide(call(InvocationStatus.WAITING), seen(Phase.ABSENT, job=JOB), NOW, keep=KEEP)
    assert (decided.status, state_of(decided).attempt) == ("InProgress", 1)
    assert decided.effects == (Submit(JOB),)


def test_an_attempt_that_was_recorded_and_not_started_is_started_under_its_own_number() -> None:
    decided = decide(call(InvocationStatus.IN_PROGRESS, attempt=1), seen(Phase.ABSENT, job=JOB), NOW, keep=KEEP)
    assert state_of(decided).attempt == 1
    assert decided.effects == (Submit(JOB),)


def test_a_call_without_room_waits() -> None:
    decided = decide(call(InvocationStatus.WAITING), seen(Phase.ABSENT, job=JOB, waits="a place"), NOW, keep=KEEP)
    assert (decided.status, decided.effects) == (None, ())


def test_a_call_that_cannot_begin_fails_with_its_reason() -> None:
    decided = decide(call(InvocationStatus.WAITING), seen(Phase.ABSENT, problem="the code is gone"), NOW, keep=KEEP)
    assert (decided.status, state_of(decided).failure_reason) == ("Failed", "ClientError: the code is gone")


def test_an_answer_ends_the_call_and_gives_its_place_back() -> None:
    observed = seen(Phase.FINISHED, answer=Answer(error=None, payload="[1]"))
    decided = decide(call(InvocationStatus.IN_PROGRESS, attempt=1, seen=True), observed, NOW, keep=KEEP)
    assert (decided.status, state_of(decided).answer) == ("Succeeded", "[1]")
    assert decided.effects == (Settle(("u-1",)),)


def test_a_failed_call_that_nobody_waits_for_is_tried_again_after_one_and_two_minutes() -> None:
    spec, at, pauses = replace(SPEC, retries=2), NOW, []
    decided = decide(call(InvocationStatus.WAITING, spec=spec), seen(Phase.ABSENT, job=JOB), at, keep=KEEP)
    for _ in range(3):
        known = state_of(decided)
        ran = replace(call(InvocationStatus.IN_PROGRESS, spec=spec), state=msgspec.to_builtins(known))
        failed = decide(ran, seen(Phase.FINISHED, answer=FAILED), at, keep=KEEP)
        if failed.status == InvocationStatus.FAILED:
            break
        assert failed.due_at is not None
        pauses.append((failed.due_at - at).total_seconds())
        waiting = replace(call(InvocationStatus.WAITING, spec=spec), state=failed.state or {})
        early = decide(waiting, seen(Phase.ABSENT, job=JOB), failed.due_at - timedelta(seconds=1), keep=KEEP)
        assert early.effects == (), "its time has not come"
        at = failed.due_at
        decided = decide(waiting, seen(Phase.ABSENT, job=JOB), at, keep=KEEP)
    assert pauses == [60.0, 120.0]
    assert (failed.status, state_of(failed).attempt) == ("Failed", 3)
    assert state_of(failed).failure_reason == "ClientError: f failed: ValueError: no"


def test_a_runner_that_vanished_is_the_fault_of_the_platform() -> None:
    decided = decide(call(InvocationStatus.IN_PROGRESS, attempt=1, seen=True), seen(Phase.LOST), NOW, keep=KEEP)
    assert decided.status == "Failed"
    assert str(state_of(decided).failure_reason).startswith("InternalServerError: ")


@pytest.mark.parametrize(("peak", "kind"), [(128 << 20, "Runtime.OutOfMemory"), (1 << 20, "Runtime.ExitError")])
def test_an_attempt_that_left_no_answer_is_told_of_as_lambda_does(peak: int, kind: str) -> None:
    observed = seen(Phase.FINISHED, reason="Killed", peak=peak)
    decided = decide(call(InvocationStatus.IN_PROGRESS, attempt=1, seen=True), observed, NOW, keep=KEEP)
    told = msgspec.json.decode(state_of(decided).answer or "")
    assert told["errorType"] == kind
    assert told["errorMessage"].startswith("RequestId: r Error: Runtime exited with error: signal: killed")


def test_stopping_ends_the_attempt_and_then_the_call() -> None:
    stopping = call(InvocationStatus.STOPPING, attempt=1, seen=True)
    assert decide(stopping, seen(Phase.RUNNING), NOW, keep=KEEP).effects == (Stop("u-1"),)
    assert decide(stopping, seen(Phase.FINISHED, stopped=True), NOW, keep=KEEP).status == "Stopped"
    assert decide(call(InvocationStatus.STOPPING), seen(Phase.ABSENT), NOW, keep=KEEP).status == "Stopped"


@pytest.mark.parametrize(
    ("answer", "retries", "status"),
    [(Answer(error=None, payload="1"), 0, "Succeeded"), (FAILED, 0, "Failed"), (FAILED, 1, "Stopped")],
)
def test_a_call_that_had_ended_is_not_stopped_and_one_that_would_be_tried_again_is(
    answer: Answer, retries: int, status: str
) -> None:
    stopping = call(InvocationStatus.STOPPING, spec=replace(SPEC, retries=retries), attempt=1, seen=True)
    assert decide(stopping, seen(Phase.FINISHED, answer=answer), NOW, keep=KEEP).status == status


def test_what_was_answered_is_forgotten_soon_and_the_call_later() -> None:
    over = call(InvocationStatus.SUCCEEDED, attempt=1, answer="1", ended_at=NOW.timestamp())
    nothing = seen(Phase.ABSENT)
    assert decide(over, nothing, NOW, keep=KEEP).due_at == NOW + timedelta(minutes=15)
    forgets = decide(over, nothing, NOW + timedelta(minutes=15), keep=KEEP)
    assert (state_of(forgets).answer, forgets.facts) == (None, (Forget(),))
    forgotten = replace(over, state=forgets.state or {})
    assert decide(forgotten, nothing, NOW + timedelta(days=89), keep=KEEP).due_at == NOW + KEEP
    assert decide(forgotten, nothing, NOW + KEEP, keep=KEEP).delete


def test_outputs_are_taken_in_their_types() -> None:
    declared: tuple[Document, ...] = (
        {"OutputName": "n", "OutputType": "Integer"},
        {"OutputName": "s"},
        {"OutputName": "ok", "OutputType": "Boolean"},
    )
    answered = '{"n": "4", "s": "x", "ok": true, "more": {}}'
    assert outputs_in(answered, declared) == {"n": 4, "s": "x", "ok": True}
    with pytest.raises(Invalid, match="it has no s, ok; it has n"):
        outputs_in('{"n": 1}', declared)
    assert outputs_in('"anything"', ()) == {}


@pytest.mark.parametrize("outcome", [b"", b"[]", b"{}", b'{"error": 1}', b'{"error": ["Unhandled"]}', b"\xff"])
def test_what_a_function_has_written_over_its_outcome_is_no_answer(outcome: bytes) -> None:
    assert answer_in(outcome, b"{}") is None


@pytest.mark.parametrize("payload", [b"", b"\xff", b"{"])
def test_what_is_no_json_is_no_answer(payload: bytes) -> None:
    assert answer_in(b'{"error": null}', payload) is None


@pytest.mark.parametrize("error", [None, "Unhandled"])
def test_an_answer_is_what_the_function_said_and_whether_it_failed(error: str | None) -> None:
    assert answer_in(msgspec.json.encode({"error": error}), b"[1]") == Answer(error=error, payload="[1]")


@pytest.mark.parametrize("payload", ["[]", '"no"', "null", "1"])
def test_a_function_that_writes_something_else_over_its_error_has_failed(payload: str) -> None:
    answer = Answer(error="Unhandled", payload=payload)
    decided = decide(call(InvocationStatus.IN_PROGRESS, attempt=1), seen(Phase.FINISHED, answer=answer), NOW, keep=KEEP)
    assert decided.status == "Failed"
