"""What errors are called on the wire: one table from the kind of an error to code and status, for each protocol and
for services with words of their own.

An error's own `code` wins over the table's. Sources: Amazon SageMaker API Reference, "Common Error Types"; AWS STS API
Reference, "Common Error Types"; Amazon S3 API Reference, "Error Responses".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from towpath.gateway.signing.model import Reason, Refused
from towpath.kernel.errors import (
    Conflict,
    Denied,
    DiskFull,
    InUse,
    Invalid,
    LimitExceeded,
    ModelFailed,
    NotFound,
    TowpathError,
    Unavailable,
    Unsupported,
)


class Protocol(StrEnum):
    """The wire protocols, as botocore names them."""

    JSON = "json"
    REST_JSON = "rest-json"
    QUERY = "query"
    REST_XML = "rest-xml"
    CBOR = "smithy-rpc-v2-cbor"


@dataclass(frozen=True, slots=True, kw_only=True)
class WireError:
    """An error as a client is told of it."""

    code: str
    message: str
    status: int
    details: Mapping[str, str] = field(default_factory=dict)  #: more elements, for protocols whose documents take them


_Row = tuple[str, int]  #: code, HTTP status

#: AWS has no word for it. The status is WebDAV's (RFC 4918, section 11.5); AWS clients pass it on at once, where they
#: would ask a few times more after a 503.
_NO_ROOM: _Row = ("InsufficientStorage", 507)

_JSON: Mapping[type[TowpathError], _Row] = {
    Invalid: ("ValidationException", 400),
    NotFound: ("ResourceNotFound", 400),
    Conflict: ("ConflictException", 400),
    InUse: ("ResourceInUse", 400),
    Denied: ("AccessDeniedException", 403),
    LimitExceeded: ("ResourceLimitExceeded", 400),
    Unsupported: ("UnsupportedOperation", 400),
    Unavailable: ("ServiceUnavailable", 503),
    DiskFull: _NO_ROOM,
    ModelFailed: ("ModelError", 424),
    TowpathError: ("InternalFailure", 500),
}
_KINDS: Mapping[Protocol, Mapping[type[TowpathError], _Row]] = {
    Protocol.JSON: _JSON,
    Protocol.CBOR: _JSON,
    Protocol.REST_JSON: {**_JSON, Invalid: ("ValidationError", 400), NotFound: ("ValidationError", 400)},
    Protocol.QUERY: {
        **_JSON,
        Invalid: ("ValidationError", 400),
        NotFound: ("NoSuchEntity", 404),
        Conflict: ("ConcurrentModification", 409),
        InUse: ("DeleteConflict", 409),
        Denied: ("AccessDenied", 403),
        LimitExceeded: ("LimitExceeded", 409),
    },
    Protocol.REST_XML: {
        Invalid: ("InvalidRequest", 400),
        NotFound: ("NoSuchKey", 404),
        Conflict: ("OperationAborted", 409),
        InUse: ("BucketNotEmpty", 409),
        Denied: ("AccessDenied", 403),
        LimitExceeded: ("SlowDown", 503),
        Unsupported: ("NotImplemented", 501),
        Unavailable: ("ServiceUnavailable", 503),
        DiskFull: _NO_ROOM,
        TowpathError: ("InternalError", 500),
    },
}

#: Where a service has other words than its protocol. Sources: Amazon EventBridge Scheduler API Reference and AWS Lambda
#: API Reference, the errors of each operation.
_OF_SERVICES: Mapping[str, Mapping[type[TowpathError], _Row]] = {
    "scheduler": {Invalid: ("ValidationException", 400), NotFound: ("ResourceNotFoundException", 404)},
    "lambda": {Invalid: ("InvalidParameterValueException", 400), NotFound: ("ResourceNotFoundException", 404)},
}

_JSON_REASONS: Mapping[Reason, _Row] = {
    Reason.MISSING: ("MissingAuthenticationToken", 403),
    Reason.MALFORMED: ("IncompleteSignature", 403),
    Reason.UNKNOWN: ("UnrecognizedClientException", 403),
    Reason.WRONG_TOKEN: ("UnrecognizedClientException", 403),
    Reason.EXPIRED: ("ExpiredTokenException", 403),
    Reason.MISMATCH: ("InvalidSignatureException", 403),
    Reason.SKEWED: ("InvalidSignatureException", 403),
    Reason.TOO_LATE: ("InvalidSignatureException", 403),
    Reason.WRONG_SCOPE: ("InvalidSignatureException", 403),
    Reason.WRONG_BODY: ("InvalidSignatureException", 403),
}
_REASONS: Mapping[Protocol, Mapping[Reason, _Row]] = {
    Protocol.JSON: _JSON_REASONS,
    Protocol.CBOR: _JSON_REASONS,
    Protocol.REST_JSON: _JSON_REASONS,
    Protocol.QUERY: {
        Reason.MISSING: ("MissingAuthenticationToken", 403),
        Reason.MALFORMED: ("IncompleteSignature", 403),
        Reason.UNKNOWN: ("InvalidClientTokenId", 403),
        Reason.WRONG_TOKEN: ("InvalidClientTokenId", 403),
        Reason.EXPIRED: ("ExpiredToken", 403),
        Reason.MISMATCH: ("SignatureDoesNotMatch", 403),
        Reason.SKEWED: ("SignatureDoesNotMatch", 403),
        Reason.TOO_LATE: ("SignatureDoesNotMatch", 403),
        Reason.WRONG_SCOPE: ("SignatureDoesNotMatch", 403),
        Reason.WRONG_BODY: ("SignatureDoesNotMatch", 403),
    },
    Protocol.REST_XML: {
        Reason.MISSING: ("AccessDenied", 403),
        Reason.MALFORMED: ("AuthorizationHeaderMalformed", 400),
        Reason.UNKNOWN: ("InvalidAccessKeyId", 403),
        Reason.WRONG_TOKEN: ("InvalidToken", 400),
        Reason.EXPIRED: ("ExpiredToken", 400),
        Reason.MISMATCH: ("SignatureDoesNotMatch", 403),
        Reason.SKEWED: ("RequestTimeTooSkewed", 403),
        Reason.TOO_LATE: ("AccessDenied", 403),
        Reason.WRONG_SCOPE: ("AuthorizationHeaderMalformed", 400),
        Reason.WRONG_BODY: ("XAmzContentSHA256Mismatch", 400),
    },
}

#: Statuses of codes that errors give themselves, where the status is not the one of the error's kind.
_STATUS_OF_CODE: Mapping[str, int] = {
    "RequestEntityTooLarge": 413,
    "RequestTimeout": 408,
    "InternalFailure": 500,
    "InternalError": 500,
}


#: What the older protocol of SQS called the same errors; clients whose code came before the newer one look for that.
#: Source: the trait awsQueryError in the service's model, and the header x-amzn-query-error in its answers.
_OLDER_CODES: Mapping[str, Mapping[str, str]] = {
    "sqs": {
        "QueueDoesNotExist": "AWS.SimpleQueueService.NonExistentQueue",
        "QueueNameExists": "QueueAlreadyExists",
        "MessageNotInflight": "AWS.SimpleQueueService.MessageNotInflight",
        "UnsupportedOperation": "AWS.SimpleQueueService.UnsupportedOperation",
    },
    "cloudwatch": {
        "InvalidParameterCombinationException": "InvalidParameterCombination",
        "InvalidParameterValueException": "InvalidParameterValue",
        "MissingRequiredParameterException": "MissingParameter",
        "InvalidFormatFault": "InvalidFormat",
        "LimitExceededFault": "LimitExceeded",
        "ValidationException": "ValidationError",
    },
}


def older_code(service: str, error: WireError) -> str | None:
    """Return what an error is called by clients of a service that came before its JSON protocol, None where alike."""
    return _OLDER_CODES.get(service, {}).get(error.code)


def wire_error(error: TowpathError, protocol: Protocol, service: str = "") -> WireError:
    """Return how an error is told in a protocol, and by a service that has words of its own."""
    if isinstance(error, Refused):
        code, status = _REASONS[protocol][error.reason]
        return WireError(code=code, message=error.message, status=status, details=error.details)
    kinds = {**_KINDS[protocol], **_OF_SERVICES.get(service, {})}
    code, status = next(kinds[kind] for kind in type(error).__mro__ if kind in kinds)
    if error.code is not None:
        code, status = error.code, _STATUS_OF_CODE.get(error.code, status)
    return WireError(code=code, message=error.message, status=status)


def internal_error(request_id: str, protocol: Protocol) -> WireError:
    """Return how an error that nobody foresaw is told: not what it was, but where it stands in the log."""
    code, status = _KINDS[protocol][TowpathError]
    return WireError(
        code=code, status=status, message=f"Towpath met an error. The server's log says more under {request_id}."
    )
