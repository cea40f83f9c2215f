"""Tags of objects: the operations on them, and what is accepted as one.

Source: Amazon S3 User Guide, "Categorizing your objects using tags"; Amazon S3 API Reference, PutObjectTagging.
"""

import unicodedata
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl

from towpath.gateway.protocols.rest_xml import from_xml
from towpath.gateway.services.s3.bodies import small_body
from towpath.gateway.services.s3.model import Context, S3Error, S3Request, S3Response, empty_response, xml_response
from towpath.gateway.services.s3.versions import wanted, wanted_in
from towpath.kernel.ports import Transaction

MOST_TAGS = 10
LONGEST_KEY = 128  #: characters
LONGEST_VALUE = 256  #: characters
_RESERVED = "aws:"
_MARKS = frozenset("+-=._:/@")
_HEADER = "x-amz-tagging"


def get_object_tagging(context: Context, request: S3Request) -> S3Response:
    """Carry out GetObjectTagging."""
    version = wanted(context, request)
    tags = [{"Key": key, "Value": value} for key, value in version.tags.items()]
    return xml_response("Tagging", {"TagSet": {"Tag": tags}}, {"x-amz-version-id": version.version_id})


def put_object_tagging(context: Context, request: S3Request) -> S3Response:
    """Carry out PutObjectTagging: these tags take the place of those that the version has."""
    tags = checked(_listed(from_xml(small_body(request), root="Tagging", lists=frozenset({"Tag"}))))
    return empty_response(headers={"x-amz-version-id": _replace(context, request, tags)})


def delete_object_tagging(context: Context, request: S3Request) -> S3Response:
    """Carry out DeleteObjectTagging."""
    return empty_response(204, {"x-amz-version-id": _replace(context, request, {})})


def tags_of_header(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the tags that an upload brings along in its header, which is written as a query is.

    Raises:
        S3Error: InvalidArgument, InvalidTag or BadRequest.
    """
    header = headers.get(_HEADER, "")
    if not header:
        return {}
    try:
        pairs = parse_qsl(header, keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError:
        raise S3Error(
            "InvalidArgument", f"{_HEADER} is {header[:80]!r}; expected key=value&key=value, percent-encoded."
        ) from None
    return checked(pairs)


def checked(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return these pairs of keys and values as tags.

    Raises:
        S3Error: InvalidTag, a key or a value is none, or a key is there twice; BadRequest, they are too many.
    """
    tags: dict[str, str] = {}
    for key, value in pairs:
        if not 1 <= len(key) <= LONGEST_KEY or not _is_text(key):
            raise S3Error("InvalidTag", f"The tag key {key[:140]!r} is not possible; {_expected(LONGEST_KEY, least=1)}")
        if len(value) > LONGEST_VALUE or not _is_text(value):
            raise S3Error(
                "InvalidTag",
                f"The value {value[:270]!r} of the tag {key!r} is not possible; {_expected(LONGEST_VALUE, least=0)}",
            )
        if key.lower().startswith(_RESERVED):
            raise S3Error("InvalidTag", f"The tag key {key!r} begins with {_RESERVED}, which is kept for AWS's own.")
        if key in tags:
            raise S3Error("InvalidTag", f"The tag key {key!r} is there twice; a key has one value.")
        tags[key] = value
    if len(tags) > MOST_TAGS:
        raise S3Error("BadRequest", f"There are {len(tags)} tags; an object has at most {MOST_TAGS}.")
    return tags


def _listed(document: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return the pairs of a Tagging document."""
    tag_set = document.get("TagSet")
    if tag_set == "":
        return []
    tags = tag_set.get("Tag") if isinstance(tag_set, dict) else None
    pairs = []
    for tag in tags or [{}]:
        key, value = (tag.get("Key"), tag.get("Value")) if isinstance(tag, dict) else (None, None)
        if not isinstance(key, str) or not isinstance(value, str):
            raise S3Error("MalformedXML", "Expected <TagSet> with elements <Tag>, each with one Key and one Value.")
        pairs.append((key, value))
    return pairs


def _replace(context: Context, request: S3Request, tags: dict[str, str]) -> str:
    """Give the version that the request names these tags; return its id."""

    def work(transaction: Transaction) -> str:
        version = wanted_in(transaction, request)
        transaction.objects.set_tags(version.bucket, version.key, version.version_id, tags)
        return version.version_id

    return context.store.write(work)


def _is_text(text: str) -> bool:
    """Return whether a tag may hold these characters: letters, digits and spaces of any script, and a few marks."""
    return all(character in _MARKS or unicodedata.category(character)[0] in "LNZ" for character in text)


def _expected(longest: int, *, least: int) -> str:
    marks = " ".join(sorted(_MARKS))
    return f"expected {least} to {longest} letters, digits, spaces and {marks}"
