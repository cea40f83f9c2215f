"""Deliveries: an event on its way to a target, exactly once into the platform, at least once to a webhook.

What goes to a webhook because a step of a pipeline says so is a delivery, too.
"""

import contextlib
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import cast
from uuid import uuid4

import msgspec
from msgspec.structs import replace

from towpath.kernel import formats, generic
from towpath.kernel.decisions import Decision
from towpath.kernel.errors import Invalid, NotFound, StaleRevision, TowpathError
from towpath.kernel.events import Event
from towpath.kernel.operations import Operations, Request
from towpath.kernel.ports import Transaction
from towpath.kernel.principals import PLATFORM, Caller
from towpath.kernel.resource import Document, Resource, Uid, view
from towpath.pipelines.rights import starter_roles, stored
from towpath.queues import find_queue, send
from towpath.triggers.dead_letters import ErrorCode, Exhausted, Failure, bury
from towpath.triggers.envelopes import SCHEDULER
from towpath.triggers.inputs import body_for, of_rule, of_schedule, text_at
from towpath.triggers.kinds import DELIVERY, LOG_GROUP
from towpath.triggers.log_groups import group_named, write
from towpath.triggers.model import DeliverySpec, DeliveryState, DeliveryStatus, Target
from towpath.triggers.ports import Answer, Send
from towpath.triggers.targets import TargetKind, is_pipeline, kind_of, pipeline_name, queue_name
from towpath.triggers.webhooks import message_of

OUTCOME = "TriggerOutcome"  #: type of the event that tells what came of a delivery; its subject is the rule
_START = "StartPipelineExecution"
_LONGEST_PAUSE_S = 300
_LONGEST_DESCRIPTION = 3072  #: characters of an execution's description in the API
#: Answers of a webhook that may be another one the next time. Source: EventBridge User Guide, "API destinations".
_WORTH_ANOTHER_TRY = frozenset({401, 407, 408, 409, 425, 429})


class Start(msgspec.Struct, frozen=True):
    """Start the pipeline, call the function, or write to the queue or log group, that is the target."""


class UnderWay(msgspec.Struct, frozen=True):
    """A message has been handed over to be sent, and nothing has come of it yet."""


class Settle(msgspec.Struct, frozen=True):
    """Tell what came of a delivery."""

    status: DeliveryStatus
    told: str
    failure: Failure | None = None  #: why it was given up


def deliver(
    transaction: Transaction, source: Resource, target: Target, event: Document, *, parent: Uid | None = None
) -> Uid:
    """Put an event on its way to a target, in the transaction in which it happened; return the delivery.

    Args:
        source: the rule or schedule that says so; on its creator's behalf the target is reached.
        parent: is looked at when the delivery has arrived, or was given up.
    """
    uid = Uid(uuid4().hex)
    roles = stored(starter_roles(source.spec))
    spec = DeliverySpec(
        source=source.uid,
        source_arn=source.arn,
        target=target,
        event=event,
        roles=None if roles is None else tuple(roles),
    )
    home = transaction.home
    transaction.resources.insert(
        Resource(
            uid=uid,
            account=home.account,
            region=home.region,
            kind=DELIVERY.noun,
            name=uid,
            arn=f"arn:aws:towpath:{home.region}:{home.account}:delivery/{uid}",
            spec=cast(Document, msgspec.to_builtins(spec)),
            status=DeliveryStatus.PENDING.value,
            parent=parent,
            format=formats.current(DELIVERY.noun),
            created_at=transaction.now,
            created_by=source.created_by,
            modified_at=transaction.now,
        )
    )
    transaction.work.schedule(uid, transaction.now)
    return uid


def withdraw(transaction: Transaction, uid: Uid) -> None:
    """Let a delivery that has not arrived try no more: what it tells of is over."""
    delivery = transaction.resources.get(uid)
    if delivery is not None and delivery.is_live:
        transaction.resources.replace(delivery, deleted_at=transaction.now)


def is_pending(transaction: Transaction, uid: Uid) -> bool:
    """Whether a delivery still has to arrive: it has not, and was not withdrawn."""
    delivery = transaction.resources.get(uid)
    return delivery is not None and delivery.is_live


