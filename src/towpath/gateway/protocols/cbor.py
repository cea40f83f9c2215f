"""The protocol rpc-v2-cbor of AWS: documents from CBOR, and answers in it by output shapes.

Sources: RFC 8949, "Concise Binary Object Representation (CBOR)"; Smithy specification, "Smithy RPC v2 CBOR protocol".
"""

import base64
import re
import struct
from typing import TYPE_CHECKING, Any

from towpath.gateway.errors import WireError
from towpath.gateway.exchange import Head, Reply
from towpath.kernel.errors import Invalid
from towpath.kernel.resource import Document
from towpath.kernel.texts import DEEPEST

if TYPE_CHECKING:
    from botocore.model import Shape

HEADER, NAME = "smithy-protocol", "rpc-v2-cbor"  #: what a request and an answer say of themselves
CONTENT_TYPE = "application/cbor"

_PATH = re.compile(r"/service/([A-Za-z0-9_.]+)/operation/([A-Za-z0-9_]+)")
_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(8)
_INDEFINITE = 31
_BREAK = object()
_EPOCH_TAG = 1  #: seconds since 1970
_SIMPLE_VALUES = {20: False, 21: True, 22: None, 23: None}
_FLOATS = {25: ">e", 26: ">f", 27: ">d"}
_LENGTHS = {24: 1, 25: 2, 26: 4, 27: 8}


def named_by(head: Head) -> tuple[str, str] | None:
    """Return the target (as X-Amz-Target would begin) and the operation that a request names, None for others'."""
    if head.headers.get(HEADER) != NAME:
        return None
    found = _PATH.fullmatch(head.path)
    return None if found is None else (found[1], found[2])


def parse(body: bytes) -> Document:
    """Return the document in a request's body; an empty body is an empty document.

    Members that are null are left out. A time becomes seconds since 1970, bytes become base64 text.

    Raises:
        Invalid: it is not a map in CBOR, and why (code SerializationException).
    """
    if not body:
        return {}
    reader = _Reader(body)
    document = reader.item(0)
    if not isinstance(document, dict):
        raise _unreadable(f"The request body is no map but {type(document).__name__}.")
    if reader.position != len(body):
        raise _unreadable(f"{len(body) - reader.position} bytes follow the document.")
    return document


def render(document: Document, shape: "Shape | None") -> Reply:
    """Return the answer of an operation, by its output shape; without one the answer has no body."""
    headers = {HEADER: NAME}
    if shape is None:
        return Reply(headers=headers)
    out = bytearray()
    _write(out, document, shape)
    return Reply(headers={**headers, "content-type": CONTENT_TYPE}, body=bytes(out))


