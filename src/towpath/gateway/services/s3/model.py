"""What passes between the front door's request chain and the S3 operations, and the errors of S3."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus

from towpath.gateway.errors import Protocol, wire_error
from towpath.gateway.protocols.rest_xml import XML_TYPE, to_xml
from towpath.gateway.signing.chunks import ChunkSignatures
from towpath.housekeeping.ports import Store
from towpath.kernel.accesses import Readers
from towpath.kernel.arns import Home
from towpath.kernel.errors import TowpathError
from towpath.kernel.objects import ObjectStore
from towpath.kernel.principals import Caller

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Request:
    """A request whose signature has been verified, path style."""

    method: str
    bucket: str | None = None
    key: str | None = None  #: decoded; None for requests to a bucket
    query: list[tuple[str, str]] = field(default_factory=list)  #: decoded, in order; parameters of a signature left out
    headers: Mapping[str, str] = field(default_factory=dict)  #: names in lower case
    body: Iterable[bytes] = ()
    has_come: bool = False  #: whether the body lies in memory, so that refusing before it is read saves nothing
    signatures: ChunkSignatures | None = None  #: of the chunks of the body, where those are signed one by one
    caller: Caller

    def parameter(self, name: str) -> str | None:
        """Return the value of a query parameter, None when it is not there."""
        return next((value for found, value in self.query if found == name), None)

    @property
    def resource(self) -> str:
        """The path, for messages."""
        return "/" + "/".join(part for part in (self.bucket, self.key) if part is not None)

    @property
    def of_bucket(self) -> str:
        """The bucket, of a request that has one."""
        assert self.bucket is not None
        return self.bucket

    @property
    def of_key(self) -> str:
        """The key, of a request that has one."""
        assert self.key is not None
        return self.key


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Response:
    """An answer. An iterator as body is a stream whose length stands in the headers."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Iterator[bytes] = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What the operations work with."""

    store: Store
    objects: ObjectStore
    home: Home
    readers: Readers  #: are told who reads which version
    freeing: Store  #: the same one for deletions, which a full disk does not refuse


class S3Error(TowpathError):
    """The request cannot be answered."""

    def __init__(self, code: str, message: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message, code=code)
        self.headers = dict(headers or {})


#: HTTP status of the codes that the operations here answer with, where it is not 400.
#: Source: Amazon S3 API Reference, "Error Responses".
STATUS: Mapping[str, int] = {
    "AccessDenied": 403,
    "InvalidPartNumber": 416,
    "BucketAlreadyOwnedByYou": 409,
    "BucketNotEmpty": 409,
    "InvalidBucketState": 409,
    "InvalidRange": 416,
    "MethodNotAllowed": 405,
    "MissingContentLength": 411,
    "NoSuchBucket": 404,
    "NoSuchKey": 404,
    "NoSuchUpload": 404,
    "NoSuchVersion": 404,
    "NotImplemented": 501,
    "PreconditionFailed": 412,
}


def error_response(error: TowpathError, request: S3Request) -> S3Response:
    """Return the answer that tells an S3 client of `error`."""
    if isinstance(error, S3Error):
        code, status, headers = error.code, STATUS.get(error.code or "", 400), error.headers
    else:
        told = wire_error(error, Protocol.REST_XML)
        code, status, headers = told.code, told.status, {}
    document = {
        "Code": code,
        "Message": error.message,
        "Resource": request.resource,
        "RequestId": request.caller.request_id,
    }
    body = b"" if request.method == "HEAD" else to_xml("Error", document)
    return S3Response(
        status=status, headers={**headers, "content-type": XML_TYPE, "content-length": str(len(body))}, body=body
    )


def xml_response(
    root: str, document: Mapping[str, object] | str, headers: Mapping[str, str] | None = None
) -> S3Response:
    """Return a document as an answer."""
    body = to_xml(root, document, namespace=NAMESPACE)
    return S3Response(
        headers={**(headers or {}), "content-type": XML_TYPE, "content-length": str(len(body))}, body=body
    )


def empty_response(status: int = 200, headers: Mapping[str, str] | None = None) -> S3Response:
    """Return an answer without a body."""
    length = {} if status == HTTPStatus.NO_CONTENT else {"content-length": "0"}
    return S3Response(status=status, headers={**length, **(headers or {})})


def http_date(at: datetime) -> str:
    """Return an aware UTC time as HTTP headers carry it."""
    days = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    months = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    return f"{days[at.weekday()]}, {at.day:02d} {months[at.month - 1]} {at.year:04d} {at:%H:%M:%S} GMT"
