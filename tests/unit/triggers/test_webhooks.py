"""Addresses and parameters of webhooks, and the messages that they make."""

from typing import Any

import pytest

from towpath.kernel.errors import Invalid
from towpath.kernel.resource import Uid
from towpath.triggers.model import HttpParameters, Target
from towpath.triggers.webhooks import message_of, refuse_address, refuse_parameters

EVENT = {"detail": {"id": 7, "who": "Ada & Söhne/*", "lines": "a\nb"}}


def message(address: str, **parameters: Any) -> Any:
    target = Target(arn=address, http_parameters=HttpParameters(**parameters))
    return message_of(target, EVENT, "{}", Uid("d1"))


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("http://host:99999/x", "Port out of range"),
        ("http://host:x/", "Port could not be cast"),
        ("http://[::1/x", "Invalid IPv6 URL"),
        ("http://host/a b", "a space, or what is not ASCII"),
        ("http://host/a\nb", "a space, or what is not ASCII"),
        ("http://hóst/", "xn--"),
        ("https:///path", "expected https://HOST/PATH"),
        ("https://ada:secret@host/", "HttpParameters.HeaderParameters"),
        ("http://host:0/", "expected https://HOST/PATH"),
    ],
)
def test_an_address_that_nothing_can_be_sent_to_is_refused(address: str, told: str) -> None:
    with pytest.raises(Invalid, match="is not the address of a webhook") as refused:
        refuse_address(address)
    assert told in refused.value.message


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding", "HOST", "x-towpath-delivery", "Connection"])
def test_a_header_that_says_how_a_message_is_sent_is_refused(name: str) -> None:
    with pytest.raises(Invalid, match=f"the header {name} is set by the platform"):
        refuse_parameters("https://host/", HttpParameters(header_parameters={name: "3"}))


def test_path_parameters_need_their_places() -> None:
    refuse_parameters("https://host/*/of/*", HttpParameters(path_parameter_values=("a", "$.detail.id")))
    with pytest.raises(Invalid, match=r"has 1 values, and the path of https://host/x has 0"):
        refuse_parameters("https://host/x", HttpParameters(path_parameter_values=("a",)))
    with pytest.raises(Invalid, match="is not a path"):
        refuse_parameters("https://host/*", HttpParameters(path_parameter_values=("$.detail[",)))


def test_parameters_are_written_into_the_address_and_the_headers() -> None:
    made = message(
        "https://host/*/of/*?v=1",
        path_parameter_values=("$.detail.who", "x"),
        query_string_parameters={"id": "$.detail.id", "who": "a b&c"},
        header_parameters={"Content-Type": "text/plain", "X-Id": "$.detail.id"},
    )
    assert made.url == "https://host/Ada%20%26%20S%C3%B6hne%2F%2A/of/x?v=1&id=7&who=a%20b%26c"
    assert made.headers == {"Content-Type": "text/plain", "X-Id": "7", "X-Towpath-Delivery": "d1"}
    assert message("https://host/*?v=1").url == "https://host/*?v=1"


@pytest.mark.parametrize(
    ("value", "told"), [("$.detail.lines", "one line of ASCII"), ("$.detail.none", "nothing at \\$.detail.none")]
)
def test_what_no_header_holds_is_not_sent(value: str, told: str) -> None:
    with pytest.raises(Invalid, match=told):
        message("https://host/", header_parameters={"X-Lines": value})
