"""Operations that are the same for all kinds: create a record, describe, list, delete, tags."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeAlias
from uuid import uuid4

from msgspec.structs import replace

from towpath.kernel import formats, paging
from towpath.kernel.arns import split_arn
from towpath.kernel.errors import Conflict, Invalid
from towpath.kernel.events import Event
from towpath.kernel.kinds import Kind, already_exists
from towpath.kernel.operations import Operation, Request
from towpath.kernel.ports import Filter, Query, Transaction
from towpath.kernel.repeats import TOKENS
from towpath.kernel.resource import Document, Resource, Uid

#: Puts into a resource what of its state is known only at the moment in which somebody asks.
AsShown: TypeAlias = Callable[[Resource], Resource]


def create(
    transaction: Transaction,
    kind: Kind,
    request: Request,
    *,
    name: str | None = None,
    spec: Document | None = None,
    state: Document | None = None,
    status: str | None = None,
    arn: str | None = None,
) -> Resource:
    """Insert a resource of `kind` with its tags, its event and, where a controller looks after it, its work.

    Args:
        name: taken from the request's name member when not given.
        spec: the request without Tags and idempotency tokens when not given.
    Raises:
        Conflict: a live resource has the name.
    """
    name = name or request.input[kind.name_member]
    existing = transaction.resources.find(kind.noun, name)
    if existing is not None:
        raise Conflict(already_exists(kind.noun, name, existing.arn), code="ValidationException")
    if spec is None:
        spec = {k: v for k, v in request.input.items() if k not in {"Tags", *TOKENS}}
    resource = Resource(
        uid=Uid(uuid4().hex),
        account=transaction.home.account,
        region=transaction.home.region,
        kind=kind.noun,
        name=name,
        arn=arn or transaction.home.arn(kind.arn_type, name),
        spec=spec,
        state=state or {},
        status=status,
        parent=request.parent,
        format=formats.current(kind.noun),
        created_at=transaction.now,
        created_by=request.caller.principal,
        modified_at=transaction.now,
    )
    resource = with_sort(kind, resource)
    transaction.resources.insert(resource)
    tags = {tag["Key"]: tag["Value"] for tag in request.input.get("Tags") or []}
    if tags:
        transaction.resources.set_tags(resource.uid, dict(tags))
    record(transaction, resource, request, request.operation)
    if kind.controlled:
        transaction.work.schedule(resource.uid, transaction.now)
    return resource


def with_sort(kind: Kind, resource: Resource) -> Resource:
    """Return `resource` with the indexed members of its kind worked out anew."""
    if kind.indexed is None:
        return resource
    return replace(resource, sort=kind.indexed(resource))


def record(transaction: Transaction, resource: Resource, request: Request, type_: str, **detail: Any) -> None:
    """Append the event that `request` did something to `resource`."""
    transaction.events.append(
        Event(
            type=type_,
            subject=resource.uid,
            subject_arn=resource.arn,
            principal=request.caller.principal,
            at=transaction.now,
            detail={"request_id": request.caller.request_id, **detail},
        )
    )


def find(transaction: Transaction, kind: Kind, name_or_arn: str) -> Resource:
    """Return the live resource of `kind` given by name or ARN.

    Raises:
        NotFound: in the kind's own words.
        Invalid: an ARN of another kind.
    """
    if name_or_arn.startswith("arn:"):
        arn_type, _ = split_arn(name_or_arn)
        if arn_type != kind.arn_type and kind.arn_type.split("/")[0] != arn_type:
            raise Invalid(f"{name_or_arn!r} is the ARN of a {arn_type}; expected one of a {kind.arn_type}")
        resource = transaction.resources.by_arn(name_or_arn)
    else:
        resource = transaction.resources.find(kind.noun, name_or_arn)
    if resource is None or resource.kind != kind.noun:
        raise kind.missing(kind.noun, name_or_arn)
    return resource


def document(kind: Kind, resource: Resource) -> Document:
    """Return everything that a Describe or List answer may show of a resource, under the API's names.

    The front door projects it on the operation's output shape.
    """
    shown: Document = {**resource.spec, **resource.state}
    for stored, name in kind.view.renames.items():
        if stored in shown:
            shown[name] = shown[stored]
    for member in kind.view.hidden:
        shown.pop(member, None)
    shown[kind.name_member] = resource.name
    shown[kind.arn_member] = resource.arn
    shown["CreationTime"] = resource.created_at.timestamp()
    shown["LastModifiedTime"] = resource.modified_at.timestamp()
    if kind.status_member is not None:
        shown[kind.status_member] = resource.status
    if kind.view.computed is not None:
        shown.update(kind.view.computed(resource))
    return shown


def as_stored(resource: Resource) -> Resource:
    """Return a resource as it is: most are shown so."""
    return resource


def describe_operation(kind: Kind, as_shown: AsShown = as_stored) -> Operation:
    """Return the Describe operation of a kind."""

    def describe(transaction: Transaction, request: Request) -> Document:
        wanted = request.input.get(kind.name_member) or request.input.get(kind.arn_member)
        if not wanted:
            raise Invalid(f"{request.operation} needs {kind.name_member}")
        return document(kind, as_shown(find(transaction, kind, wanted)))

    assert kind.describe is not None
    return Operation(name=kind.describe, function=describe, writes=False)


def query_of(kind: Kind, request: Request, *extra: Filter) -> Query:
    """Return the store query that a List request asks for.

    Raises:
        Invalid: SortBy has a value that the kind cannot sort by.
    """
    asked = request.input
    filters = list(extra)
    for member, (column, operator) in kind.filters.items():
        if asked.get(member) is not None:
            value = asked[member]
            if column in {"created_at", "modified_at"}:
                value = datetime.fromtimestamp(float(value), UTC)
            filters.append(Filter(column, operator, value))
    sort_by = kind.default_sort
    if "SortBy" in asked:
        if asked["SortBy"] not in kind.sort_by:
            raise Invalid(f"SortBy {asked['SortBy']!r} is not one of {', '.join(sorted(kind.sort_by))}")
        sort_by = kind.sort_by[asked["SortBy"]]
    return Query(
        kind=kind.noun,
        filters=tuple(filters),
        sort_by=sort_by,
        descending=asked.get("SortOrder", "Ascending" if kind.ascending else "Descending") == "Descending",
        limit=min(int(asked.get("MaxResults") or kind.page), 100),
        token=asked.get("NextToken"),
    )


def list_operation(kind: Kind, as_shown: AsShown = as_stored) -> Operation:
    """Return the List operation of a kind."""

    assert kind.listing is not None
    return Operation(name=kind.listing, function=partial(page_of, kind, as_shown=as_shown), writes=False)


def page_of(
    kind: Kind, transaction: Transaction, request: Request, *extra: Filter, as_shown: AsShown = as_stored
) -> Document:
    """Return the answer of the List operation of a kind, narrowed by further conditions."""
    page = transaction.resources.query(query_of(kind, request, *extra))
    answer: Document = {kind.list_member or "": [document(kind, as_shown(item)) for item in page.items]}
    if page.token:
        answer["NextToken"] = page.token
    return answer


def delete_operation(kind: Kind) -> Operation:
    """Return the Delete operation of a kind: refused by a rule, asked of its controller, or a tombstone at once."""

    def delete(transaction: Transaction, request: Request) -> Document:
        wanted = request.input.get(kind.name_member) or request.input.get(kind.arn_member)
        if not wanted:
            raise Invalid(f"{request.operation} needs {kind.name_member}")
        resource = find(transaction, kind, wanted)
        if kind.refuse_delete is not None:
            kind.refuse_delete(transaction, resource)
        if kind.deleting_status is not None:
            resource = transaction.resources.replace(
                resource, status=kind.deleting_status, generation=resource.generation + 1
            )
            transaction.work.schedule(resource.uid, transaction.now)
        else:
            resource = transaction.resources.replace(resource, deleted_at=transaction.now)
        record(transaction, resource, request, request.operation)
        return {kind.arn_member: resource.arn}

    assert kind.delete is not None
    return Operation(name=kind.delete, function=delete)


def operations_of(kind: Kind, as_shown: AsShown = as_stored) -> list[Operation]:
    """Return the generic operations that `kind` declares."""
    found = []
    if kind.describe:
        found.append(describe_operation(kind, as_shown))
    if kind.listing:
        found.append(list_operation(kind, as_shown))
    if kind.delete:
        found.append(delete_operation(kind))
    return found


def _tagged(transaction: Transaction, request: Request) -> Resource:
    resource = transaction.resources.by_arn(request.input["ResourceArn"])
    if resource is None:
        raise Invalid(f"There is no resource with the ARN {request.input['ResourceArn']!r}")
    return resource


def add_tags(transaction: Transaction, request: Request) -> Document:
    """Carry out AddTags: set tags and return all of them."""
    resource = _tagged(transaction, request)
    transaction.resources.set_tags(resource.uid, {tag["Key"]: tag["Value"] for tag in request.input["Tags"]})
    record(transaction, resource, request, "AddTags", tags=request.input["Tags"])
    return {"Tags": all_tags(transaction, resource)}


def delete_tags(transaction: Transaction, request: Request) -> Document:
    """Carry out DeleteTags."""
    resource = _tagged(transaction, request)
    transaction.resources.set_tags(resource.uid, dict.fromkeys(request.input["TagKeys"]))
    record(transaction, resource, request, "DeleteTags", keys=request.input["TagKeys"])
    return {}


def list_tags(transaction: Transaction, request: Request) -> Document:
    """Carry out ListTags."""
    tags = all_tags(transaction, _tagged(transaction, request))
    page, token = paging.oldest_first(tags, request.input.get("NextToken"), paging.size(request.input))
    return {"Tags": page, **({} if token is None else {"NextToken": token})}


def all_tags(transaction: Transaction, resource: Resource) -> list[Document]:
    """Return the tags of a resource as the API shows them, by key."""
    tags = transaction.resources.tags(resource.uid)
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


TAG_OPERATIONS = (
    Operation(name="AddTags", function=add_tags),
    Operation(name="DeleteTags", function=delete_tags),
    Operation(name="ListTags", function=list_tags, writes=False),
)
