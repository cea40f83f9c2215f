"""What users, roles and policies have in common: made, got and listed in the documents of IAM."""

from collections.abc import Callable, Iterable
from typing import Any

from towpath.identity.kinds import POLICY, ROLE
from towpath.identity.ports import Transaction
from towpath.kernel import generic, paging
from towpath.kernel.errors import Conflict
from towpath.kernel.kinds import Kind
from towpath.kernel.operations import Request
from towpath.kernel.ports import Query
from towpath.kernel.resource import Document, Resource

SESSION_S = 3600  #: how long a session of a role lasts where nothing else is said


def make(transaction: Transaction, request: Request, kind: Kind, name: str, spec: Document | None = None) -> Resource:
    """Return a new user, role or policy.

    Raises:
        Conflict: there is one of that name.
    """
    path = request.input.get("Path") or "/"
    arn = f"arn:aws:iam::{transaction.home.account}:{kind.arn_type}{path}{name}"
    if transaction.resources.find(kind.noun, name) is not None:
        raise Conflict(f"{kind.noun} with name {name} already exists.", code="EntityAlreadyExists")
    return generic.create(transaction, kind, request, name=name, arn=arn, spec=spec)


def shown(transaction: Transaction, kind: Kind, resource: Resource) -> Document:
    """Return the document of a user, role or policy."""
    spec = resource.spec
    document = {
        kind.name_member: resource.name,
        f"{kind.noun}Id": f"TP{resource.uid[:19].upper()}",
        "Arn": resource.arn,
        "Path": spec.get("Path") or "/",
        "CreateDate": resource.created_at.timestamp(),
        "Tags": generic.all_tags(transaction, resource),
    }
    if kind is ROLE:
        document |= {
            "AssumeRolePolicyDocument": spec.get("AssumeRolePolicyDocument", ""),
            "Description": spec.get("Description"),
            "MaxSessionDuration": spec.get("MaxSessionDuration") or SESSION_S,
        }
    if kind is POLICY:
        document |= {
            "Description": spec.get("Description"),
            "DefaultVersionId": "v1",
            "IsAttachable": True,
            "UpdateDate": resource.modified_at.timestamp(),
        }
    return {name: value for name, value in document.items() if value is not None}


def creates(kind: Kind) -> Callable[[Transaction, Request], Document]:
    """Return the Create operation of a kind."""

    def create(transaction: Transaction, request: Request) -> Document:
        resource = make(transaction, request, kind, request.input[kind.name_member])
        return {kind.noun: shown(transaction, kind, resource)}

    return create


def gets(kind: Kind) -> Callable[[Transaction, Request], Document]:
    """Return the Get operation of a kind; without a name it is about the caller."""

    def get(transaction: Transaction, request: Request) -> Document:
        name = request.input.get(kind.name_member) or request.caller.principal
        return {kind.noun: shown(transaction, kind, generic.find(transaction, kind, name))}

    return get


def page_of(request: Request, member: str, items: list[Any]) -> Document:
    """Return the answer of a List operation on what is at hand whole, with its items as `member`."""
    page, token = paging.oldest_first(items, request.input.get("Marker"), paging.size(request.input, "MaxItems"))
    answer: Document = {member: page, "IsTruncated": token is not None}
    return answer if token is None else {**answer, "Marker": token}


def attached(request: Request, arns: Iterable[str]) -> Document:
    """Return the answer of a List operation on policies that are attached to something."""
    prefix = request.input.get("PathPrefix") or "/"
    # arn:aws:iam::ACCOUNT:policy/PATH/NAME, the path being empty or more than one name
    parts = [(arn, *arn.partition(":policy")[2].rpartition("/")) for arn in sorted(arns)]
    found = [{"PolicyName": name, "PolicyArn": arn} for arn, path, _, name in parts if f"{path}/".startswith(prefix)]
    return page_of(request, "AttachedPolicies", found)


def lists(kind: Kind, member: str) -> Callable[[Transaction, Request], Document]:
    """Return the List operation of a kind, whose answer holds its documents as `member`."""

    def listing(transaction: Transaction, request: Request) -> Document:
        asked = request.input
        page = transaction.resources.query(
            Query(
                kind=kind.noun,
                sort_by="name",
                descending=False,
                limit=paging.size(asked, "MaxItems"),
                token=asked.get("Marker"),
            )
        )
        prefix = asked.get("PathPrefix") or "/"
        documents = [shown(transaction, kind, each) for each in page.items]
        answer: Document = {
            member: [each for each in documents if each["Path"].startswith(prefix)],
            "IsTruncated": page.token is not None,
        }
        return answer if page.token is None else {**answer, "Marker": page.token}

    return listing
