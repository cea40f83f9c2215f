"""The operations of AWS Lambda that are offered here.

Source: AWS Lambda API Reference.
"""

import base64
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid5

import msgspec

from towpath.functions.code import CodeStore, give_up, put, sha256_shown
from towpath.functions.invoking import CODE, begin, code_of, find_function
from towpath.functions.kinds import FUNCTION, FUNCTION_INVOCATION
from towpath.functions.model import (
    LATEST,
    LOG_GROUPS,
    RETRIES,
    FunctionSpec,
    InvocationState,
    InvocationStatus,
    attempt_key,
)
from towpath.functions.requests import INVALID, arn_of, configuration, named, payload_of, refuse_what_is_not_here
from towpath.jobs.ports import ComputeBackend
from towpath.kernel import generic
from towpath.kernel.errors import Conflict, Invalid, NotFound, TowpathError, Unavailable
from towpath.kernel.objects import ObjectStore
from towpath.kernel.operations import NotYet, Operation, Request
from towpath.kernel.ports import Query, Store, Transaction
from towpath.kernel.resource import Document, Resource, view

CONFIGURATION = "Configuration"  #: member of a function's spec: a FunctionSpec
_LABELS = ("Description", "Role", "TracingConfig", "EphemeralStorage", "Architectures")
_DEFAULTS: Document = {
    "Description": "",
    "Architectures": ["x86_64"],
    "EphemeralStorage": {"Size": 512},
    "TracingConfig": {"Mode": "PassThrough"},
}
_PAGE = 50
#: Nobody waits longer for an answer; the call itself goes on.
_PATIENCE_S = 3600.0
_LOG_BYTES = 4096  #: of the log that comes with an answer. Source: AWS Lambda API Reference, Invoke


class Functions:
    """The operations on functions, and their calls."""

    def __init__(self, store: Store, objects: ObjectStore, backend: ComputeBackend) -> None:
        self._code = CodeStore(store, objects)
        self._backend = backend

    def operations(self) -> dict[str, Operation]:
        """Return the operations by name."""
        rows: tuple[tuple[str, Callable[[Any, Request], Document], bool], ...] = (
            ("UpdateFunctionConfiguration", update_function_configuration, True),
            ("GetFunction", get_function, False),
            ("GetFunctionConfiguration", get_function_configuration, False),
            ("ListFunctions", list_functions, False),
            ("DeleteFunction", delete_function, True),
            ("TagResource", tag_resource, True),
            ("UntagResource", untag_resource, True),
            ("ListTags", list_tags, False),
        )
        found = {name: Operation(name=name, function=function, writes=writes) for name, function, writes in rows}
        for name, function in (("CreateFunction", create_function), ("UpdateFunctionCode", update_function_code)):
            found[name] = Operation(name=name, function=function, prepare=self._take_in)
        found["Invoke"] = Operation(name="Invoke", function=invoke, finish=self._answered)
        return found

    def _take_in(self, request: Request) -> Any:
        asked = request.input
        if request.operation == "CreateFunction":
            configuration(asked)  # before its code is written down for nothing
            asked = asked["Code"]
        refuse_what_is_not_here(asked)
        return self._code.take_in(asked)

    def _answered(self, transaction: Transaction, request: Request) -> Document:
        """Return what came of a call; of one that nobody waits for, that it was begun."""
        begun: Document = request.prepared
        if "Call" not in begun:
            return begun
        call = transaction.resources.get(begun["Call"])
        if call is None:
            raise NotFound("The call is gone", code="ResourceNotFoundException")
        if not InvocationStatus(call.status or "").is_over:
            raise NotYet(
                answer=Unavailable(
                    f"The call {call.name} has not ended; it goes on, and what comes of it stands in its log",
                    code="ServiceException",
                ),
                kind=FUNCTION_INVOCATION.noun,
                patience_s=_PATIENCE_S,
                again_s=None,
            )
        return self._shown(call, with_log=begun["Log"])

    def _shown(self, call: Resource, *, with_log: bool) -> Document:
        state = view(InvocationState, call.state)
        if state.answer is None:
            raise _without_answer(call, state)
        shown: Document = {"StatusCode": 200, "ExecutedVersion": LATEST, "Payload": state.answer.encode()}
        if state.function_error is not None:
            shown["FunctionError"] = state.function_error
        if with_log:
            page = self._backend.log(attempt_key(call.uid, state.attempt), start=-2 * _LOG_BYTES)
            text = "".join(f"{line.text}\n" for line in page.lines).encode()[-_LOG_BYTES:]
            shown["LogResult"] = base64.b64encode(text).decode()
        return shown


