"""STS: who the caller is."""

from towpath.kernel.arns import Home
from towpath.kernel.operations import Operation, Operations, Request
from towpath.kernel.ports import Transaction
from towpath.kernel.principals import Principal
from towpath.kernel.resource import Document


def caller_identity(home: Home, principal: Principal) -> Document:
    """Return the answer of GetCallerIdentity.

    The ARN is that of an assumed role, since the SageMaker SDKs work out the execution role from it.
    """
    return {
        "Account": home.account,
        "UserId": f"{principal.access_key}:{principal.name}",
        "Arn": f"arn:aws:sts::{home.account}:assumed-role/towpath-{principal.role}/{principal.name}",
    }


def operations(home: Home, principal: Principal) -> Operations:
    """Return the operations of STS for one caller."""

    def get_caller_identity(_: Transaction, __: Request) -> Document:
        return caller_identity(home, principal)

    return {"GetCallerIdentity": Operation(name="GetCallerIdentity", function=get_caller_identity, writes=False)}
