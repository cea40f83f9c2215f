"""Calls of functions as resources: how one begins, for whomever, and how it is stopped."""

from collections.abc import Sequence
from typing import cast
from uuid import UUID, uuid4

import msgspec

from towpath.functions.kinds import FUNCTION, FUNCTION_INVOCATION
from towpath.functions.model import (
    RETRIES,
    Code,
    FunctionSpec,
    InvocationSpec,
    InvocationStatus,
)
from towpath.functions.requests import arn_of, named, payload_of
from towpath.kernel import generic
from towpath.kernel.errors import Conflict
from towpath.kernel.operations import Operation, Request
from towpath.kernel.ports import Transaction
from towpath.kernel.resource import Document, Resource, view

CODE = "Code"  #: member of a function's state


def find_function(transaction: Transaction, given: str, qualifier: str | None = None) -> Resource:
    """Return a function by its name or ARN.

    Raises:
        NotFound: there is none.
    """
    name = named(given, transaction.home, qualifier)
    function = transaction.resources.find(FUNCTION.noun, name)
    if function is None:
        raise FUNCTION.missing(FUNCTION.noun, arn_of(name, transaction.home))
    return function


def code_of(function: Resource) -> Code:
    """Return the code of a function."""
    return view(Code, function.state[CODE])


def begin(
    transaction: Transaction,
    request: Request,
    function: Resource,
    payload: str,
    *,
    name: str | None = None,
    retries: int = 0,
    client_context: str = "",
    output_parameters: Sequence[Document] | None = None,
) -> Resource:
    """Begin a call of a function as it is now, in this very transaction; return the call.

    Args:
        name: that it is to have; else one is made up.
        output_parameters: of the step that calls.
    """
    spec = InvocationSpec(
        function=function.uid,
        function_name=function.name,
        function_arn=function.arn,
        code=code_of(function),
        configuration=view(FunctionSpec, function.spec["Configuration"]),
        request_id=_request_id(request),
        payload=payload,
        retries=retries,
        client_context=client_context,
        output_parameters=None if output_parameters is None else tuple(output_parameters),
    )
    name = name or spec.request_id
    return generic.create(
        transaction,
        FUNCTION_INVOCATION,
        request,
        name=name,
        spec=cast(Document, msgspec.to_builtins(spec)),
        status=InvocationStatus.WAITING.value,
        arn=f"arn:aws:towpath:{transaction.home.region}:{transaction.home.account}:function-invocation/{name}",
    )


def create_invocation(transaction: Transaction, request: Request) -> Document:
    """Begin a call for a step of a pipeline, or for an event: nobody waits for it but its parent."""
    asked = request.input
    function = find_function(transaction, str(asked["FunctionArn"]))
    payload = payload_of(asked["Payload"], awaited=True)
    declared = asked.get("OutputParameters")
    call = begin(
        transaction,
        request,
        function,
        payload,
        name=asked.get("InvocationName"),
        retries=RETRIES if declared is None else 0,  # a step has retry policies of its own
        output_parameters=declared,
    )
    return {"InvocationArn": call.arn}


def stop_invocation(transaction: Transaction, request: Request) -> Document:
    """Have a call ended; it is over when its processes are."""
    call = generic.find(transaction, FUNCTION_INVOCATION, request.input["InvocationName"])
    if InvocationStatus(call.status or "").is_over:
        raise Conflict(f"{call.name} has ended already: {call.status}", code="ConflictException")
    call = transaction.resources.replace(call, status=InvocationStatus.STOPPING.value)
    transaction.work.schedule(call.uid, transaction.now)
    generic.record(transaction, call, request, request.operation)
    return {}


def step_operations() -> list[Operation]:
    """Return the operations that steps and deliveries call; no client can."""
    return [
        Operation(name="CreateFunctionInvocation", function=create_invocation),
        Operation(name="StopFunctionInvocation", function=stop_invocation),
    ]


def _request_id(request: Request) -> str:
    """Return the id of a client's own request, which its answer tells, or one of its own where a step calls."""
    try:
        return str(UUID(request.caller.request_id))
    except ValueError:
        return str(uuid4())