def _without_answer(call: Resource, state: InvocationState) -> TowpathError:
    why = state.failure_reason or "it was stopped"
    return Unavailable(f"The call {call.name} has no answer: {why}", code="ServiceException")


def create_function(transaction: Transaction, request: Request) -> Document:
    """Carry out CreateFunction."""
    asked = request.input
    name = named(asked["FunctionName"], transaction.home)
    there = transaction.resources.find(FUNCTION.noun, name)
    if there is not None:
        raise Conflict(f"Function already exist: {name}", code="ResourceConflictException")
    spec: Document = {member: asked[member] for member in _LABELS if asked.get(member) is not None}
    spec[CONFIGURATION] = msgspec.to_builtins(configuration(asked))
    code = put(transaction, name, request.prepared, by=request.caller.principal)
    tags = asked.get("Tags") or {}
    plain = msgspec.structs.replace(request, input={})
    arn = arn_of(name, transaction.home)
    state = {CODE: msgspec.to_builtins(code)}
    function = generic.create(transaction, FUNCTION, plain, name=name, spec=spec, state=state, arn=arn)
    if tags:
        transaction.resources.set_tags(function.uid, dict(tags))
    return _configuration(function)


def update_function_code(transaction: Transaction, request: Request) -> Document:
    """Carry out UpdateFunctionCode. Calls that were begun keep the code that they began with."""
    function = _function(transaction, request)
    _check_revision(function, request)
    before = code_of(function)
    if request.input.get("DryRun"):
        return _configuration(function)
    code = put(transaction, function.name, request.prepared, by=request.caller.principal)
    if not code.is_ours:
        give_up(transaction, before, at=transaction.now, by=request.caller.principal)
    function = transaction.resources.replace(
        function, state={CODE: msgspec.to_builtins(code)}, generation=function.generation + 1
    )
    generic.record(transaction, function, request, request.operation)
    return _configuration(function)


def update_function_configuration(transaction: Transaction, request: Request) -> Document:
    """Carry out UpdateFunctionConfiguration: what is not given stays."""
    function = _function(transaction, request)
    _check_revision(function, request)
    asked = request.input
    changed = configuration(asked, _spec(function))
    labels = {member: asked[member] for member in _LABELS if asked.get(member) is not None}
    spec = {**function.spec, **labels, CONFIGURATION: msgspec.to_builtins(changed)}
    function = transaction.resources.replace(function, spec=spec, generation=function.generation + 1)
    generic.record(transaction, function, request, request.operation)
    return _configuration(function)


def get_function(transaction: Transaction, request: Request) -> Document:
    """Carry out GetFunction. Where the code lies is told by its address in S3."""
    function = _function(transaction, request)
    code = code_of(function)
    answer: Document = {
        "Configuration": _configuration(function),
        "Code": {"RepositoryType": "S3", "Location": f"{code.ref.uri}?versionId={code.version_id}"},
    }
    tags = transaction.resources.tags(function.uid)
    return {**answer, "Tags": tags} if tags else answer


def get_function_configuration(transaction: Transaction, request: Request) -> Document:
    """Carry out GetFunctionConfiguration."""
    return _configuration(_function(transaction, request))


def list_functions(transaction: Transaction, request: Request) -> Document:
    """Carry out ListFunctions, by name."""
    if request.input.get("MasterRegion") not in {None, "ALL"}:
        return {"Functions": []}  # it asks for copies of functions of Lambda@Edge
    limit = min(int(request.input.get("MaxItems") or _PAGE), _PAGE)
    page = transaction.resources.query(
        Query(
            kind=FUNCTION.noun, sort_by="name", descending=False, limit=limit, token=request.input.get("Marker") or None
        )
    )
    return {"Functions": [_configuration(each) for each in page.items], "NextMarker": page.token}


