"""What waits for the answer to a Callback step: the operations that begin, stop and answer it, and the time-out.

The wait is a resource whose parent is the execution. So it is made in the transaction that begins the step, and its end
ends the step as the end of a job does.
"""

import hashlib
from datetime import datetime, timedelta
from typing import cast

import msgspec
from msgspec.structs import replace

from towpath.kernel import generic
from towpath.kernel.decisions import Decision
from towpath.kernel.errors import Conflict, Invalid, NotFound
from towpath.kernel.operations import Operation, Request
from towpath.kernel.ports import Filter, Query, Store, Transaction
from towpath.kernel.repeats import digest_of, is_repeated, token_of
from towpath.kernel.resource import Document, Resource, view
from towpath.pipelines.callbacks import (
    LONGEST_ADDRESS,
    CallbackSpec,
    CallbackState,
    CallbackStatus,
    check_complete,
    message,
    outputs_of,
)
from towpath.pipelines.kinds import CALLBACK, TOKEN
from towpath.queues import find_queue, queue_of, send
from towpath.triggers.deliveries import deliver, withdraw
from towpath.triggers.envelopes import SAGEMAKER, envelope
from towpath.triggers.model import DeliveryState, DeliveryStatus, Target
from towpath.triggers.targets import TargetKind, kind_of

DETAIL_TYPE = "Callback"  #: of the event that a delivery to a webhook carries; the webhook gets the message itself
_TOKEN_CHARACTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_TOKEN_LENGTH = 10  #: Source: SageMaker API Reference, SendPipelineExecutionStepSuccess
_STOPPING = "Stopping"
_EXECUTING = "Executing"


def create_callback(transaction: Transaction, request: Request) -> Document:
    """Begin to wait for an answer: send the message with the token, in this very transaction.

    Raises:
        Invalid: the address is neither that of a queue nor that of a webhook.
        NotFound: there is no such queue.
    """
    asked = request.input
    name, address = asked["CallbackName"], asked["SqsQueueUrl"]
    execution = None if request.parent is None else transaction.resources.get(request.parent)
    assert execution is not None, "a step begins in an execution"
    _check_address(transaction, address)
    spec: Document = {
        **{member: asked[member] for member in ("SqsQueueUrl", "Arguments", "OutputParameters")},
        "CallbackToken": _token(f"{transaction.home.account}/{name}"),
        "PipelineExecutionArn": execution.arn,
    }
    arn = f"arn:aws:towpath:{transaction.home.region}:{transaction.home.account}:callback/{name}"
    waits = CallbackStatus.WAITING.value
    callback = generic.create(transaction, CALLBACK, request, name=name, spec=spec, status=waits, arn=arn)
    _tell(transaction, callback, _EXECUTING)
    return {"CallbackArn": callback.arn}


def stop_callback(transaction: Transaction, request: Request) -> Document:
    """Wait no longer, and tell whoever was asked, as AWS does; the step ends at once."""
    callback = generic.find(transaction, CALLBACK, request.input["CallbackName"])
    if callback.status != CallbackStatus.WAITING:
        raise Conflict(f"{callback.name} has ended already: {callback.status}", code="ConflictException")
    _withdraw(transaction, callback)
    callback = transaction.resources.replace(callback, status=CallbackStatus.STOPPED.value)
    generic.record(transaction, callback, request, request.operation)
    _tell(transaction, callback, _STOPPING)
    return {}


def succeed(transaction: Transaction, request: Request) -> Document:
    """Carry out SendPipelineExecutionStepSuccess."""
    callback = _asked_for(transaction, request)
    spec = view(CallbackSpec, callback.spec)
    outputs = outputs_of(spec.output_parameters, request.input.get("OutputParameters") or ())
    if callback.status == CallbackStatus.WAITING:
        check_complete(spec.output_parameters, outputs)
    return _answered(transaction, request, callback, CallbackStatus.SUCCEEDED, CallbackState(outputs=outputs))


def fail(transaction: Transaction, request: Request) -> Document:
    """Carry out SendPipelineExecutionStepFailure."""
    callback = _asked_for(transaction, request)
    reason = request.input.get("FailureReason") or "the callback was answered with a failure, and without a reason"
    return _answered(transaction, request, callback, CallbackStatus.FAILED, CallbackState(failure_reason=reason))


def _asked_for(transaction: Transaction, request: Request) -> Resource:
    token = request.input["CallbackToken"]
    found = transaction.resources.query(Query(kind=CALLBACK.noun, filters=(Filter(TOKEN, "=", token),), limit=1)).items
    if not found:
        raise NotFound(f"No step waits, or has waited, for the callback token {token!r}.", code="ResourceNotFound")
    return found[0]


def _answered(
    transaction: Transaction, request: Request, callback: Resource, status: CallbackStatus, came: CallbackState
) -> Document:
    """End a wait. The first answer counts; the same one may come again, and to a stopped step none means anything."""
    spec, before = view(CallbackSpec, callback.spec), view(CallbackState, callback.state)
    answer: Document = {"PipelineExecutionArn": spec.pipeline_execution_arn}
    if callback.status == CallbackStatus.STOPPED:
        # Whoever heard of the stop is to answer nevertheless. Source: SageMaker Developer Guide, "Callback step".
        return answer
    if callback.status != CallbackStatus.WAITING:
        if is_repeated(request, token=before.answer_token, digest=before.answer_digest, arn=callback.arn):
            return answer  # the answer to an earlier try of this request was lost
        raise Conflict(
            f"The step that waited for the callback token {spec.callback_token!r} has ended already: {callback.status}"
            + (f" ({before.failure_reason})" if before.failure_reason else ""),
            code="ConflictException",
        )
    _withdraw(transaction, callback)
    token = token_of(request)
    digest = None if token is None else digest_of(request)
    state = replace(came, delivery=before.delivery, answer_token=token, answer_digest=digest)
    callback = transaction.resources.replace(callback, status=status.value, state=_stored(state))
    generic.record(transaction, callback, request, request.operation)
    return answer


