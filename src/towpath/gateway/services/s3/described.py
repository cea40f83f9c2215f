"""What headers say of an object: those that come with an upload and those of an answer."""

import base64
import re
from collections.abc import Mapping

from towpath.gateway.services.s3.bodies import content_encoding
from towpath.gateway.services.s3.model import S3Error, S3Request, http_date
from towpath.kernel.objects import Checksum, ObjectVersion

_METADATA_LIMIT = 2048  #: bytes, names and values together
_META = "x-amz-meta-"
_HEADER_TEXT = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")
_DEFAULT_TYPE = "binary/octet-stream"
#: Headers kept with an object and given back with it; among the metadata their names begin with a colon.
_KEPT_HEADERS = ("cache-control", "content-disposition", "content-encoding", "content-language", "expires")


def described(headers: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Return the content type and the metadata that an upload's headers give.

    Raises:
        S3Error: MetadataTooLarge.
    """
    metadata = {name.removeprefix(_META): value for name, value in headers.items() if name.startswith(_META)}
    if sum(len(name) + len(value.encode()) for name, value in metadata.items()) > _METADATA_LIMIT:
        raise S3Error("MetadataTooLarge", f"The metadata is larger than {_METADATA_LIMIT} bytes.")
    kept = {name: headers[name] for name in _KEPT_HEADERS if name in headers}
    kept.pop("content-encoding", None)
    if (encoding := content_encoding(headers)) is not None:
        kept["content-encoding"] = encoding
    metadata |= {f":{name}": value for name, value in kept.items()}
    return headers.get("content-type") or _DEFAULT_TYPE, metadata


def headers_of(version: ObjectVersion) -> dict[str, str]:
    """Return what an answer with the object says of it."""
    return {
        "etag": f'"{version.etag}"',
        "last-modified": http_date(version.created_at),
        "content-type": version.content_type,
        "accept-ranges": "bytes",
        "x-amz-version-id": version.version_id,
        **({"x-amz-tagging-count": str(len(version.tags))} if version.tags else {}),
        **{
            name.removeprefix(":") if name.startswith(":") else _META + name: value
            for name, value in version.metadata.items()
        },
    }


def overridden(request: S3Request) -> dict[str, str]:
    """Return the headers that the query asks to answer with instead of the object's own.

    Raises:
        S3Error: InvalidArgument, a header cannot hold such a value.
    """
    names = ("content-type", *_KEPT_HEADERS)
    values = {name: request.parameter(f"response-{name}") for name in names}
    return {name: header_text(f"response-{name}", value) for name, value in values.items() if value is not None}


def header_text(name: str, value: str) -> str:
    """Return what a query says and a header of the answer is to repeat.

    Raises:
        S3Error: InvalidArgument, a header cannot hold such a value.
    """
    # A line end would let whoever made the link write headers of his own into our answer.
    if not _HEADER_TEXT.fullmatch(value):
        raise S3Error("InvalidArgument", f"{name} is {value[:80]!r}, which no header can hold.")
    return value


def checksum_of(version: ObjectVersion) -> Checksum:
    """Return the checksum that the client chose for an object, else the SHA-256 that every object has."""
    if version.checksum is not None:
        return version.checksum
    return Checksum("sha256", base64.b64encode(bytes.fromhex(version.sha256)).decode("ascii"))


def type_of(checksum: Checksum) -> str:
    """Return the type of a checksum, as S3 names it."""
    return "COMPOSITE" if checksum.is_composite else "FULL_OBJECT"


def checksum_headers(checksum: Checksum | None) -> dict[str, str]:
    """Return the headers that tell of a checksum; none for None."""
    if checksum is None:
        return {}
    return {f"x-amz-checksum-{checksum.algorithm}": checksum.value, "x-amz-checksum-type": type_of(checksum)}


def checksum_members(checksum: Checksum | None) -> dict[str, str]:
    """Return the members of a document that tell of a checksum; none for None."""
    if checksum is None:
        return {}
    return {f"Checksum{checksum.algorithm.upper()}": checksum.value, "ChecksumType": type_of(checksum)}


def checksum_asked_for(request: S3Request, version: ObjectVersion) -> dict[str, str]:
    """Return the object's checksum where the client asks for it, so that it can verify what it receives."""
    asks = request.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED"
    return checksum_headers(checksum_of(version)) if asks else {}