def undelivered(transaction: Transaction, uid: Uid) -> str | None:
    """Return why a delivery has not arrived yet and when the next try is, None where no try has failed."""
    delivery = transaction.resources.get(uid)
    if delivery is None or not delivery.is_live:
        return None
    state = view(DeliveryState, delivery.state)
    if state.reason is None:
        return None
    due_at = delivery.modified_at + _pause(state.tries)
    return f"{state.reason}; {_tried(state.tries)}, next try at {due_at:%Y-%m-%d %H:%M:%S} UTC"


class DeliveryController:
    """Implements `kernel.decisions.Controller` for Delivery."""

    kind = DELIVERY.noun

    def __init__(
        self, operations: Operations, send: Send, *, wake: Callable[[Uid], None], keep_lines_days: float = 90.0
    ) -> None:
        """Deliver through `operations` and `send`.

        Args:
            wake: called with a delivery when there is an answer to its message.
            keep_lines_days: how long lines of log groups are kept.
        """
        self._keep_lines_days = keep_lines_days
        self._operations = operations
        self._send = send
        self._wake = wake
        #: Delivery -> how many tries had failed, and what came of this one.
        self._answers: dict[Uid, tuple[int, Answer | UnderWay]] = {}
        self._lock = threading.Lock()

    def observe(self, resource: Resource) -> Answer | UnderWay | None:
        """Return what came of the try that was made last, None when it is not known: it is then made again.

        What starting a pipeline needs is made ready here, before the transaction that starts it.
        """
        start = self._operations.get(_START)
        if start is not None and start.prepare is not None and resource.status == DeliveryStatus.PENDING:
            spec = view(DeliverySpec, resource.spec)
            if is_pipeline(spec.target.arn):
                with contextlib.suppress(TowpathError):  # `apply` says it, as what came of the delivery
                    start.prepare(_start_of(resource, spec))
        tries = view(DeliveryState, resource.state).tries
        with self._lock:
            known, answer = self._answers.get(resource.uid, (-1, None))
        return answer if known == tries else None

    def decide(self, resource: Resource, observation: Answer | UnderWay | None, now: datetime) -> Decision:
        """Return what to do with the event next."""
        if resource.status != DeliveryStatus.PENDING or isinstance(observation, UnderWay):
            return Decision()
        spec, state = view(DeliverySpec, resource.spec), view(DeliveryState, resource.state)
        if not spec.target.arn.startswith("http"):
            return Decision(facts=(Start(),))
        if observation is None:
            due_at = resource.modified_at + _pause(state.tries)
            if state.tries and now < due_at:
                return Decision(due_at=due_at)
            try:
                return Decision(effects=(message_of(spec.target, spec.event, _body(resource, spec), resource.uid),))
            except Invalid as error:
                return _settled(resource, state, error.message, Failure(told=error.message, retries=state.tries))
        if observation.status is not None and 200 <= observation.status < 300:
            return _settled(resource, state, f"HTTP {observation.status}")
        return _after_failure(resource, spec, state, observation, now)

    def apply(self, transaction: Transaction, resource: Resource, decision: Decision) -> None:
        """Start the pipeline, call the function, write to the queue or the log, and tell what came of the delivery."""
        for fact in decision.facts:
            if isinstance(fact, Start):
                settled = _with_dead_letter(transaction, resource, self._carried_out(transaction, resource))
                state = replace(view(DeliveryState, resource.state), result=settled.told)
                transaction.resources.replace(
                    resource,
                    status=settled.status.value,
                    state=cast(Document, msgspec.to_builtins(state)),
                    deleted_at=transaction.now,
                )
                _tell(transaction, resource, settled)
            elif isinstance(fact, Settle):
                with self._lock:
                    self._answers.pop(resource.uid, None)
                _tell(transaction, resource, _with_dead_letter(transaction, resource, fact))

    def act(self, resource: Resource, decision: Decision) -> None:
        """Have the message sent."""
        tries = view(DeliveryState, resource.state).tries
        for message in decision.effects:
            with self._lock:
                self._answers[resource.uid] = tries, UnderWay()
            self._send(resource.uid, message, partial(self._answered, resource.uid, tries))

    def _answered(self, delivery: Uid, tries: int, answer: Answer | None) -> None:
        with self._lock:
            if answer is None:
                self._answers.pop(delivery, None)
                return
            self._answers[delivery] = tries, answer
        self._wake(delivery)

    def _carried_out(self, transaction: Transaction, delivery: Resource) -> Settle:
        spec = view(DeliverySpec, delivery.spec)
        try:
            kind = kind_of(spec.target.arn, transaction.home)
            assert kind is not TargetKind.WEBHOOK, "webhooks are messages"
            with transaction.nested():
                if kind is TargetKind.QUEUE:
                    return _queued(transaction, delivery, spec)
                if kind is TargetKind.LOG:
                    return self._written(transaction, delivery, spec)
                if kind is TargetKind.FUNCTION:
                    return self._called(transaction, delivery, spec)
                return self._started(transaction, delivery, spec)
        except StaleRevision:
            raise  # the whole decision is void and is taken again
        except TowpathError as error:
            code = ErrorCode.NO_RESOURCE if isinstance(error, NotFound) else ErrorCode.CLIENT_ERROR
            return Settle(DeliveryStatus.FAILED, error.message, Failure(told=error.message, code=code))

    def _started(self, transaction: Transaction, delivery: Resource, spec: DeliverySpec) -> Settle:
        answer = self._operations[_START].function(transaction, _start_of(delivery, spec))
        return Settle(DeliveryStatus.DELIVERED, str(answer["PipelineExecutionArn"]))

    def _called(self, transaction: Transaction, delivery: Resource, spec: DeliverySpec) -> Settle:
        """Begin a call that nobody waits for; like one of a client, it is tried again where the function fails."""
        request = Request(
            operation="CreateFunctionInvocation",
            input={"FunctionArn": spec.target.arn, "Payload": _body(delivery, spec)},
            caller=Caller(delivery.created_by, request_id=delivery.uid, roles=starter_roles(delivery.spec)),
        )
        answer = self._operations["CreateFunctionInvocation"].function(transaction, request)
        return Settle(DeliveryStatus.DELIVERED, str(answer["InvocationArn"]))

    def _written(self, transaction: Transaction, delivery: Resource, spec: DeliverySpec) -> Settle:
        group = generic.find(transaction, LOG_GROUP, group_named(spec.target.arn, transaction.home))
        templated = spec.target.input_transformer is not None
        write(transaction, group, _body(delivery, spec), templated=templated, keep_days=self._keep_lines_days)
        return Settle(DeliveryStatus.DELIVERED, f"a line in {group.name}")


