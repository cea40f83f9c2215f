"""The rest-json protocol of AWS: operations by method and path, and documents from labels, query, headers and body.

Everything is read from the service's model: where a member stands says its `location`, the rest is the JSON body.
Source: Smithy specification, "AWS restJson1 protocol" and "HTTP binding traits".
"""

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import msgspec

from towpath.gateway.exchange import Head, Reply
from towpath.gateway.protocols import json
from towpath.kernel.resource import Document
from towpath.kernel.shapes import coerce

if TYPE_CHECKING:
    from botocore.model import OperationModel, ServiceModel

JSON_TYPE = "application/json"
_NO_CONTENT = 204
_LABEL = re.compile(r"\\\{(\w+)(\\\+)?\\\}")


def operation_of(model: "ServiceModel", method: str, path: str) -> str | None:
    """Return the operation of a service that a method and a path mean, None when it has no such operation."""
    found = [
        (_literal_length(operation), name)
        for name in model.operation_names
        if (operation := model.operation_model(name)).http["method"] == method
        and _pattern(_path_of(operation)).fullmatch(path)
    ]
    # A path may fit two templates, /a/{name} and /a/list: the one that says more is meant.
    return max(found)[1] if found else None


def _path_of(operation: "OperationModel") -> str:
    path: str = operation.http["requestUri"].partition("?")[0]
    return path


def _literal_length(operation: "OperationModel") -> int:
    return len(re.sub(r"\{[^}]*\}", "", _path_of(operation)))


@lru_cache(maxsize=1024)
def _pattern(template: str) -> re.Pattern[str]:
    """Return a template such as `/schedules/{Name}` as a pattern; `{Name+}` takes slashes in."""
    escaped = re.escape(template.rstrip("/"))
    return re.compile(_LABEL.sub(lambda label: f"(?P<{label[1]}>{'.+' if label[2] else '[^/]+'})", escaped) + "/?")


def parse(head: Head, body: bytes, operation: "OperationModel") -> Document:
    """Return the document that a request carries in its path, query, headers and body.

    Raises:
        Invalid: the body is not what the operation wants.
    """
    shape: Any = operation.input_shape
    if shape is None:
        return {}
    payload = shape.serialization.get("payload")
    document: Document = {}
    if payload is None:
        document = json.parse(body, head.content_type)
    elif body:
        document = {payload: _payload(body, head.content_type, shape.members[payload].type_name)}
    match = _pattern(_path_of(operation)).fullmatch(head.path)
    labels = {} if match is None else match.groupdict()
    for name, member in shape.members.items():
        value = _outside_the_body(member, member.serialization.get("name", name), head, labels)
        if value is not None:
            document[name] = coerce(value, member)
    return document


def _payload(body: bytes, content_type: str, kind: str) -> Any:
    if kind == "structure":
        return json.parse(body, content_type)
    return body if kind == "blob" else body.decode("utf-8", "replace")


def _outside_the_body(member: Any, wire_name: str, head: Head, labels: dict[str, str]) -> Any:
    match member.serialization.get("location"):
        case "uri":
            return unquote(labels[wire_name]) if wire_name in labels else None
        case "querystring" if member.type_name == "map":
            return dict(head.parameters)
        case "querystring":
            given = [value for name, value in head.parameters if name == wire_name]
            return (given if member.type_name == "list" else given[-1]) if given else None
        case "header":
            return head.headers.get(wire_name.lower())
        case "headers":
            prefix = wire_name.lower()
            return {name.removeprefix(prefix): value for name, value in head.headers.items() if name.startswith(prefix)}
    return None


def render(document: Document, operation: "OperationModel") -> Reply:
    """Return the answer of an operation: what its shape places there in headers and status, the rest as the body."""
    shape: Any = operation.output_shape
    status = int(operation.http.get("responseCode", 200))
    headers = {"content-type": JSON_TYPE}
    if shape is None:
        return Reply(status=status, headers=headers)
    body = dict(document)
    for name, member in shape.members.items():
        location = member.serialization.get("location")
        if location is None or name not in body:
            continue
        value = body.pop(name)
        if location == "statusCode":
            status = int(value)
        elif location == "header":
            headers[member.serialization.get("name", name).lower()] = str(value)
    payload = shape.serialization.get("payload")
    if payload is not None and shape.members[payload].type_name == "blob":
        held: Any = body.get(payload, b"")
    else:
        held = body if payload is None else body.get(payload, {})
    if status == _NO_CONTENT:
        return Reply(status=status)
    return Reply(status=status, headers=headers, body=held if isinstance(held, bytes) else msgspec.json.encode(held))
