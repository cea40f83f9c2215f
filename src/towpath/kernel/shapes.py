"""What a document must look like: checks, coercions and projections by botocore shapes.

The shapes are handed in as plain data; nothing here reads a file or knows a protocol. Documents are JSON as AWS carries
it: timestamps are epoch seconds, blobs are base64 text.
"""

import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import cache, lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, Any

from towpath.kernel.errors import Invalid
from towpath.kernel.resource import Document

if TYPE_CHECKING:
    # Importing botocore costs 0.2 s, and only its front door and the engine, who hold a model already, come here.
    from botocore.model import Shape

Path = tuple[str | int, ...]  #: member names and 0-based list positions from the root of the document

#: Seconds since the epoch that a datetime can hold: the years 1 to 9999.
_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799
_INTEGER_BITS = {"integer": 31, "long": 63}
#: Deeper than any shape of AWS; recursive shapes (Search) could otherwise exhaust the stack.
_DEEPEST = 64
_SHOWN_CHARACTERS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong with a document, and where."""

    path: Path
    constraint: str  #: what was expected, in AWS's words: "Member must not be null"
    value: Any = None
    secret: bool = False  #: the value must not be shown

    @property
    def place(self) -> str:
        """The place in our words: `InputDataConfig[0].ChannelName`."""
        text = ""
        for part in self.path:
            text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
        return text

    @property
    def aws_place(self) -> str:
        """The place in AWS's words: `inputDataConfig.1.member.channelName`."""
        return ".".join(
            f"{part + 1}.member" if isinstance(part, int) else part[:1].lower() + part[1:] for part in self.path
        )

    def __str__(self) -> str:
        shown = "" if self.secret else f" '{_shown(self.value)}'"
        return f"Value{shown} at '{self.aws_place}' failed to satisfy constraint: {self.constraint}"


def explain(faults: list[Fault]) -> str:
    """Return the message that AWS answers a request with these faults with."""
    if len(faults) == 1:
        return f"1 validation error detected: {faults[0]}"
    return f"{len(faults)} validation errors detected: " + "; ".join(map(str, faults))


def checked(document: Any, shape: "Shape") -> Document:
    """Return `document` when it has no faults.

    Raises:
        Invalid: names every fault and its place.
    """
    faults = check(document, shape)
    if faults:
        raise Invalid(explain(faults), code="ValidationException")
    assert isinstance(document, dict)
    return document


def check(document: Any, shape: "Shape") -> list[Fault]:
    """Return what is wrong with `document` as a value of `shape`, in the order of the shape.

    Members that the shape does not know are no fault: clients may be newer than we are. A member that is null counts as
    absent. Idempotency tokens may be absent, since only some clients fill them in.
    """
    return list(_faults(document, shape, ()))


def _faults(value: Any, shape: "Shape", path: Path) -> Iterator[Fault]:
    if len(path) > _DEEPEST:
        yield Fault(path=path, value="…", constraint=f"Member must be nested at most {_DEEPEST} levels deep")
        return
    kind = shape.type_name
    if kind == "structure":
        yield from _structure_faults(value, shape, path)
    elif kind == "list":
        yield from _list_faults(value, shape, path)
    elif kind == "map":
        yield from _map_faults(value, shape, path)
    elif kind in {"string", "char"}:
        yield from _string_faults(value, shape, path)
    elif kind in {"integer", "long", "float", "double", "bigdecimal"}:
        yield from _number_faults(value, shape, path)
    elif kind == "boolean":
        if not isinstance(value, bool):
            yield _wrong_type(value, "a boolean", path)
    elif kind == "timestamp":
        if not _is_number(value) or not _FIRST_SECOND <= value <= _LAST_SECOND:
            yield _wrong_type(value, "a timestamp in seconds since 1970", path)
    elif kind == "blob" and not isinstance(value, str | bytes):
        yield _wrong_type(value, "base64 text", path)


def _structure_faults(value: Any, shape: "Shape", path: Path) -> Iterator[Fault]:
    if not isinstance(value, dict):
        yield _wrong_type(value, "a structure", path)
        return
    members: Mapping[str, Shape] = shape.members
    required = set(shape.required_members)
    for name, member in members.items():
        if value.get(name) is not None:
            yield from _faults(value[name], member, (*path, name))
        elif name in required and not member.metadata.get("idempotencyToken"):
            yield Fault(path=(*path, name), value=None, constraint="Member must not be null")
    if shape.metadata.get("union"):
        given = [name for name in members if value.get(name) is not None]
        if len(given) > 1:
            yield Fault(
                path=path, value=", ".join(given), constraint=f"Member must have exactly one of {', '.join(members)}"
            )


