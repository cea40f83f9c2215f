"""Which streams a log group has: the hosts of jobs' attempts, instances of endpoints, calls of functions, events."""

from collections.abc import Mapping
from dataclasses import dataclass

from towpath.functions import FUNCTION, FUNCTION_INVOCATION, LOG_GROUPS
from towpath.functions import attempt_keys as keys_of_call
from towpath.functions.kinds import OF_FUNCTION
from towpath.functions.model import InvocationState
from towpath.functions.running import stream_name
from towpath.gateway.services.event_groups import STREAM
from towpath.hosting.model import EndpointState, attempts_of
from towpath.jobs import attempt_keys
from towpath.jobs.cluster import FIRST, hosts_of
from towpath.jobs.state import uid_of
from towpath.kernel import generic
from towpath.kernel.errors import Invalid, NotFound
from towpath.kernel.ports import Filter, Query, Transaction
from towpath.kernel.resource import Resource, view
from towpath.triggers import EVENT_GROUPS, LOG_GROUP

#: Log groups that hold all jobs of a kind.
GROUPS: Mapping[str, str] = {
    "/aws/sagemaker/ProcessingJobs": "ProcessingJob",
    "/aws/sagemaker/TrainingJobs": "TrainingJob",
    "/aws/sagemaker/TransformJobs": "TransformJob",
}
ENDPOINTS = "/aws/sagemaker/Endpoints/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One attempt's output, or that of one of its hosts."""

    name: str
    key: str  #: the attempt, as back ends know it
    host: str = ""  #: as back ends know it: empty for the first one
    created_ms: int


def streams_of(resource: Resource) -> list[Stream]:
    """Return the streams of a job, an endpoint, a call of a function or a group of events, oldest first."""
    if resource.kind == LOG_GROUP.noun:
        return [Stream(name=STREAM, key=resource.uid, created_ms=int(resource.created_at.timestamp() * 1000))]
    if resource.kind == FUNCTION_INVOCATION.noun:
        keys = keys_of_call(resource.uid, view(InvocationState, resource.state))
        created_ms = int(resource.created_at.timestamp() * 1000)
        return [Stream(name=stream_name(key, resource.created_at), key=key, created_ms=created_ms) for key in keys]
    created = int(resource.created_at.timestamp())
    if resource.kind == "Endpoint":
        keys = attempts_of(resource.uid, view(EndpointState, resource.state))
        prefix = f"{resource.uid}-"
        return [Stream(name=f"instance/{key.removeprefix(prefix)}", key=key, created_ms=created * 1000) for key in keys]
    return [
        Stream(
            name=f"{resource.name}/{host}-{created + number}",
            key=key,
            host="" if host == FIRST else host,
            created_ms=(created + number) * 1000,
        )
        for number, key in enumerate(attempt_keys(resource))
        for host in hosts_of(resource.spec)
    ]


def found_streams(
    transaction: Transaction, group: str, prefix: str, limit: int, token: str | None
) -> tuple[list[Stream], str | None]:
    """Return streams whose names begin with `prefix`, and the token of the next page."""
    if group.startswith(LOG_GROUPS):
        of_function = Filter(OF_FUNCTION, "=", group.removeprefix(LOG_GROUPS))
        page = transaction.resources.query(
            Query(kind=FUNCTION_INVOCATION.noun, filters=(of_function,), limit=limit, token=token)
        )
        if not page.items and token is None and transaction.resources.find(FUNCTION.noun, of_function.value) is None:
            raise NotFound(f"The specified log group does not exist: {group!r}.", code="ResourceNotFoundException")
        return [s for call in page.items for s in streams_of(call) if s.name.startswith(prefix)], page.token
    if group.startswith(EVENT_GROUPS):
        of_events = streams_of(generic.find(transaction, LOG_GROUP, group))
        return [stream for stream in of_events if stream.name.startswith(prefix)], None
    name, slash, _ = prefix.partition("/")
    if group.startswith(ENDPOINTS) or slash:
        owner = _owner(transaction, group, name)
        found = [] if owner is None else [s for s in streams_of(owner) if s.name.startswith(prefix)]
        first, _ = read_place(f"{token}/0" if token else None)
        behind = first + limit
        return found[first:behind], str(behind) if behind < len(found) else None
    page = transaction.resources.query(Query(kind=GROUPS[group], limit=limit, token=token))
    return [s for job in page.items for s in streams_of(job) if s.name.startswith(prefix)], page.token


def found_stream(transaction: Transaction, group: str, name: str) -> Stream:
    """Return the stream of a name. Raises NotFound where the group has none (code ResourceNotFoundException)."""
    owner = _owner(transaction, group, name if group.startswith(LOG_GROUPS) else name.partition("/")[0])
    for stream in streams_of(owner) if owner is not None else ():
        if stream.name == name:
            return stream
    raise NotFound(f"The specified log stream does not exist: {name!r} in {group}.", code="ResourceNotFoundException")


def _owner(transaction: Transaction, group: str, name: str) -> Resource | None:
    if group.startswith(EVENT_GROUPS):
        return generic.find(transaction, LOG_GROUP, group)
    if group.startswith(ENDPOINTS):
        return transaction.resources.find("Endpoint", group.removeprefix(ENDPOINTS))
    if group.startswith(LOG_GROUPS):
        call = transaction.resources.get(uid_of(name.rpartition("]")[2]))
        if call is None or not call.is_live or call.kind != FUNCTION_INVOCATION.noun:
            return None
        return call if call.spec["FunctionName"] == group.removeprefix(LOG_GROUPS) else None
    return transaction.resources.find(GROUPS[group], name)


def read_place(token: str | None) -> tuple[int, int]:
    """Return which stream to go on with, and at which offset."""
    if token is None:
        return 0, 0
    position, slash, offset = token.partition("/")
    if not slash or not position.isdecimal() or not offset.isdecimal() or len(token) > 30:
        raise Invalid("The specified nextToken is invalid.", code="InvalidParameterException")
    return int(position), int(offset)
