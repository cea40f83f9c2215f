"""The request chain: small functions, in order, each of which finds out one thing about a request.

The links up to `authenticate` run on the event loop and do no IO. The links of `CALL` run in a thread, as they ask the
store. What is streamed (S3, invocations) leaves the chain after `authenticate`, and passes `authorize` by itself; see
`app`.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec.structs import replace

from towpath.gateway.errors import Protocol, WireError, older_code
from towpath.gateway.exchange import Exchange, Reply
from towpath.gateway.gateway import BY_PATH, SERVICES, TARGETS, Gateway
from towpath.gateway.protocols import cbor, encodings, json, query, rest_json
from towpath.gateway.protocols.rest_xml import XML_TYPE, to_xml
from towpath.gateway.signing import (
    UNSIGNED_PAYLOAD,
    Reason,
    Refused,
    bearer_token,
    identify_token,
    signature_of,
    v2,
    verify,
)
from towpath.identity.rights import refusal
from towpath.kernel.errors import Invalid, StaleRevision, Unsupported
from towpath.kernel.operations import Function, Operation, Operations, Request
from towpath.kernel.ports import Transaction
from towpath.kernel.principals import AccessKey
from towpath.kernel.resource import Document
from towpath.kernel.shapes import checked, project

if TYPE_CHECKING:
    from botocore.model import OperationModel

Link: TypeAlias = Callable[[Gateway, Exchange], None]

#: Services that the credential scope alone tells, since they have no target header.
_BY_SCOPE: Mapping[str, str] = {
    service.signing_name: service.name
    for service in SERVICES.values()
    if service.speaks(Protocol.QUERY) or service.protocol is Protocol.REST_XML
}
INVOCATION = re.compile(r"/endpoints/[^/]+/invocations")
#: Of the same service, and not offered: path -> operation.
_OTHER_INVOCATIONS = {
    re.compile(r"/endpoints/[^/]+/async-invocations"): "InvokeEndpointAsync",
    re.compile(r"/endpoints/[^/]+/invocations-response-stream"): "InvokeEndpointWithResponseStream",
}
_UNKNOWN_OPERATION = "UnknownOperationException"
_TRIES = 5  #: of an operation that another writer overtook


def identify(gateway: Gateway, exchange: Exchange) -> None:
    """Find the service and the operation: by X-Amz-Target, by the credential scope, by the form, by the path."""
    head = exchange.head
    target = head.headers.get("x-amz-target")
    by_path = cbor.named_by(head)
    if by_path is not None:
        prefix, exchange.operation = by_path
        if prefix not in TARGETS or not TARGETS[prefix].speaks(Protocol.CBOR):
            raise Unsupported(f"Towpath does not serve {prefix!r} by {cbor.NAME}.", code=_UNKNOWN_OPERATION)
        exchange.service, exchange.protocol = TARGETS[prefix].name, Protocol.CBOR
        return
    if target is not None:
        # Of CloudTrail the prefix has dots of its own.
        prefix, dot, exchange.operation = target.rpartition(".")
        if not dot:
            prefix, exchange.operation = target, ""
        if prefix not in TARGETS:
            raise Unsupported(
                f"Towpath does not serve the target {target!r}; it serves {', '.join(sorted(TARGETS))}.",
                code=_UNKNOWN_OPERATION,
            )
        exchange.service, exchange.protocol = TARGETS[prefix].name, Protocol.JSON
        return
    form = head.content_type == query.FORM
    signed_for = _signed_for(exchange)
    if signed_for in {None, "sagemaker"} and head.method == "POST" and INVOCATION.fullmatch(head.path):
        exchange.service, exchange.operation = "sagemaker-runtime", "InvokeEndpoint"
    elif signed_for == "sagemaker" and (other := _other_invocation(head.path)) is not None:
        exchange.service, exchange.operation = "sagemaker-runtime", other
        raise _not_offered(exchange)
    elif (named := _by_path(gateway, exchange, signed_for)) is not None:
        exchange.service, exchange.operation = named
    elif signed_for is not None and signed_for in _BY_SCOPE:
        exchange.service = _BY_SCOPE[signed_for]
        if SERVICES[exchange.service].also:
            exchange.protocol = Protocol.QUERY
    elif signed_for not in {None, "sagemaker"}:
        exchange.service = "sts" if form else "sagemaker"
        raise Unsupported(f"Towpath does not serve the AWS service {signed_for!r}.", code=_UNKNOWN_OPERATION)
    elif signed_for == "sagemaker" or (head.method == "POST" and head.path == "/" and not form):
        exchange.service = "sagemaker"
    else:
        exchange.service = "sts" if form and head.path == "/" else "s3"


def _other_invocation(path: str) -> str | None:
    return next((name for pattern, name in _OTHER_INVOCATIONS.items() if pattern.fullmatch(path)), None)


def _not_offered(exchange: Exchange) -> Unsupported:
    return Unsupported(
        f"{exchange.operation} is an operation of {exchange.service} that Towpath does not offer yet.",
        code=_UNKNOWN_OPERATION,
    )


def _by_path(gateway: Gateway, exchange: Exchange, signed_for: str | None) -> tuple[str, str] | None:
    """Return the service and the operation that method and path mean, of those that a request so signed may be for."""
    for service in BY_PATH:
        if signed_for in {None, service.signing_name}:
            model = gateway.models.service(service.name)
            operation = rest_json.operation_of(model, exchange.head.method, exchange.head.path)
            if operation is not None:
                return service.name, operation
    return None


def _signed_for(exchange: Exchange) -> str | None:
    signature = signature_of(exchange.head)
    return None if signature is None else signature.service


def authenticate(gateway: Gateway, exchange: Exchange) -> None:
    """Find out who is calling."""
    _find_key(gateway, exchange)
    assert exchange.key is not None
    if exchange.key.access_key == gateway.own_key and not exchange.from_here:
        raise Refused(
            Reason.UNKNOWN,
            f"The access key {gateway.own_key!r} is the one that this server made for itself: it is good on the "
            "server's own host alone. Use a key that was made with `towpath keys create NAME`.",
        )


def _find_key(gateway: Gateway, exchange: Exchange) -> None:
    head, service = exchange.head, SERVICES[exchange.service]
    token = bearer_token(head)
    if token is not None:
        exchange.key = identify_token(token, gateway.keys, gateway.clock.now())
        return
    signature = signature_of(head)
    if signature is None:
        exchange.key = _by_presigned_url(gateway, exchange)
        return
    if (
        service.by_path or protocol_of(exchange) in {Protocol.CBOR, Protocol.JSON, Protocol.QUERY}
    ) and UNSIGNED_PAYLOAD in head.headers.get("x-amz-content-sha256", ""):
        raise Refused(Reason.MALFORMED, f"{UNSIGNED_PAYLOAD} is for objects and invocations; sign the document.")
    verified = verify(
        head,
        signature,
        gateway.keys,
        body=exchange.body,
        regions=(gateway.home.region, "us-east-1") if service.anywhere else (gateway.home.region,),
        service=service.signing_name,
        now=gateway.clock.now(),
    )
    exchange.key, exchange.chunks = verified.key, verified.chunks


def _by_presigned_url(gateway: Gateway, exchange: Exchange) -> AccessKey:
    """Return the key of a URL that was signed by version 2, which S3 alone knows."""
    signature = v2.signature_of(exchange.head) if exchange.service == "s3" else None
    if signature is None:
        raise _unsigned(exchange)
    return v2.verify(exchange.head, signature, gateway.keys, now=gateway.clock.now())


def _unsigned(exchange: Exchange) -> Refused:
    if "authorization" in exchange.head.headers:
        return Refused(
            Reason.MALFORMED, "The Authorization header is neither a signature of version 4 nor a bearer token."
        )
    return Refused(
        Reason.MISSING, "Missing authentication token: sign the request (SigV4), or send `Authorization: Bearer TOKEN`."
    )


def parse(gateway: Gateway, exchange: Exchange) -> None:
    """Read the request's document."""
    assert exchange.body is not None
    exchange.body = encodings.decoded(
        exchange.body, exchange.head.headers.get("content-encoding", ""), gateway.limits.document_bytes
    )
    if protocol_of(exchange) is Protocol.QUERY:
        fields = query.fields_of(exchange.head, exchange.body)
        if _signed_for(exchange) is None:
            # A bearer token names no service; the version of the API does.
            exchange.service = _service_of_version(gateway, fields.get("Version", "")) or exchange.service
            exchange.protocol = Protocol.QUERY
        exchange.operation = fields.get("Action", "")
        exchange.document = query.parse(fields, _model(gateway, exchange).input_shape)
        return
    if SERVICES[exchange.service].by_path:
        exchange.document = rest_json.parse(exchange.head, exchange.body, _model(gateway, exchange))
        return
    if exchange.head.method != "POST":
        raise Invalid(f"{exchange.head.method} carries no operation; expected POST.", code="MethodNotAllowedException")
    if protocol_of(exchange) is Protocol.CBOR:
        exchange.document = cbor.parse(exchange.body)
        return
    exchange.document = json.parse(exchange.body, exchange.head.content_type)


