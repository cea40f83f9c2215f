"""What the API says of a text that has not the pattern it must have, in words: nobody should have to read a regular
expression to choose a name."""

from __future__ import annotations

import re

_ELSE = "it does not have the form that the API asks for there"
_PATTERN = re.compile(r"Member must satisfy regular expression pattern: (?P<pattern>.*?)(?=; Value |$)", re.M)
#: Where AWS names value and member before it.
_FAILED = re.compile(
    r"Value(?P<value> '.*?')? at '(?P<place>[\w.]+)' failed to satisfy constraint: (?=expected |it does)"
)
_ONE = "1 validation error detected: "

_GROUP = r"\((?:[^()]|\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))*\)"  #: with groups in it, as deep as they come
_OPTIONAL_AT_START = re.compile(rf"^{_GROUP}\?")
_OPTIONAL_AT_END = re.compile(r"\((?::|\\?/)(?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)\?$")  #: a version behind the name
_SLIP = re.compile(r"\$\{\d+,\d+\}$")  #: an anchor that is repeated
_NO_HYPHEN_LAST = "(?<!-)"  #: behind what a name may hold
_SET = r"\[(?:\\.|[^\]\\])+\]"
_REPEAT = r"(?:[*+?]|\{\d*,?\d*\})*"
_DIGITS = re.compile(r"\\d\{(\d+)\}|\[0-9\]\{(\d+)\}")
_TOKEN = re.compile(rf"(?P<set>{_SET}|\\[wdS])|(?P<mark>\\?[-_])|[()]|{_REPEAT}")
_ADDRESS = re.compile(r"\(?(?P<schemes>[a-z0-9|]+)\)?://")
_ARN = re.compile(r"arn:[^:]*:(?P<service>[a-z0-9]+):")

#: What a set of characters names at once -> in words. A range of letters of both cases is put together below.
_CLASSES = {
    "\\w": ("letters", "digits", "_"),
    "\\d": ("digits",),
    "\\p{Alnum}": ("letters", "digits"),
    "\\p{L}": ("letters",),
    "\\p{N}": ("digits",),
    "\\p{Z}": ("spaces",),
    "\\p{M}": ("accents",),
    "\\p{P}": ("punctuation",),
    "\\p{S}": ("symbols",),
    "a-z": ("lower-case letters",),
    "A-Z": ("capital letters",),
    "0-9": ("digits",),
    " ": ("spaces",),
    "\\n": ("line ends",),
}
_MEMBER = re.compile(r"\\p\{\w+\}|\\[wdn]|a-z|A-Z|0-9|\\?(?P<plain>[^\\\w]|_)")
_IN_ORDER = ("letters", "lower-case letters", "capital letters", "digits")


def in_words(message: str) -> str:
    """Return a message of the API with words in the place of the patterns that a text has to have."""
    told = _PATTERN.sub(_expectation, message)
    if told == message:
        return message
    told = _FAILED.sub(lambda match: f"{match['place']} cannot be{match['value'] or ' as it is'}: ", told)
    return told.replace(_ONE, "", 1)


def _expectation(match: re.Match[str]) -> str:
    pattern, behind = match["pattern"], ""
    if match.string[: match.start()].endswith("["):  # of the keys of a map; the bracket is the message's own
        pattern, behind = pattern.removesuffix("]"), "]"
    words = described(pattern)
    return (_ELSE if words is None else f"expected {words}") + behind


def described(pattern: str) -> str | None:
    """Return which texts a pattern of a service model allows, in words; None where that takes more than a few."""
    bare = _SLIP.sub("", pattern).removeprefix("^").removesuffix("$")
    if re.fullmatch(rf"\({_SET}{_REPEAT}\)", bare):
        bare = bare[1:-1]
    digits = _DIGITS.fullmatch(bare)
    if digits is not None:
        return f"{digits[1] or digits[2]} digits"
    if bare in {r"[\S]+", r"[^\s]+", r"\S+"}:
        return "a text without spaces"
    address = _ADDRESS.match(bare)
    if address is not None:
        return f"an address that begins with {' or '.join(f'{each}://' for each in address['schemes'].split('|'))}"
    arn = _ARN.match(bare)
    if arn is not None:
        return f"an ARN that begins with arn:aws:{arn['service']}:"
    name = bare
    while (shorter := _OPTIONAL_AT_END.sub("", _OPTIONAL_AT_START.sub("", name))) != name:
        name = shorter
    words = _name(name)
    if words is None:
        return "an ARN" if bare.startswith("arn:") else None
    return f"{words}, or an ARN" if "arn:" in bare else words


def _name(pattern: str) -> str | None:
    """Return what a name may hold, and begin and end with."""
    sets: list[frozenset[str]] = []
    marks: set[str] = set()
    place = 0
    whole, pattern = pattern, pattern.removesuffix(_NO_HYPHEN_LAST)
    while place < len(pattern):
        token = _TOKEN.match(pattern, place)
        if token is None or token.end() == place:
            return None
        place = token.end()
        if token["mark"] is not None:
            marks.add(token["mark"][-1])
        elif token["set"] is not None:
            held = _held(token["set"])
            if held is None:
                return None
            sets.append(held)
    if not sets:
        return None
    all_of_it = frozenset().union(*sets, marks)
    at_end = sets[-1] if whole == pattern else sets[-1] - {"-"}
    first, last = (each if each != all_of_it else None for each in (sets[0], at_end))
    words = _words(all_of_it)
    if first is not None and first == last:
        return f"{words}, the first and the last {_one(first)}"
    if first is not None:
        words += f", the first {_one(first)}"
    return words if last is None else f"{words}, the last {_one(last)}"


def _held(of_set: str) -> frozenset[str] | None:
    """Return what a set holds, as words and single characters."""
    inner = of_set[1:-1] if of_set.startswith("[") else of_set
    if inner.startswith("^"):
        return None
    held: set[str] = set()
    place = 0
    while place < len(inner):
        member = _MEMBER.match(inner, place)
        if member is None:
            return None
        place = member.end()
        text = member[0]
        if member["plain"] and text != "-" and re.match(r"-[^\\]", inner[place:]):
            return None  # a range that nobody would know by its ends
        held.update(_CLASSES.get(text, (member["plain"],) if member["plain"] else ()))
        if not member["plain"] and text not in _CLASSES:
            return None
    if {"lower-case letters", "capital letters"} <= held:
        held = held - {"lower-case letters", "capital letters"} | {"letters"}
    return frozenset(held)


def _words(held: frozenset[str]) -> str:
    told = [each for each in _IN_ORDER if each in held]
    told += sorted(each for each in held - set(_IN_ORDER) if len(each) > 1)
    marks = sorted(each for each in held if len(each) == 1)
    if marks:
        told.append(marks[0] if len(marks) == 1 else f"any of {' '.join(marks)}")
    *others, last = told
    return f"{', '.join(others)} and {last}" if others else last


def _one(held: frozenset[str]) -> str:
    classes = [each.removesuffix("s") for each in _IN_ORDER if each in held]
    told = [*classes, *sorted(each for each in held if len(each) == 1)]
    return f"{'a ' if classes else ''}{' or '.join(told)}"
