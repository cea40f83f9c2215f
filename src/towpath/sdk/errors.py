"""What can go wrong on the client's side of the API. Each message says what to do.

ClientError
├── DefinitionError       the pipeline as it is written is wrong; nothing was sent
├── NoServer              no server answers, or none is known
├── ExecutionFailed       a pipeline execution ended other than Succeeded
├── TimedOut              what was waited for did not happen in time
├── ResultUnreadable      what a function returned cannot be made again here
└── RequestFailed         the server refused a request; carries the wire's code, message and HTTP status
    ├── NotFound
    │   └── DataMissing   a pipeline reads a dataset that is not there
    ├── Conflict          a name is taken, or the resource is in the wrong state
    ├── Denied
    ├── NotOffered        the server has no such operation: it may be of an older release
    ├── ModelError        the user's model answered an invocation with an error
    ├── FunctionFailed    the user's function failed while it was called
    └── ServerFault       the server's own fault (5xx)
"""

import re
from typing import Any

from towpath.sdk.constraints import in_words


class ClientError(Exception):
    """Something the caller of the SDK can act on."""


class DefinitionError(ClientError):
    """The pipeline as it is written is wrong."""


class NoServer(ClientError):
    """No server answers."""


class ExecutionFailed(ClientError):
    """A pipeline execution did not succeed."""


class EndpointFailed(ClientError):
    """An endpoint did not come into service with what was deployed."""


class TimedOut(ClientError):
    """What was waited for did not happen in time."""


class ResultUnreadable(ClientError):
    """What a function with `@step` returned cannot be made again here."""


class RequestFailed(ClientError):
    """The server refused a request.

    Args:
        code: the error's code on the wire, for example "ValidationException".
        message: the server's words; printed, the error says what a text may hold in place of a pattern.
        status: the HTTP status, for example 400.
        request_id: what the server's own log calls this request; empty when it gave none.
    """

    def __init__(self, code: str, message: str, *, status: int, request_id: str = "") -> None:
        self.code = code
        self.message = message
        self.status = status
        self.request_id = request_id
        super().__init__(f"{in_words(message)} ({code})" if message else code)


class NotFound(RequestFailed):
    """There is no such resource."""


class DataMissing(NotFound):
    """A pipeline reads a dataset that nobody has put."""


class Conflict(RequestFailed):
    """A name is taken, or the resource is not in a state that allows the request."""


class Denied(RequestFailed):
    """The credentials are missing, wrong, or do not allow the request."""


class NotOffered(RequestFailed):
    """The server has no such operation; it may be of an older release."""


class ModelError(RequestFailed):
    """The model behind an endpoint answered with an error."""


class FunctionFailed(RequestFailed):
    """The function itself failed; `told` holds what it answered: errorType, errorMessage, stackTrace."""

    def __init__(self, name: str, told: dict[str, Any]) -> None:
        self.told = told
        kind, message = told.get("errorType", "Error"), told.get("errorMessage", "")
        super().__init__(str(kind), f"{name} failed: {message}", status=200)


class ServerFault(RequestFailed):
    """The server failed while it answered."""


_DENIED = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_NOT_FOUND = frozenset(
    {"ResourceNotFound", "ResourceNotFoundException", "NoSuchKey", "NoSuchBucket", "NoSuchVersion", "NotFound"}
)
_CONFLICT = frozenset(
    {
        "ConflictException",
        "ResourceAlreadyExistsException",
        "ResourceInUse",
        "ResourceInUseException",
        "PreconditionFailed",
    }
)
#: The SageMaker API answers both "exists already" and "does not exist" with ValidationException; only the text differs.
_EXISTS = re.compile(r"already exist", re.IGNORECASE)
_MISSING = re.compile(r"could not find|does not exist", re.IGNORECASE)


def request_failed(code: str, message: str, *, status: int, request_id: str = "") -> RequestFailed:
    """Return the error of the right kind for an answer of the server."""
    kind: type[RequestFailed] = RequestFailed
    if code in _DENIED or status in {401, 403}:
        kind = Denied
    elif code == "UnknownOperationException":
        kind = NotOffered
    elif code == "ModelError" or status == 424:
        kind = ModelError
    elif code in _NOT_FOUND or status == 404:
        kind = NotFound
    elif code in _CONFLICT or status in {409, 412}:
        kind = Conflict
    elif status >= 500:
        kind = ServerFault
    elif code == "ValidationException" and _EXISTS.search(message):
        kind = Conflict
    elif code == "ValidationException" and _MISSING.search(message):
        kind = NotFound
    return kind(code, message, status=status, request_id=request_id)