def _start_of(delivery: Resource, spec: DeliverySpec) -> Request:
    given = spec.target.sage_maker_pipeline_parameters.pipeline_parameter_list
    asked: Document = {
        "PipelineName": pipeline_name(spec.target.arn),
        "ClientRequestToken": delivery.uid,
        "PipelineExecutionDescription": _why(spec)[:_LONGEST_DESCRIPTION],
        "PipelineParameters": [{"Name": each.name, "Value": text_at(spec.event, each.value)} for each in given],
    }
    return Request(
        operation=_START,
        input=asked,
        caller=Caller(delivery.created_by, request_id=delivery.uid, roles=starter_roles(delivery.spec)),
    )


def _queued(transaction: Transaction, delivery: Resource, spec: DeliverySpec) -> Settle:
    queue = find_queue(transaction, queue_name(spec.target.arn))
    message = send(transaction, queue, _body(delivery, spec), by=delivery.created_by)
    return Settle(DeliveryStatus.DELIVERED, f"message {message.name}")


def _why(spec: DeliverySpec) -> str:
    """Return the sentence that says what started an execution."""
    # alarm:NAME, rule/NAME, schedule/GROUP/NAME
    what, _, name = spec.source_arn.split(":", 5)[5].replace(":", "/", 1).partition("/")
    about = ", ".join(_subject(spec.event))
    return f"Started by the {what} {name.rpartition('/')[2]}: {spec.event['detail-type']}{about and ' of ' + about}"


def _subject(event: Document) -> list[str]:
    if event["source"] == "aws.s3":
        detail = event["detail"]
        return [f"s3://{detail['bucket']['name']}/{detail['object']['key']}"]
    return [str(arn) for arn in event["resources"]]


