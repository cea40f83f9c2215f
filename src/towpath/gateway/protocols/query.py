"""The query protocol of AWS: documents from form fields, and XML answers by output shapes.

STS and IAM speak it, and older clients of CloudWatch.
"""

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from towpath.gateway.errors import WireError
from towpath.gateway.exchange import Head, Reply
from towpath.gateway.protocols.rest_xml import to_xml
from towpath.kernel.errors import Invalid
from towpath.kernel.resource import Document

if TYPE_CHECKING:
    from botocore.model import Shape

FORM = "application/x-www-form-urlencoded"
_MOST_FIELDS = 100_000  #: PutMetricData takes 1000 metrics of 150 values each


def fields_of(head: Head, body: bytes) -> dict[str, str]:
    """Return the form fields of a request, those of the query first.

    Raises:
        Invalid: the body is not a form.
    """
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError as error:
        raise Invalid(f"The request body is not a form: {error}.", code="MalformedInput") from error
    return dict(head.parameters) | dict(pairs)


def parse(fields: dict[str, str], shape: "Shape | None") -> Document:
    """Return the document that form fields like `Tags.member.1.Key` stand for.

    Raises:
        Invalid: a field is not what the shape wants.
    """
    return {} if shape is None else _structure(fields, shape, "")


def _structure(fields: dict[str, str], shape: "Shape", prefix: str) -> Document:
    document = {}
    for name, member in shape.members.items():
        value = _value(fields, member, prefix + member.serialization.get("name", name))
        if value is not None:
            document[name] = value
    return document


def _value(fields: dict[str, str], shape: "Shape", place: str) -> Any:
    if shape.type_name == "structure":
        return _structure(fields, shape, f"{place}.") or None
    if shape.type_name == "list":
        flat = shape.serialization.get("flattened")
        inner = f"{place}." if flat else f"{place}.{shape.member.serialization.get('name', 'member')}."
        items: list[Any] = []
        while (item := _value(fields, shape.member, f"{inner}{len(items) + 1}")) is not None:
            items.append(item)
        return items or None
    if shape.type_name == "map":
        return _map(fields, shape, f"{place}." if shape.serialization.get("flattened") else f"{place}.entry.")
    text = fields.get(place)
    if text is None:
        return None
    if shape.type_name in {"float", "double", "timestamp"}:
        return _number(text, place, is_time=shape.type_name == "timestamp")
    if shape.type_name in {"integer", "long"}:
        if not text.lstrip("-").isdecimal() or len(text) > 20:
            raise Invalid(f"The field {place} is {text[:40]!r}; expected a whole number.", code="MalformedInput")
        return int(text)
    if shape.type_name == "boolean":
        if text not in {"true", "false"}:
            raise Invalid(f"The field {place} is {text[:40]!r}; expected true or false.", code="MalformedInput")
        return text == "true"
    return text


def _map(fields: dict[str, str], shape: "Shape", inner: str) -> Document | None:
    found: Document = {}
    while (key := fields.get(f"{inner}{len(found) + 1}.key")) is not None:
        found[key] = _value(fields, shape.value, f"{inner}{len(found) + 1}.value")
    return found or None


def _number(text: str, place: str, *, is_time: bool) -> float:
    """Return a number, or a time in ISO 8601 as seconds since 1970."""
    try:
        return float(text)
    except ValueError:
        if is_time:
            with suppress(ValueError):
                at = datetime.fromisoformat(text)
                return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    expected = "a time, such as 2026-01-31T12:00:00Z" if is_time else "a number"
    raise Invalid(f"The field {place} is {text[:40]!r}; expected {expected}.", code="MalformedInput")


def render(operation: str, document: Document, shape: "Shape | None", *, namespace: str, request_id: str) -> Reply:
    """Return the answer of an operation, by its output shape: lists stand under `member`, times in ISO 8601."""
    whole: Document = {f"{operation}Result": _shown(document, shape)} if shape is not None else {}
    whole["ResponseMetadata"] = {"RequestId": request_id}
    return Reply(headers={"content-type": "text/xml"}, body=to_xml(f"{operation}Response", whole, namespace=namespace))


def _shown(value: Any, shape: "Shape") -> Any:
    if shape.type_name == "structure":
        return {name: _shown(inner, shape.members[name]) for name, inner in value.items() if name in shape.members}
    if shape.type_name == "list":
        return {"member": [_shown(item, shape.member) for item in value]}
    if shape.type_name == "map":
        return {"entry": [{"key": name, "value": _shown(inner, shape.value)} for name, inner in value.items()]}
    return datetime.fromtimestamp(value, UTC) if shape.type_name == "timestamp" else value


def render_error(error: WireError, request_id: str, *, older_code: str | None = None) -> Reply:
    """Return the answer that tells of an error.

    Args:
        older_code: what the error is called in this protocol, where newer ones of the service call it otherwise.
    """
    code = older_code or error.code
    fault = {"Type": "Sender" if error.status < 500 else "Receiver", "Code": code, "Message": error.message}
    return Reply(
        status=error.status,
        headers={"content-type": "text/xml"},
        body=to_xml("ErrorResponse", {"Error": fault, "RequestId": request_id}),
    )
