"""The json protocols of AWS (1.0, 1.1 and the bodies of rest-json): documents from bytes and back.

Timestamps are epoch seconds and blobs base64 text on this wire, as in projected documents, so nothing has to be turned.
"""

from typing import Any

import msgspec

from towpath.gateway.errors import WireError
from towpath.gateway.exchange import Reply
from towpath.kernel.errors import Invalid
from towpath.kernel.resource import Document
from towpath.kernel.texts import DEEPEST, depth

CONTENT_TYPES = frozenset({"application/x-amz-json-1.1", "application/x-amz-json-1.0", "application/json"})


def parse(body: bytes, content_type: str = "") -> Document:
    """Return the document in a request's body; an empty body is an empty document.

    Members that are null are left out: on this wire they mean the same as absent ones. A null in a list stays, for the
    check by shape to report.

    Raises:
        Invalid: it is not a JSON object, and why (code SerializationException).
    """
    if content_type and content_type not in CONTENT_TYPES:
        raise _unreadable(f"The content type {content_type!r} is not one of {', '.join(sorted(CONTENT_TYPES))}.")
    if not body.strip():
        return {}
    if depth(body) > DEEPEST:
        raise _unreadable(f"The document is nested more than {DEEPEST} levels deep.")
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _unreadable(f"The request body of {len(body)} bytes is not valid JSON: {error}.") from error
    if not isinstance(document, dict):
        raise _unreadable(f"The request body is a JSON {type(document).__name__}; expected an object.")
    return _without_nulls(document) if b"null" in body else document


def render(document: Document | None, *, version: str = "1.1") -> Reply:
    """Return the answer that carries a document; None is an answer without a body."""
    body = b"" if document is None else msgspec.json.encode(document)
    return Reply(headers={"content-type": f"application/x-amz-json-{version}"}, body=body)


def render_error(error: WireError, request_id: str, *, older_code: str | None = None) -> Reply:
    """Return the answer that tells of an error.

    Args:
        older_code: what the error is called in the query protocol, for services whose clients still look for that.
    """
    headers = {"content-type": "application/x-amz-json-1.1", "x-amzn-errortype": error.code}
    if older_code is not None:
        headers["x-amzn-query-error"] = f"{older_code};{'Sender' if error.status < 500 else 'Receiver'}"
    return Reply(
        status=error.status,
        headers=headers,
        body=msgspec.json.encode({"__type": error.code, "message": error.message, **error.details}),
    )


def _unreadable(message: str) -> Invalid:
    return Invalid(message, code="SerializationException")


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value