def _service_of_version(gateway: Gateway, version: str) -> str | None:
    names = (name for name, service in SERVICES.items() if service.speaks(Protocol.QUERY))
    return next((name for name in names if gateway.models.service(name).api_version == version), None)


def find(gateway: Gateway, exchange: Exchange) -> None:
    """Refuse an operation that is not offered, before anybody is asked to mend its document."""
    _model(gateway, exchange)  # an unknown one is refused in other words
    if exchange.operation not in _operations(gateway, exchange):
        raise _not_offered(exchange)


def check(gateway: Gateway, exchange: Exchange) -> None:
    """Compare the document with the operation's input shape."""
    shape = _model(gateway, exchange).input_shape
    if shape is not None:
        exchange.document = checked(exchange.document, shape)


def authorize(gateway: Gateway, exchange: Exchange) -> None:
    """Refuse what the caller has no right to. Without an operation there is nothing to be allowed."""
    caller, service = exchange.caller, SERVICES[exchange.service].signing_name
    if exchange.operation:
        refused = refusal(caller.principal, caller.roles, service, exchange.operation, exchange.document)
        if refused is not None:
            raise refused


def call(gateway: Gateway, exchange: Exchange) -> None:
    """Carry out the operation."""
    operation = _operations(gateway, exchange)[exchange.operation]
    request = Request(operation=exchange.operation, input=exchange.document, caller=exchange.caller)
    if exchange.begun is None:
        if operation.prepare is not None:
            request = replace(request, prepared=operation.prepare(request))
        answer = _run(gateway, operation, request)
        if operation.finish is None:
            exchange.answer = answer
            return
        exchange.begun = answer
    assert operation.finish is not None, "only what is finished apart was begun before"
    finish: Callable[[Transaction], Document] = partial(
        _applied, operation.finish, replace(request, prepared=exchange.begun)
    )
    exchange.answer = gateway.store.read(finish)