def render_error(error: WireError, request_id: str, *, older_code: str | None = None) -> Reply:
    """Return the answer that tells of an error.

    Args:
        older_code: what the error is called in the query protocol, for services whose clients still look for that.
    """
    headers = {HEADER: NAME, "content-type": CONTENT_TYPE, "x-amzn-requestid": request_id}
    if older_code is not None:
        headers["x-amzn-query-error"] = f"{older_code};{'Sender' if error.status < 500 else 'Receiver'}"
    out = bytearray()
    told = {"__type": error.code, "message": error.message, **error.details}
    _head(out, _MAP, len(told))
    for name, text in told.items():
        _text(out, name)
        _text(out, text)
    return Reply(status=error.status, headers=headers, body=bytes(out))


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0

    def item(self, depth: int, *, may_end: bool = False) -> Any:
        if depth > DEEPEST:
            raise _unreadable(f"The document is nested more than {DEEPEST} levels deep.")
        first = self._take(1)[0]
        major, info = first >> 5, first & 31
        if major == _SIMPLE:
            return self._simple(info, may_end=may_end)
        if info == _INDEFINITE:
            return self._indefinite(major, depth)
        size = self._argument(info)
        match major:
            case 0:
                return size
            case 1:
                return -1 - size
            case 2:
                return base64.b64encode(self._take(size)).decode()
            case 3:
                return self._decoded(self._take(size))
            case 4:
                return [self.item(depth + 1) for _ in range(self._fitting(size))]
            case 5:
                pairs = ((self._key(depth), self.item(depth + 1)) for _ in range(self._fitting(size)))
                return {name: value for name, value in pairs if value is not None}
            case _:
                return self._tagged(size, depth)

    def _take(self, size: int) -> bytes:
        found = self._data[self.position : self.position + size]
        if len(found) != size:
            raise _unreadable(f"The request body of {len(self._data)} bytes ends in the middle of a value.")
        self.position += size
        return found

    def _argument(self, info: int) -> int:
        if info < 24:
            return info
        if info not in _LENGTHS:
            raise _unreadable(f"The byte before {self.position} begins no value.")
        return int.from_bytes(self._take(_LENGTHS[info]))

    def _fitting(self, size: int) -> int:
        """Return a count of items after comparing it with what is left: each takes a byte at least."""
        if size > len(self._data) - self.position:
            raise _unreadable(f"The request body of {len(self._data)} bytes ends in the middle of a value.")
        return size

    def _simple(self, info: int, *, may_end: bool) -> Any:
        if info in _FLOATS:
            return struct.unpack(_FLOATS[info], self._take(_LENGTHS[info]))[0]
        if info == _INDEFINITE and may_end:
            return _BREAK
        if info not in _SIMPLE_VALUES:
            raise _unreadable(f"The byte before {self.position} begins no value.")
        return _SIMPLE_VALUES[info]

    def _key(self, depth: int) -> str:
        key = self.item(depth + 1)
        if not isinstance(key, str):
            raise _unreadable(f"The name of a member is no text; it ends at byte {self.position}.")
        return key

    def _indefinite(self, major: int, depth: int) -> Any:
        if major in (_BYTES, _TEXT):
            parts = bytearray()
            while (first := self._take(1)[0]) != 0xFF:
                if first >> 5 != major or first & 31 == _INDEFINITE:
                    raise _unreadable(f"A text in pieces holds something else, at byte {self.position}.")
                parts += self._take(self._argument(first & 31))
            return self._decoded(bytes(parts)) if major == _TEXT else base64.b64encode(parts).decode()
        if major == _ARRAY:
            items = []
            while (item := self.item(depth + 1, may_end=True)) is not _BREAK:
                items.append(item)
            return items
        if major == _MAP:
            members = {}
            while (name := self.item(depth + 1, may_end=True)) is not _BREAK:
                if not isinstance(name, str):
                    raise _unreadable(f"The name of a member is no text; it ends at byte {self.position}.")
                if (value := self.item(depth + 1)) is not None:
                    members[name] = value
            return members
        raise _unreadable(f"The byte before {self.position} begins no value.")

    def _tagged(self, tag: int, depth: int) -> Any:
        if tag != _EPOCH_TAG:
            raise _unreadable(f"A value has the tag {tag}; expected {_EPOCH_TAG}, seconds since 1970, or none.")
        return self.item(depth + 1)

    def _decoded(self, data: bytes) -> str:
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise _unreadable(f"A text before byte {self.position} is not UTF-8.") from error


def _write(out: bytearray, value: Any, shape: "Shape") -> None:
    """Append a value as its shape wants it."""
    match shape.type_name:
        case "structure":
            known = [(name, inner) for name, inner in value.items() if name in shape.members and inner is not None]
            _head(out, _MAP, len(known))
            for name, inner in known:
                _text(out, name)
                _write(out, inner, shape.members[name])
        case "list":
            _head(out, _ARRAY, len(value))
            for item in value:
                _write(out, item, shape.member)
        case "map":
            _head(out, _MAP, len(value))
            for name, inner in value.items():
                _text(out, name)
                _write(out, inner, shape.value)
        case "timestamp":
            _head(out, _TAG, _EPOCH_TAG)
            out += b"\xfb" + struct.pack(">d", float(value))
        case "float" | "double":
            out += b"\xfb" + struct.pack(">d", float(value))
        case "boolean":
            out.append(0xF5 if value else 0xF4)
        case "integer" | "long" | "short" | "byte" | "biginteger":
            _head(out, _UNSIGNED if value >= 0 else _NEGATIVE, value if value >= 0 else -1 - value)
        case "blob":
            data = base64.b64decode(value)
            _head(out, _BYTES, len(data))
            out += data
        case _:
            _text(out, str(value))


def _text(out: bytearray, text: str) -> None:
    data = text.encode()
    _head(out, _TEXT, len(data))
    out += data


def _head(out: bytearray, major: int, size: int) -> None:
    """Append the first bytes of an item, in the shortest form."""
    if size < 24:
        out.append(major << 5 | size)
        return
    info = next(info for info, length in _LENGTHS.items() if size < 1 << (8 * length))
    out.append(major << 5 | info)
    out += size.to_bytes(_LENGTHS[info])


def _unreadable(message: str) -> Invalid:
    return Invalid(message, code="SerializationException")
