"""What happens to a call next, decided from how it and its attempt stand. Pure."""

from datetime import datetime, timedelta
from typing import Any, cast

import msgspec
from msgspec.structs import replace

from towpath.functions.model import InvocationSpec, InvocationState, InvocationStatus, attempt_key, attempt_keys
from towpath.jobs.contract import shortened
from towpath.jobs.model import JobObservation, JobSpec, Manifest, Phase
from towpath.kernel.decisions import Decision
from towpath.kernel.errors import Invalid
from towpath.kernel.resource import Document, Resource, Uid, view
from towpath.kernel.texts import read_json
from towpath.lineage.model import EnvironmentFacts
from towpath.pipelines.callbacks import Output, outputs_of

KEPT_S = 900.0  #: what was answered is kept so long for whoever still asks
_RETRY_S = (60.0, 120.0)  #: before the next attempts. Source: AWS Lambda Developer Guide, "Asynchronous invocation"
_STOP_AGAIN_S = 10.0
UNHANDLED = "Unhandled"


class Submit(msgspec.Struct, frozen=True):
    """Start an attempt on the back end."""

    job: JobSpec


class Stop(msgspec.Struct, frozen=True):
    """End an attempt at once."""

    key: str


class Settle(msgspec.Struct, frozen=True):
    """Give back what the call held of the host, and what its attempts worked on."""

    keys: tuple[str, ...]


class Forget(msgspec.Struct, frozen=True):
    """Remove what the call was called with."""


