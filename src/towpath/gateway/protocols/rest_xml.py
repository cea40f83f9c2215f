"""The XML of the rest-xml and query protocols: documents to elements and back."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from towpath.kernel.errors import Invalid

_TO_MILLISECONDS = len("2026-01-01T00:00:00.000")
XML_TYPE = "application/xml"
_NOT_PLAIN = re.compile("[^\t\n\x20!#-%'-;=?-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  #: to be escaped, or forbidden
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0 cannot hold the rest


def to_xml(root: str, document: Mapping[str, Any] | str, *, namespace: str | None = None) -> bytes:
    """Return a document as XML.

    Mappings become elements, lists become one element an item under the list's own name ("flattened"), booleans and
    times take the protocol's form, None is left out. Characters that XML cannot hold become U+FFFD.
    """
    attribute = f' xmlns="{escape(namespace)}"' if namespace else ""
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{root}{attribute}>{_content(document)}</{root}>'.encode()


def timestamp(at: datetime) -> str:
    """Return an aware UTC time in the protocol's form, with milliseconds."""
    return f"{at.isoformat(timespec='milliseconds')[:_TO_MILLISECONDS]}Z"


def from_xml(body: bytes, *, root: str, lists: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return the document that `body` holds, in UTF-8; namespaces are ignored.

    Args:
        root: name that the outermost element must have.
        lists: names of elements that may come more than once; they become lists even when they come once.
    Raises:
        Invalid: it is not such a document (code MalformedXML).
    """
    try:
        text = body.decode("utf-8")
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise Invalid("A document type declaration is not accepted here; send plain elements.", code="MalformedXML")
        element = ElementTree.fromstring(text)  # as text: an encoding that the document declares is not followed
    except (ElementTree.ParseError, ValueError) as error:
        raise Invalid(f"The request body is not well-formed XML: {error}.", code="MalformedXML") from error
    if _local(element.tag) != root:
        raise Invalid(f"The request body is a <{_local(element.tag)}>; expected a <{root}>.", code="MalformedXML")
    parsed = _value(element, lists)
    return parsed if isinstance(parsed, dict) else {}


def _element(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):  # first, since most are: a page of a list has thousands
        return f"<{name}>{_text(value)}</{name}>"
    if isinstance(value, list | tuple):
        return "".join([_element(name, item) for item in value])
    return f"<{name}>{_content(value)}</{name}>"


def _content(value: Any) -> str:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, dict | Mapping):  # `dict` first: asking the abstract class takes far longer
        return "".join([_element(name, inner) for name, inner in value.items()])
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return timestamp(value)
    return _text(str(value))


def _text(text: str) -> str:
    if _NOT_PLAIN.search(text) is None:
        return text
    kept = _FORBIDDEN.sub("\ufffd", text)
    return escape(kept).replace('"', "&quot;").replace("\r", "&#13;")


def _value(element: ElementTree.Element, lists: frozenset[str]) -> Any:
    if len(element) == 0:
        return element.text or ""
    document: dict[str, Any] = {}
    for child in element:
        name = _local(child.tag)
        if name in lists:
            document.setdefault(name, []).append(_value(child, lists))
        else:
            document[name] = _value(child, lists)
    return document


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]
