"""Webhooks: which addresses and parameters a message can be sent by, and the message. Pure.

Source: Amazon EventBridge API Reference, "HttpParameters"; User Guide, "Dynamic path parameters"; RFC 3986; RFC 9110.
"""

import re
from collections.abc import Sequence
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from towpath.kernel.errors import Invalid
from towpath.kernel.resource import Document, Uid
from towpath.triggers.inputs import check_path, text_at
from towpath.triggers.model import HttpParameters, Target
from towpath.triggers.ports import Message

DELIVERY = "X-Towpath-Delivery"  #: header by which whoever gets a message twice knows it
#: Headers that say how a message is sent, which is not for whoever writes a rule to say. Source: RFC 9110 and 9112.
_RESERVED = frozenset(
    {
        "connection",
        "content-encoding",
        "content-length",
        "expect",
        "host",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        DELIVERY.lower(),
    }
)
_ADDRESS = re.compile(r"[!-~]+")
_HEADER = re.compile(r"[\t -~]*")
_WILDCARD = "*"  #: in the path of an address: filled with a path parameter


def refuse_address(address: str) -> None:
    """Refuse what no message can be sent to.

    Raises:
        Invalid: it is no address of HTTP, or holds a password; says what was expected.
    """
    if not _ADDRESS.fullmatch(address):
        raise Invalid(
            f"{address!r} is not the address of a webhook: it holds a space, or what is not ASCII; expected such "
            "characters as %XX, and the name of a host in its form xn--…"
        )
    try:
        parts = urlsplit(address)
        reached = parts.hostname is not None and parts.port != 0
    except ValueError as error:
        raise Invalid(f"{address!r} is not the address of a webhook: {error}") from error
    if not reached or parts.username is not None or parts.password is not None:
        raise Invalid(
            f"{address!r} is not the address of a webhook; expected https://HOST/PATH, with secrets in "
            "HttpParameters.HeaderParameters rather than in the address"
        )


def refuse_parameters(address: str, parameters: HttpParameters) -> None:
    """Refuse what a request cannot carry.

    Raises:
        Invalid: a header is not free, a path into the event is none, or the address has no place for a value.
    """
    for name in parameters.header_parameters:
        if name.lower() in _RESERVED:
            raise Invalid(f"HttpParameters.HeaderParameters: the header {name} is set by the platform; leave it out")
    given = parameters.path_parameter_values
    places = urlsplit(address).path.count(_WILDCARD)
    if given and len(given) != places:
        raise Invalid(
            f"HttpParameters.PathParameterValues has {len(given)} values, and the path of {address} has {places} of "
            f"{_WILDCARD}, which they stand for"
        )
    for value in (*given, *parameters.header_parameters.values(), *parameters.query_string_parameters.values()):
        if value.startswith("$."):
            check_path(value)


def message_of(target: Target, event: Document, body: str, delivery: Uid) -> Message:
    """Return the message that tells a webhook of an event. A parameter that begins with `$.` is read from the event.

    Raises:
        Invalid: the event has nothing there, or what no header can hold; or the address is none.
    """
    parameters = target.http_parameters
    refuse_address(target.arn)
    query = {name: text_at(event, value) for name, value in parameters.query_string_parameters.items()}
    values = [text_at(event, value) for value in parameters.path_parameter_values]
    headers = {name: text_at(event, value) for name, value in parameters.header_parameters.items()}
    for name, value in headers.items():
        if not _HEADER.fullmatch(value):
            raise Invalid(f"the header {name} would be {value!r}; a header holds one line of ASCII")
    return Message(
        url=_address(target.arn, values, query),
        body=body,
        headers={"Content-Type": "application/json", **headers, DELIVERY: delivery},
    )


def _address(address: str, values: Sequence[str], query: dict[str, str]) -> str:
    parts = urlsplit(address)
    path = parts.path
    for value in values:
        path = path.replace(_WILDCARD, quote(value, safe="").replace(_WILDCARD, "%2A"), 1)
    asked = "&".join(each for each in (parts.query, urlencode(query, quote_via=quote)) if each)
    return urlunsplit(parts._replace(path=path, query=asked))