def show(gateway: Gateway, exchange: Exchange) -> None:
    """Leave of the answer what the operation's output shape knows."""
    shape = _model(gateway, exchange).output_shape
    exchange.answer = {} if shape is None else project(exchange.answer, shape)


#: The second half of the chain, for requests that carry documents.
CALL: tuple[Link, ...] = (parse, find, check, authorize, call, show)
#: The same for one that was begun: it is asked for its answer alone.
ANSWER: tuple[Link, ...] = (call, show)


def serialize(gateway: Gateway, exchange: Exchange) -> Reply:
    """Return the answer in the protocol of the service."""
    if protocol_of(exchange) is Protocol.CBOR:
        return cbor.render(exchange.answer, _model(gateway, exchange).output_shape)
    if protocol_of(exchange) is Protocol.QUERY:
        namespace = gateway.models.service(exchange.service).metadata["xmlNamespace"]
        shape = _model(gateway, exchange).output_shape
        return query.render(
            exchange.operation, exchange.answer, shape, namespace=namespace, request_id=exchange.request_id
        )
    if SERVICES[exchange.service].by_path:
        return rest_json.render(exchange.answer, _model(gateway, exchange))
    version = gateway.models.service(exchange.service).metadata.get("jsonVersion", "1.1")
    return json.render(exchange.answer if _model(gateway, exchange).output_shape is not None else None, version=version)