class Recorded(msgspec.Struct, frozen=True):
    """Write down what a call of a step runs in."""

    environment: EnvironmentFacts


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What an attempt left."""

    error: str | None
    payload: str


def answer_in(outcome: bytes, payload: bytes) -> Answer | None:
    """Return the answer in the two documents that an attempt left, None where its function has written over them."""
    try:
        told, _ = read_json(outcome), read_json(payload)
    except ValueError:
        return None
    if not isinstance(told, dict) or not isinstance(told.get("error", 0), str | None):
        return None
    return Answer(error=told["error"], payload=payload.decode("utf-8"))


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """How a call stands in the world."""

    backend: JobObservation
    waits: str | None = None  #: what an attempt that may begin waits for
    job: JobSpec | None = None  #: the attempt that may begin
    environment: EnvironmentFacts | None = None  #: what it runs in
    problem: str | None = None  #: why none can
    answer: Answer | None = None  #: of an attempt that ended and left one
    untidy: tuple[str, ...] = ()  #: attempts of a call that is over


def may_begin(resource: Resource, state: InvocationState, seen: JobObservation, now: datetime) -> bool:
    """Return whether an attempt may begin: the first, the next one whose time has come, or the same once more."""
    if resource.status == InvocationStatus.STOPPING:
        return False
    if state.attempt == 0 or (state.retry_at is not None and now.timestamp() >= state.retry_at):
        return True
    return state.retry_at is None and seen.phase is Phase.ABSENT and not state.seen


def decide(resource: Resource, observation: Observation, now: datetime, *, keep: timedelta) -> Decision:
    """Return what to do next with a call.

    Args:
        keep: how long one that is over is shown.
    """
    spec, state = view(InvocationSpec, resource.spec), view(InvocationState, resource.state)
    status = InvocationStatus(resource.status or "")
    if status.is_over:
        return _after(resource.uid, state, observation, now, keep)
    seen = observation.backend
    if status is InvocationStatus.STOPPING:
        finished = seen.manifest if seen.phase is Phase.FINISHED and state.retry_at is None else None
        if finished is not None and not finished.stopped:
            ended = _ended(resource.uid, spec, state, observation, finished, now)
            if ended.status != InvocationStatus.WAITING:
                return ended  # it came to its end before the stop reached it
        if state.attempt == 0 or state.retry_at is not None or seen.phase not in _UNDER_WAY:
            return _over(resource.uid, InvocationStatus.STOPPED, replace(state, retry_at=None), now)
        effects = (Stop(attempt_key(resource.uid, state.attempt)),)
        return Decision(effects=effects, due_at=now + timedelta(seconds=_STOP_AGAIN_S), last=True)
    if may_begin(resource, state, seen, now):
        return _begun(resource.uid, spec, state, observation, now)
    if state.retry_at is not None:
        return Decision(due_at=datetime.fromtimestamp(state.retry_at, now.tzinfo))
    if seen.phase is Phase.FINISHED and seen.manifest is not None:
        return _ended(resource.uid, spec, state, observation, seen.manifest, now)
    if seen.phase in {Phase.LOST, Phase.ABSENT}:
        reason = f"InternalServerError: the runner of attempt {state.attempt} vanished and left no answer"
        return _failed(resource.uid, spec, state, reason, now)
    return Decision(state=_stored(replace(state, seen=True)), observed=True) if not state.seen else Decision()


_UNDER_WAY = frozenset({Phase.STARTING, Phase.RUNNING, Phase.READY})


def _begun(uid: Uid, spec: InvocationSpec, state: InvocationState, observation: Observation, now: datetime) -> Decision:
    if observation.problem is not None:
        reason = f"ClientError: {observation.problem}"
        return _over(uid, InvocationStatus.FAILED, replace(state, retry_at=None, failure_reason=reason), now)
    if observation.waits is not None:
        return Decision()  # woken when its turn has come
    assert observation.job is not None, "it is made wherever an attempt may begin"
    again = state.attempt > 0 and state.retry_at is None
    state = state if again else replace(state, attempt=state.attempt + 1, seen=False, retry_at=None)
    facts: tuple[Recorded, ...] = ()
    if spec.output_parameters is not None and observation.environment is not None and not again:
        state = replace(state, environment=observation.environment.fingerprint)
        facts = (Recorded(observation.environment),)
    return Decision(
        status=InvocationStatus.IN_PROGRESS.value,
        state=_stored(state),
        facts=facts,
        effects=(Submit(observation.job),),
    )


def _ended(
    uid: Uid, spec: InvocationSpec, state: InvocationState, observation: Observation, manifest: Manifest, now: datetime
) -> Decision:
    answer = observation.answer or _instead(spec, manifest)
    state = replace(state, seen=True, function_error=answer.error, answer=answer.payload)
    if answer.error is not None:
        return _failed(uid, spec, state, f"ClientError: {_told_by(spec, answer.payload)}", now)
    if spec.output_parameters is not None:
        try:
            state = replace(state, outputs=outputs_in(answer.payload, spec.output_parameters))
        except Invalid as error:
            reason = f"ClientError: what {spec.function_name} answered does not fit: {error.message}"
            return _over(uid, InvocationStatus.FAILED, replace(state, failure_reason=shortened(reason)), now)
    return _over(uid, InvocationStatus.SUCCEEDED, state, now)


def _failed(uid: Uid, spec: InvocationSpec, state: InvocationState, reason: str, now: datetime) -> Decision:
    """Return that a call has failed, or that it is tried again later."""
    state = replace(state, failure_reason=shortened(reason))
    if state.attempt > spec.retries:
        return _over(uid, InvocationStatus.FAILED, state, now)
    due_at = now + timedelta(seconds=_RETRY_S[min(state.attempt, len(_RETRY_S)) - 1])
    state = replace(state, retry_at=due_at.timestamp())
    return Decision(
        status=InvocationStatus.WAITING.value,
        state=_stored(state),
        effects=(Settle((attempt_key(uid, state.attempt),)),),
        due_at=due_at,
        last=True,
    )


def _over(uid: Uid, status: InvocationStatus, state: InvocationState, now: datetime) -> Decision:
    return Decision(
        status=status.value,
        state=_stored(replace(state, ended_at=now.timestamp())),
        effects=(Settle(tuple(attempt_keys(uid, state))),),
        due_at=now + timedelta(seconds=KEPT_S),
        last=True,
    )


def _after(uid: Uid, state: InvocationState, observation: Observation, now: datetime, keep: timedelta) -> Decision:
    """Return what becomes of a call that is over: first its documents go, and later it."""
    if observation.untidy:
        return Decision(effects=(Settle(observation.untidy),), due_at=now + timedelta(seconds=KEPT_S), last=True)
    ended_at = datetime.fromtimestamp(state.ended_at or 0.0, now.tzinfo)
    if not state.forgotten:
        forget_at = ended_at + timedelta(seconds=KEPT_S)
        if now < forget_at:
            return Decision(due_at=forget_at)
        return Decision(
            state=_stored(replace(state, answer=None, forgotten=True)), facts=(Forget(),), due_at=ended_at + keep
        )
    return Decision(delete=True) if now >= ended_at + keep else Decision(due_at=ended_at + keep)


def outputs_in(payload: str, declared: tuple[Document, ...]) -> Document:
    """Return the outputs of a step in what its function answered, each in its type; what is more is left out.

    Raises:
        Invalid: one is missing, holds other values or is not of its type; every fault is named.
    """
    answered = msgspec.json.decode(payload)
    wanted = tuple(view(Output, each) for each in declared)
    if not wanted:
        return {}
    if not isinstance(answered, dict):
        raise Invalid(f"it is no object; expected one with {', '.join(each.output_name for each in wanted)}")
    missing = [each.output_name for each in wanted if answered.get(each.output_name) is None]
    if missing:
        there = ", ".join(answered) or "nothing"
        raise Invalid(f"it has no {', '.join(missing)}; it has {there}")
    nested = [each.output_name for each in wanted if isinstance(answered[each.output_name], dict | list)]
    if nested:
        raise Invalid(f"{', '.join(nested)} holds other values; expected a text, a number or a boolean")
    given = [{"Name": each.output_name, "Value": _text(answered[each.output_name])} for each in wanted]
    return outputs_of(wanted, given)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _instead(spec: InvocationSpec, manifest: Manifest) -> Answer:
    """Return the answer of an attempt whose processes were ended before they could tell one."""
    limit = spec.configuration.memory_size << 20
    over = manifest.peak_memory_bytes is not None and manifest.peak_memory_bytes > 0.9 * limit
    kind = "Runtime.OutOfMemory" if over and manifest.memory_limit is not None else "Runtime.ExitError"
    why = f"Runtime exited with error: signal: killed ({manifest.reason or 'it left no answer'})"
    if over:
        why = f"Runtime exited with error: signal: killed (it used more than its {spec.configuration.memory_size} MB)"
    document = {"errorType": kind, "errorMessage": f"RequestId: {spec.request_id} Error: {why}"}
    return Answer(error=UNHANDLED, payload=msgspec.json.encode(document).decode())


def _told_by(spec: InvocationSpec, payload: str) -> str:
    told = msgspec.json.decode(payload)
    if not isinstance(told, dict):
        told = {}  # the function has written over the document of its error
    return f"{spec.function_name} failed: {told.get('errorType', 'an error')}: {told.get('errorMessage', '')}"


def _stored(state: InvocationState) -> Document:
    return cast(Document, msgspec.to_builtins(state))