def _body(delivery: Resource, spec: DeliverySpec) -> str:
    told = of_rule(spec.source_arn)
    if spec.event["source"] == SCHEDULER:
        tries = view(DeliveryState, delivery.state).tries
        told = of_schedule(spec.source_arn, spec.event, delivery.uid, tries + 1)
    return body_for(spec.target, spec.event, told)


def _after_failure(
    delivery: Resource, spec: DeliverySpec, state: DeliveryState, answer: Answer, now: datetime
) -> Decision:
    told = answer.reason if answer.status is None else f"HTTP {answer.status} {answer.reason}".strip()
    tries = state.tries + 1
    policy = spec.target.retry_policy
    too_old = now - delivery.created_at >= timedelta(seconds=policy.maximum_event_age_in_seconds)
    final = answer.status is not None and answer.status < 500 and answer.status not in _WORTH_ANOTHER_TRY
    too_often = tries > policy.maximum_retry_attempts
    if final or too_old or too_often:
        exhausted = None if final else Exhausted.AGE if too_old else Exhausted.TRIES
        failure = Failure(told=told, retries=tries - 1, exhausted=exhausted)
        return _settled(delivery, replace(state, tries=tries), f"{told}, after {_counted(tries)}", failure)
    failed = replace(state, tries=tries, reason=told)
    return Decision(state=cast(Document, msgspec.to_builtins(failed)), due_at=now + _pause(tries))


def _pause(tries: int) -> timedelta:
    """Return how long to wait after so many failures: twice as long each time, up to five minutes."""
    return timedelta(seconds=min(2 ** min(tries, 20), _LONGEST_PAUSE_S) if tries else 0)


def _settled(delivery: Resource, state: DeliveryState, told: str, failure: Failure | None = None) -> Decision:
    status = DeliveryStatus.DELIVERED if failure is None else DeliveryStatus.FAILED
    shown = replace(state, result=told)
    return Decision(
        status=status.value,
        state=cast(Document, msgspec.to_builtins(shown)),
        facts=(Settle(status, told, failure),),
        delete=True,
    )


def _with_dead_letter(transaction: Transaction, delivery: Resource, settled: Settle) -> Settle:
    """Put what was given up into its dead-letter queue; return what to tell then."""
    if settled.failure is None:
        return settled
    spec = view(DeliverySpec, delivery.spec)
    told = bury(transaction, delivery, spec, _body(delivery, spec), settled.failure)
    return settled if told is None else replace(settled, told=f"{settled.told.rstrip('.')}; {told}")


def _tell(transaction: Transaction, delivery: Resource, settled: Settle) -> None:
    spec = view(DeliverySpec, delivery.spec)
    tell_outcome(transaction, spec.source, spec.source_arn, _shown(delivery, settled))


def tell_outcome(transaction: Transaction, source: Uid, source_arn: str, detail: Document) -> None:
    """Write into the log of a rule, a schedule or whatever else was delivered for, what ListTriggerDeliveries tells."""
    transaction.events.append(
        Event(
            type=OUTCOME,
            subject=source,
            subject_arn=source_arn,
            principal=PLATFORM.principal,
            at=transaction.now,
            detail=detail,
        )
    )


def pending_delivery(delivery: Resource) -> Document:
    """Return what ListTriggerDeliveries tells of a delivery that is on its way."""
    state = view(DeliveryState, delivery.state)
    tries = f"{state.reason}; {_tried(state.tries)}" if state.reason is not None else ""
    return {**_shown(delivery, Settle(DeliveryStatus.PENDING, tries)), "Time": delivery.created_at.timestamp()}


def _counted(tries: int) -> str:
    return "1 try" if tries == 1 else f"{tries} tries"


def _tried(tries: int) -> str:
    return f"tried {tries} time{'s' * (tries != 1)}"


def _shown(delivery: Resource, settled: Settle) -> Document:
    spec = view(DeliverySpec, delivery.spec)
    return {
        "DeliveryId": delivery.uid,
        "Target": spec.target.arn,
        "DetailType": spec.event["detail-type"],
        "About": _subject(spec.event),
        "EventTime": datetime.fromisoformat(spec.event["time"]).timestamp(),
        "Status": settled.status.value,
        "Result": settled.told,
    }