def _list_faults(value: Any, shape: "Shape", path: Path) -> Iterator[Fault]:
    if not isinstance(value, list):
        yield _wrong_type(value, "a list", path)
        return
    yield from length_faults(value, shape, path)
    for position, item in enumerate(value):
        yield from _faults(item, shape.member, (*path, position))


def _map_faults(value: Any, shape: "Shape", path: Path) -> Iterator[Fault]:
    if not isinstance(value, dict):
        yield _wrong_type(value, "a map", path)
        return
    yield from length_faults(value, shape, path)
    for key, item in value.items():
        for fault in _faults(key, shape.key, path):
            yield Fault(path=path, value=key, constraint=f"Map keys must satisfy constraint: [{fault.constraint}]")
        yield from _faults(item, shape.value, (*path, key))


def length_faults(value: Any, shape: "Shape", path: Path = ()) -> Iterator[Fault]:
    """Yield what is wrong with the length of a text, a list or a map; what it holds is not looked at."""
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    secret = bool(shape.metadata.get("sensitive"))
    if least is not None and len(value) < least:
        constraint = f"Member must have length greater than or equal to {least}"
        yield Fault(path=path, value=value, secret=secret, constraint=constraint)
    elif most is not None and len(value) > most:
        constraint = f"Member must have length less than or equal to {most}"
        yield Fault(path=path, value=value, secret=secret, constraint=constraint)


#: More values than this are a wall of text (an instance type has hundreds).
_VALUES_SHOWN = 12


def _some_of(allowed: list[str], value: str) -> str:
    """Return the allowed values for a message; of very many, those that are most like the one given."""
    if len(allowed) <= _VALUES_SHOWN:
        return ", ".join(allowed)
    nearest = get_close_matches(value, allowed, n=_VALUES_SHOWN, cutoff=0.0)
    return f"{', '.join(nearest)}, and {len(allowed) - len(nearest)} more"


def _string_faults(value: Any, shape: "Shape", path: Path) -> Iterator[Fault]:
    if not isinstance(value, str):
        yield _wrong_type(value, "a string", path)
        return
    secret = bool(shape.metadata.get("sensitive"))
    if shape.enum and value not in shape.enum:
        constraint = f"Member must satisfy enum value set: [{_some_of(shape.enum, value)}]"
        yield Fault(path=path, value=value, secret=secret, constraint=constraint)
        return
    faults = list(length_faults(value, shape, path))
    yield from faults
    pattern = shape.metadata.get("pattern")
    # Only values of allowed length meet the pattern: that bounds what a hostile value can cost.
    if pattern is not None and not faults:
        compiled = compile_pattern(pattern)
        if compiled is not None and compiled.fullmatch(value) is None:
            constraint = f"Member must satisfy regular expression pattern: {pattern}"
            yield Fault(path=path, value=value, secret=secret, constraint=constraint)


def _number_faults(value: Any, shape: "Shape", path: Path) -> Iterator[Fault]:
    bits = _INTEGER_BITS.get(shape.type_name)
    if not _is_number(value):
        yield _wrong_type(value, "a number", path)
    elif bits is not None and not isinstance(value, int):
        yield _wrong_type(value, "a whole number", path)
    elif bits is not None and not -(1 << bits) <= value < 1 << bits:
        yield _wrong_type(value, f"a whole number of {bits + 1} bits", path)
    else:
        least, most = shape.metadata.get("min"), shape.metadata.get("max")
        if least is not None and value < least:
            yield Fault(path=path, value=value, constraint=f"Member must have value greater than or equal to {least}")
        elif most is not None and value > most:
            yield Fault(path=path, value=value, constraint=f"Member must have value less than or equal to {most}")


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond all that a float can hold
        return False


def _wrong_type(value: Any, expected: str, path: Path) -> Fault:
    return Fault(path=path, value=value, constraint=f"Member must be {expected}")


def _shown(value: Any) -> str:
    text = "null" if value is None else str(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"


# Patterns. AWS writes them for Java and means the whole string.

_GENERAL_CATEGORY = re.compile(r"\\p\{(\w+)\}")
_JAVA_CLASSES = {"Alnum": "a-zA-Z0-9", "Alpha": "a-zA-Z", "Digit": "0-9"}
#: Every character is one of a line's or one of the separators between lines, so this matches any text. A megabyte of
#: pipeline definition need not be walked for that.
_ANY_TEXT = {r".*(?:[ \r\n\t].*)*", r".*(?:[ \r\n\t].*)*.*", ".*", r"[\S\s]*", r"[\s\S]*"}

#: Patterns of the models that nest repeats, so that a short hostile value would keep the matcher busy for years, and
#: their equals that do not.
_EQUALS = {
    r"[a-z0-9]([-a-z0-9]*[a-z0-9]){0,39}?": r"[a-z0-9]([-a-z0-9]*[a-z0-9])?",
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9]){0,39}?$": r"[a-z0-9]([-a-z0-9]*[a-z0-9])?",
}