def delete_function(transaction: Transaction, request: Request) -> Document:
    """Carry out DeleteFunction. Calls that were begun go on, and their logs stay."""
    function = _function(transaction, request)
    give_up(transaction, code_of(function), at=transaction.now, by=request.caller.principal)
    transaction.resources.replace(function, deleted_at=transaction.now)
    generic.record(transaction, function, request, request.operation)
    return {"StatusCode": 204}


def invoke(transaction: Transaction, request: Request) -> Document:
    """Carry out the first half of Invoke: begin the call, or only look whether one could begin."""
    asked = request.input
    function = _function(transaction, request)
    kind = asked.get("InvocationType") or "RequestResponse"
    payload = payload_of(asked.get("Payload"), awaited=kind != "Event")
    if kind == "DryRun":
        return {"StatusCode": 204}
    call = begin(
        transaction,
        request,
        function,
        payload,
        retries=RETRIES if kind == "Event" else 0,
        client_context=_client_context(asked.get("ClientContext")),
    )
    if kind == "Event":
        return {"StatusCode": 202}
    return {"Call": call.uid, "Log": asked.get("LogType") == "Tail"}


def tag_resource(transaction: Transaction, request: Request) -> Document:
    """Carry out TagResource."""
    function = find_function(transaction, request.input["Resource"])
    transaction.resources.set_tags(function.uid, dict(request.input["Tags"]))
    generic.record(transaction, function, request, request.operation, tags=request.input["Tags"])
    return {}


def untag_resource(transaction: Transaction, request: Request) -> Document:
    """Carry out UntagResource."""
    function = find_function(transaction, request.input["Resource"])
    transaction.resources.set_tags(function.uid, dict.fromkeys(request.input["TagKeys"]))
    generic.record(transaction, function, request, request.operation, keys=request.input["TagKeys"])
    return {}


def list_tags(transaction: Transaction, request: Request) -> Document:
    """Carry out ListTags."""
    return {"Tags": transaction.resources.tags(find_function(transaction, request.input["Resource"]).uid)}


def _function(transaction: Transaction, request: Request) -> Resource:
    return find_function(transaction, request.input["FunctionName"], request.input.get("Qualifier"))


def _spec(function: Resource) -> FunctionSpec:
    return view(FunctionSpec, function.spec[CONFIGURATION])


def _configuration(function: Resource) -> Document:
    """Return a function as every operation shows it. It is active at once: nothing has to be made for it."""
    spec, code = _spec(function), code_of(function)
    shown: Document = {
        **_DEFAULTS,
        **{member: function.spec[member] for member in _LABELS if member in function.spec},
        "FunctionName": function.name,
        "FunctionArn": function.arn,
        "Runtime": spec.runtime,
        "Handler": spec.handler,
        "Timeout": spec.timeout,
        "MemorySize": spec.memory_size,
        "CodeSize": code.size,
        "CodeSha256": sha256_shown(code),
        "LastModified": function.modified_at.strftime("%Y-%m-%dT%H:%M:%S.")
        + f"{function.modified_at.microsecond // 1000:03d}+0000",
        "Version": LATEST,
        "RevisionId": _revision(function),
        "State": "Active",
        "LastUpdateStatus": "Successful",
        "PackageType": "Zip",
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": LOG_GROUPS + function.name},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
    }
    return {**shown, "Environment": {"Variables": spec.variables}} if spec.variables else shown


def _revision(function: Resource) -> str:
    return str(uuid5(UUID(function.uid), str(function.generation)))


def _check_revision(function: Resource, request: Request) -> None:
    given = request.input.get("RevisionId")
    if given is not None and given != _revision(function):
        raise Conflict(
            "The Revision Id provided does not match the latest Revision Id. Call the GetFunction API to retrieve the "
            "latest Revision Id",
            code="PreconditionFailedException",
        )


def _client_context(given: str | None) -> str:
    """Return the context that a client sends along, as JSON."""
    if not given:
        return ""
    try:
        text = base64.b64decode(given, validate=True).decode("utf-8")
        told = msgspec.json.decode(text)
    except (ValueError, msgspec.DecodeError) as error:
        raise Invalid(f"ClientContext is not JSON in base64: {error}", code=INVALID) from error
    if not isinstance(told, dict):
        raise Invalid("ClientContext is JSON, and no object", code=INVALID)
    return text
