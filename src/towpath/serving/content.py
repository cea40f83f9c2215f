"""How a body becomes data and a prediction a body, where a handler script does not say so itself."""

import csv
import io
import json
from collections.abc import Iterable
from typing import Any

JSON = "application/json"
CSV = "text/csv"
NPY = "application/x-npy"
TEXT = "text/plain"
BYTES = "application/octet-stream"
#: What the readers below raise: of JSON and NPY, of bytes that are no text, of NPY cut short, of CSV, of deep JSON.
_FAULTS_OF_BODIES = (ValueError, EOFError, OSError, csv.Error, RecursionError)
ENCODABLE = (JSON, CSV, NPY, TEXT, BYTES)  #: in order of preference


class UnsupportedContentType(Exception):
    """The server cannot read the content type of a request."""


class UnreadableBody(Exception):
    """The body of a request is not what its content type says."""


class UnsupportedAccept(Exception):
    """The server cannot write any type that the caller accepts."""


def media_type(header: str) -> str:
    """Return the bare type of a Content-Type header in lower case, without parameters."""
    return header.partition(";")[0].strip().lower()


def is_utf8(content_type: str) -> bool:
    """Whether bodies of this type are text that handlers receive as `str`."""
    bare = media_type(content_type)
    return bare.startswith("text/") or bare.endswith(("json", "jsonlines", "xml", "csv"))


def decode(body: bytes | str, content_type: str) -> Any:
    """Return the data in a request body: JSON, CSV (rows of numbers or strings), NPY, text or bytes.

    Raises:
        UnsupportedContentType: none of these.
        UnreadableBody: the body is not of its type.
    """
    try:
        return _decode(body, content_type)
    except _FAULTS_OF_BODIES as error:
        raise unreadable(body, content_type, error) from error


def unreadable(body: bytes | str, content_type: str, error: BaseException) -> UnreadableBody:
    """Return the error that tells a caller what is wrong with a body."""
    what = f"{type(error).__name__}: {error}" if body else "it is empty"
    return UnreadableBody(f"The body cannot be read as {media_type(content_type)}: {what}. Send it in that type, whole")


def _decode(body: bytes | str, content_type: str) -> Any:
    bare = media_type(content_type)
    if bare == JSON:
        return json.loads(body)
    if bare == CSV:
        return _rows(body if isinstance(body, str) else body.decode())
    if bare == NPY:
        import numpy as np

        return np.load(io.BytesIO(body.encode() if isinstance(body, str) else body), allow_pickle=False)
    if bare == TEXT:
        return body if isinstance(body, str) else body.decode()
    if bare in {BYTES, "binary/octet-stream"}:
        return body
    raise UnsupportedContentType(
        f"Content type {content_type!r} is not known; send {', '.join(ENCODABLE)}, or define input_fn in the script"
    )


def encode(prediction: Any, accept: str) -> tuple[bytes, str]:
    """Return (body, content type) of a prediction in the first type of `accept` that can be written.

    Raises:
        UnsupportedAccept: `accept` names only other types.
    """
    chosen = _chosen(accept)
    if chosen == JSON:
        return json.dumps(prediction, default=_plain).encode(), JSON
    if chosen == CSV:
        return _csv(prediction).encode(), CSV
    if chosen == NPY:
        import numpy as np

        stream = io.BytesIO()
        np.save(stream, np.asarray(prediction), allow_pickle=False)
        return stream.getvalue(), NPY
    if chosen == TEXT:
        return str(prediction).encode(), TEXT
    return (prediction if isinstance(prediction, bytes) else str(prediction).encode()), BYTES


def _chosen(accept: str) -> str:
    asked = [media_type(part) for part in accept.split(",") if part.strip()] or ["*/*"]
    for wanted in asked:
        if wanted == "*/*":
            return JSON
        for known in ENCODABLE:
            if wanted == known or (wanted.endswith("/*") and known.startswith(wanted[:-1])):
                return known
    raise UnsupportedAccept(
        f"Cannot answer with {accept!r}; ask for {', '.join(ENCODABLE)}, or define output_fn in the script"
    )


def _plain(value: Any) -> Any:
    """Return arrays, tensors and data frames as lists, the way `json` can write them."""
    for method in ("tolist", "to_list", "to_dicts", "to_dict"):
        if hasattr(value, method):
            return getattr(value, method)()
    raise TypeError(f"A prediction of type {type(value).__name__} cannot be written as JSON; define output_fn")


def _rows(text: str) -> list[list[float | str]]:
    return [[_number(cell) for cell in row] for row in csv.reader(io.StringIO(text)) if row]


def _number(cell: str) -> float | str:
    try:
        return float(cell)
    except ValueError:
        return cell


def _csv(prediction: Any) -> str:
    rows = prediction if isinstance(prediction, list | tuple) else _plain(prediction)
    if not isinstance(rows, Iterable) or isinstance(rows, str | dict):
        rows = [rows]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    for row in rows:
        plain = _plain(row) if hasattr(row, "tolist") else row
        writer.writerow(plain if isinstance(plain, list | tuple) else [plain])
    return stream.getvalue()