def _check_address(transaction: Transaction, address: object) -> None:
    if not isinstance(address, str) or not 0 < len(address) <= LONGEST_ADDRESS:
        raise Invalid(f"SqsQueueUrl is {address!r}; expected a text of 1 to {LONGEST_ADDRESS} characters")
    if queue_of(address, transaction.home) is None and not address.startswith(("http://", "https://")):
        raise Invalid(
            f"SqsQueueUrl {address!r} is neither the address of a queue, https://HOST/{transaction.home.account}/NAME, "
            "nor that of a webhook, https://…"
        )


def _tell(transaction: Transaction, callback: Resource, status: str) -> None:
    """Send the message that tells of a step: into the queue as it is, or on its way to the webhook."""
    spec = view(CallbackSpec, callback.spec)
    body = message(spec, status)
    name = queue_of(spec.sqs_queue_url, transaction.home)
    if name is not None:
        if status == _STOPPING and transaction.resources.find("Queue", name) is None:
            return  # it was deleted while the step waited: there is nobody to be told
        send(transaction, find_queue(transaction, name), body, by=callback.created_by)
        return
    kind = kind_of(spec.sqs_queue_url, transaction.home)
    assert kind is TargetKind.WEBHOOK, "an address that begins with http"
    event = envelope(
        transaction.home,
        source=SAGEMAKER,
        detail_type=DETAIL_TYPE,
        at=transaction.now,
        detail={"status": status},
        resources=(spec.pipeline_execution_arn,),
    )
    waits = callback.status == CallbackStatus.WAITING
    target = Target(arn=spec.sqs_queue_url, input=body)
    uid = deliver(transaction, callback, target, event, parent=callback.uid if waits else None)
    if waits:
        state = replace(view(CallbackState, callback.state), delivery=uid)
        transaction.resources.replace(callback, state=_stored(state))


def _withdraw(transaction: Transaction, callback: Resource) -> None:
    delivery = view(CallbackState, callback.state).delivery
    if delivery is not None:
        withdraw(transaction, delivery)


def _token(of: str) -> str:
    number = int.from_bytes(hashlib.sha256(of.encode()).digest(), "big")
    characters = []
    for _ in range(_TOKEN_LENGTH):
        number, index = divmod(number, len(_TOKEN_CHARACTERS))
        characters.append(_TOKEN_CHARACTERS[index])
    return "".join(characters)


def _stored(state: CallbackState) -> Document:
    return cast(Document, msgspec.to_builtins(state))


class CallbackController:
    """Implements `kernel.decisions.Controller` for Callback: a wait ends when nobody was reached, or nobody answers."""

    kind = CALLBACK.noun

    def __init__(self, store: Store, *, timeout_days: float) -> None:
        """`timeout_days`: after so long without an answer the step has failed; 0: never."""
        self._store = store
        self._timeout_days = timeout_days

    def observe(self, resource: Resource) -> "Reached":
        """Return what became of the message to a webhook."""
        return self._store.read(lambda transaction: self.observe_within(transaction, resource))

    def observe_within(self, transaction: Transaction, resource: Resource) -> "Reached":
        """Return the same in a transaction."""
        uid = view(CallbackState, resource.state).delivery
        delivery = None if uid is None else transaction.resources.get(uid)
        if delivery is None or delivery.status != DeliveryStatus.FAILED:
            return Reached()
        return Reached(failure=view(DeliveryState, delivery.state).result or "it could not be delivered")

    def unobserved(self, resource: Resource) -> None:
        """Do nothing: nothing is remembered."""

    def decide(self, resource: Resource, observation: "Reached", now: datetime) -> Decision:
        """Return that the wait is over, or when it will be."""
        if resource.status != CallbackStatus.WAITING:
            return Decision()
        if observation.failure is not None:
            address = resource.spec["SqsQueueUrl"]
            return _failed(
                resource, f"the message with the token could not be sent to {address}: {observation.failure}"
            )
        if not self._timeout_days:
            return Decision()
        over_at = resource.created_at + timedelta(days=self._timeout_days)
        if now < over_at:
            return Decision(due_at=over_at)
        return _failed(resource, f"no answer came within {self._timeout_days:g} days")

    def apply(self, transaction: Transaction, resource: Resource, decision: Decision) -> None:
        """Try no more to send the message."""
        _withdraw(transaction, resource)

    def act(self, resource: Resource, decision: Decision) -> None:
        """Do nothing: what goes outside is a delivery."""


class Reached(msgspec.Struct, frozen=True):
    """Whether whoever is asked was told so."""

    failure: str | None = None  #: why not, once it is given up


class _Over(msgspec.Struct, frozen=True):
    """The wait is over."""


def _failed(callback: Resource, reason: str) -> Decision:
    state = replace(view(CallbackState, callback.state), failure_reason=reason)
    return Decision(status=CallbackStatus.FAILED.value, state=_stored(state), facts=(_Over(),))


def step_operations() -> list[Operation]:
    """Return the operations that steps call, and those that answer them."""
    return [
        Operation(name="CreateCallback", function=create_callback),
        Operation(name="StopCallback", function=stop_callback),
        Operation(name="SendPipelineExecutionStepSuccess", function=succeed),
        Operation(name="SendPipelineExecutionStepFailure", function=fail),
    ]