def serialize_error(exchange: Exchange, error: WireError) -> Reply:
    """Return the answer that tells of an error, in the protocol of the service."""
    return _ERRORS[protocol_of(exchange)](exchange, error)


def with_status(gateway: Gateway, exchange: Exchange, error: WireError) -> WireError:
    """Return the error with the status that the service's own model gives its code; JSON protocols know none."""
    if not SERVICES[exchange.service].by_path:
        return error
    model = gateway.models.service(exchange.service)
    if error.code not in model.shape_names:
        return error
    status = model.shape_for(error.code).metadata.get("error", {}).get("httpStatusCode")
    return error if status is None else dataclasses.replace(error, status=int(status))


def protocol_of(exchange: Exchange) -> Protocol:
    """Return the protocol that the client speaks, as far as that was found out."""
    return exchange.protocol or SERVICES[exchange.service].protocol


def _json_error(exchange: Exchange, error: WireError) -> Reply:
    return json.render_error(error, exchange.request_id, older_code=older_code(exchange.service, error))


def _query_error(exchange: Exchange, error: WireError) -> Reply:
    return query.render_error(error, exchange.request_id, older_code=older_code(exchange.service, error))


def _cbor_error(exchange: Exchange, error: WireError) -> Reply:
    return cbor.render_error(error, exchange.request_id, older_code=older_code(exchange.service, error))


def _xml_error(exchange: Exchange, error: WireError) -> Reply:
    document: dict[str, Any] = {"Code": error.code, "Message": error.message, **error.details}
    document |= {"Resource": exchange.head.path, "RequestId": exchange.request_id}
    body = b"" if exchange.head.method == "HEAD" else to_xml("Error", document)
    headers = {"content-type": XML_TYPE, "x-amz-request-id": exchange.request_id}
    if "Region" in error.details:
        headers["x-amz-bucket-region"] = error.details["Region"]  # an answer to HEAD has no body to say it in
    return Reply(status=error.status, headers=headers, body=body)


_ERRORS: Mapping[Protocol, Callable[[Exchange, WireError], Reply]] = {
    Protocol.JSON: _json_error,
    Protocol.REST_JSON: _json_error,
    Protocol.CBOR: _cbor_error,
    Protocol.QUERY: _query_error,
    Protocol.REST_XML: _xml_error,
}


def _model(gateway: Gateway, exchange: Exchange) -> "OperationModel":
    if not exchange.operation:
        raise Unsupported(
            f"{exchange.head.method} {exchange.head.path} names no operation; "
            "expected the header X-Amz-Target, or the form field Action.",
            code=_UNKNOWN_OPERATION,
        )
    model = gateway.models.operation(exchange.service, exchange.operation)
    if model is None:
        raise Unsupported(f"{exchange.service} has no operation {exchange.operation[:128]!r}.", code=_UNKNOWN_OPERATION)
    return model


def _operations(gateway: Gateway, exchange: Exchange) -> Operations:
    return gateway.services.get(exchange.service, gateway.operations)


def _run(gateway: Gateway, operation: Operation, request: Request) -> Document:
    work: Callable[[Transaction], Document] = partial(_applied, operation.function, request)
    if not operation.writes:
        return gateway.store.read(work)
    store = (operation.name.startswith("Delete") and gateway.freeing) or gateway.store
    for _ in range(_TRIES - 1):
        try:
            return store.write(work)
        except StaleRevision:
            continue  # the transaction is undone; the operation decides anew on what the other writer left
    return store.write(work)


def _applied(function: Function, request: Request, transaction: Transaction) -> Document:
    return function(transaction, request)