@lru_cache(maxsize=4096)
def compile_pattern(pattern: str) -> re.Pattern[str] | None:
    """Return a Java pattern of a service model as Python's, or None when there is nothing to check by it.

    A pattern that Python has no equal of is not checked either: a newer service model must not make an operation
    unusable. A test holds that every pattern of the models that we serve can be compiled.
    """
    if pattern in _ANY_TEXT:
        return None
    text = _GENERAL_CATEGORY.sub(lambda match: _category(match[1]), _EQUALS.get(pattern, pattern))
    text = text.replace(r"\uD800\uDC00-\uDBFF\uDFFF", r"\U00010000-\U0010FFFF")  # a pair of surrogates in Java
    text = text.replace(r"\w-_", r"\w\-_")
    text = re.sub(r"\$\{\d+,\d+\}$", "$", text)  # a slip in the model: an anchor cannot repeat
    # Python warns of "[[", "--", "&&", "~~" and "||" in sets; in Java's the models mean the plain characters.
    text = re.sub(r"(?<!\\)\[(\[|--)", lambda match: "[" + re.escape(match[1]), text)
    try:
        return re.compile(text, re.ASCII)
    except re.error:
        return None


@cache
def _category(name: str) -> str:
    """Return the characters of a Unicode general category such as L, as ranges for a set."""
    if name in _JAVA_CLASSES:
        return _JAVA_CLASSES[name]
    # Beyond plane 3 there are only tags, variation selectors and private use.
    wanted = (code for code in range(0x32400) if unicodedata.category(chr(code)).startswith(name))
    ranges = []
    for _, group in groupby(enumerate(wanted), key=lambda pair: pair[1] - pair[0]):
        codes = [code for _, code in group]
        ranges.append(f"\\U{codes[0]:08x}-\\U{codes[-1]:08x}")
    return "".join(ranges)


# Coercion and projection.


def coerce(document: Any, shape: "Shape") -> Any:
    """Return `document` with values that a pipeline worked out turned into the types that `shape` wants.

    Numbers become text where a string is wanted (hyperparameters), text becomes numbers, booleans and timestamps where
    those are wanted. What cannot be turned stays as it is, for `check` to report; members that the shape does not know
    are kept.
    """
    kind = shape.type_name
    if kind == "structure" and isinstance(document, dict):
        members: Mapping[str, Shape] = shape.members
        return {
            name: coerce(value, members[name]) if name in members and value is not None else value
            for name, value in document.items()
        }
    if kind == "list" and isinstance(document, list):
        return [coerce(item, shape.member) for item in document]
    if kind == "map" and isinstance(document, dict):
        return {coerce(key, shape.key): coerce(value, shape.value) for key, value in document.items()}
    if kind in {"string", "char"}:
        return str(document) if isinstance(document, bool | int | float) else document
    if kind in _INTEGER_BITS:
        return _as_whole_number(document)
    if kind in {"float", "double", "bigdecimal"}:
        return _as_number(document)
    if kind == "boolean" and isinstance(document, str):
        return {"true": True, "false": False}.get(document.strip().lower(), document)
    if kind == "timestamp":
        return _as_epoch_seconds(document)
    return document


def _as_number(value: Any) -> Any:
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            return value
        return number if math.isfinite(number) else value
    return value


def _as_whole_number(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            number = _as_number(value)
            return int(number) if isinstance(number, float) and number.is_integer() else value
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _as_epoch_seconds(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.timestamp()
    if not isinstance(value, str):
        return value
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return _as_number(value)
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def project(document: Any, shape: "Shape") -> Any:
    """Return what `shape` knows of `document`; other members and nulls are left out, nothing is filled in."""
    kind = shape.type_name
    if shape.metadata.get("document"):
        return document  # an open document: the shape says nothing of its members
    if kind == "structure" and isinstance(document, Mapping):
        members: Mapping[str, Shape] = shape.members
        return {
            name: project(document[name], member) for name, member in members.items() if document.get(name) is not None
        }
    if kind == "list" and isinstance(document, Iterable) and not isinstance(document, str | bytes | Mapping):
        return [project(item, shape.member) for item in document]
    if kind == "map" and isinstance(document, Mapping):
        return {key: project(value, shape.value) for key, value in document.items()}
    if kind == "timestamp" and isinstance(document, datetime):
        return document.timestamp()
    return document
