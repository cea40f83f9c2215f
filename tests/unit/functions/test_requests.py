"""Names of functions, and what they are called with."""

import pytest

from towpath.functions.requests import configuration, named, payload_of
from towpath.kernel.arns import Home
from towpath.kernel.errors import Invalid, LimitExceeded, NotFound, TowpathError

HOME = Home()
ASKED = {"Runtime": "python3.11", "Handler": "f.handler"}


@pytest.mark.parametrize(
    "given",
    [
        "press",
        "function:press",
        "000000000000:function:press",
        "arn:aws:lambda:us-east-1:000000000000:function:press",
        "arn:aws:lambda:us-east-1:000000000000:function:press:$LATEST",
    ],
)
def test_a_function_is_known_by_its_name_and_by_its_arn_whole_or_in_part(given: str) -> None:
    assert named(given, HOME) == "press"


@pytest.mark.parametrize(
    "given", ["arn:aws:lambda:eu-west-1:000000000000:function:press", "111122223333:function:press", "press:7"]
)
def test_functions_elsewhere_and_other_versions_are_not_found(given: str) -> None:
    with pytest.raises(NotFound, match="Function not found"):
        named(given, HOME)


def test_what_is_no_name_is_refused() -> None:
    with pytest.raises(Invalid, match="names no function"):
        named("no function!", HOME)


def test_a_change_keeps_what_it_does_not_name() -> None:
    before = configuration({**ASKED, "Timeout": 9, "Environment": {"Variables": {"MODE": "x"}}})
    after = configuration({"MemorySize": 256}, before)
    assert (after.timeout, after.variables, after.memory_size, after.handler) == (9, {"MODE": "x"}, 256, "f.handler")
    assert configuration({"Environment": {}}, before).variables == {}


@pytest.mark.parametrize(("given", "text"), [(None, "{}"), (b"", "{}"), (b" [1] ", " [1] "), ('"\u00e9"', '"\u00e9"')])
def test_an_event_is_json_text(given: bytes | str | None, text: str) -> None:
    assert payload_of(given, awaited=True) == text


@pytest.mark.parametrize("given", [b"{", b"\xff", b"NaN", b"[" * 200 + b"]" * 200, b'"\\ud800"'])
def test_what_is_no_json_that_can_be_kept_is_refused(given: bytes) -> None:
    with pytest.raises(TowpathError) as caught:
        payload_of(given, awaited=True)
    assert caught.value.code == "InvalidRequestContentException"


def test_events_that_nobody_waits_for_are_smaller() -> None:
    large = b'"' + b"x" * (2 << 20) + b'"'
    assert payload_of(large, awaited=True)
    with pytest.raises(LimitExceeded):
        payload_of(large, awaited=False)
