"""The kinds of functions: the function, and the call."""

from towpath.functions.model import InvocationState
from towpath.kernel.errors import Conflict, NotFound
from towpath.kernel.kinds import Kind, View
from towpath.kernel.ports import Transaction
from towpath.kernel.resource import Document, Resource, view

OF_FUNCTION = "FunctionName"  #: indexed member of a call; of a function that was deleted, too


def _missing_function(_: str, name: str) -> NotFound:
    return NotFound(f"Function not found: {name}", code="ResourceNotFoundException")


def _index_invocation(invocation: Resource) -> dict[str, str | float | None]:
    return {OF_FUNCTION: invocation.spec["FunctionName"]}


def _yielded(invocation: Resource) -> Document:
    """Return what a step yields once its call succeeded: its outputs by name."""
    return {"OutputParameters": view(InvocationState, invocation.state).outputs}


def _refuse_undelete(_: Transaction, invocation: Resource) -> None:
    raise Conflict(f"The call {invocation.name} is over; call the function again")


#: Its ARN is arn:aws:lambda:REGION:ACCOUNT:function:NAME.
FUNCTION = Kind(
    noun="Function",
    arn_type="function",
    name_member="FunctionName",
    arn_member="FunctionArn",
    missing=_missing_function,
)

#: A step yields its document, so that only what the function answered is shown.
FUNCTION_INVOCATION = Kind(
    noun="FunctionInvocation",
    arn_type="function-invocation",
    name_member="InvocationName",
    arn_member="InvocationArn",
    status_member="InvocationStatus",
    view=View(
        computed=_yielded,
        hidden=frozenset(
            {
                "Function", "FunctionName", "FunctionArn", "Code", "Configuration", "Payload", "Retries",
                "ClientContext", "Attempt", "Seen", "Environment", "RetryAt", "FunctionError", "Answer", "Outputs",
                "EndedAt", "Forgotten",
            }
        ),
    ),
    indexed=_index_invocation,
    refuse_undelete=_refuse_undelete,
    comes_back=False,
    controlled=True,
)  # fmt: skip

KINDS = (FUNCTION, FUNCTION_INVOCATION)
