"""No piece of a secret is shown, wherever the pieces of a stream begin and end."""

import base64
import itertools
import json
import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.runner.redaction import MARK, Redactor

SECRET = "s3cr3t-Pa55/w=rd"


def shown(secrets: list[str], *pieces: bytes) -> bytes:
    redactor = Redactor(secrets)
    return b"".join([*map(redactor.feed, pieces), redactor.end()])


def test_without_secrets_everything_is_shown_at_once() -> None:
    redactor = Redactor([])
    assert redactor.feed(b"anything") == b"anything"
    assert redactor.end() == b""
    assert redactor.text("anything") == "anything"


@given(cuts=st.lists(st.integers(0, 60), max_size=6), repeats=st.integers(1, 3))
def test_however_the_stream_is_cut_the_same_is_shown(cuts: list[int], repeats: int) -> None:
    whole = f"before {SECRET} between\n".encode() * repeats
    places = sorted({0, *(min(cut, len(whole)) for cut in cuts), len(whole)})
    pieces = [whole[a:b] for a, b in itertools.pairwise(places)]
    assert shown([SECRET], *pieces) == b"before *** between\n" * repeats


@given(
    secrets=st.lists(st.text("ab", min_size=4, max_size=6), min_size=1, max_size=3),
    text=st.text("ab", max_size=30),
    cut=st.integers(0, 30),
)
def test_secrets_that_resemble_each_other_are_all_kept_out(secrets: list[str], text: str, cut: int) -> None:
    data = text.encode()
    found = shown(secrets, data[:cut], data[cut:])
    assert not any(secret.encode() in found for secret in secrets)
    assert b"".join(found.split(MARK)) in data or MARK in found


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        json.dumps({"key": SECRET}),
        repr(f'quote " and {SECRET}'),
        urllib.parse.quote(SECRET, safe=""),
        base64.b64encode(SECRET.encode()).decode(),
        f"https://ada:{SECRET}@host/",
    ],
)
def test_quoted_and_encoded_secrets_are_known(form: str) -> None:
    found = shown([SECRET], form.encode()).decode()
    assert SECRET not in found
    assert "***" in found


def test_each_line_of_a_secret_of_many_lines_is_one() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQEF\n-----END KEY-----\n"
    found = shown([key], b"1 MIIEvQIBADANBg\r\n2 kqhkiG9w0BAQEF\n" + repr(key).encode())
    assert found == b"1 ***\r\n2 ***\n'***'"


def test_quotes_and_line_ends_within_a_secret_do_not_hide_it() -> None:
    secret = 'quote " back \\ slash'
    assert shown([secret], json.dumps([secret]).encode()) == b'["***"]'


def test_a_secret_that_is_cut_off_by_the_end_is_not_shown() -> None:
    assert shown([SECRET], b"told: " + SECRET[:9].encode()) == b"told: ***"
    assert shown([SECRET], b"a word that ends in s3") == b"a word that ends in s3"


def test_a_prompt_is_not_held_back() -> None:
    redactor = Redactor([SECRET])
    assert redactor.feed(b"Name: ") == b"Name: "


def test_texts_are_cleaned_without_touching_the_stream() -> None:
    redactor = Redactor([SECRET])
    assert redactor.feed(b"s3cr") == b""
    assert redactor.text(f"ExitCode 1: {SECRET}, and {SECRET[:8]}") == "ExitCode 1: ***, and ***"
    assert redactor.feed(b"ets") + redactor.end() == b"s3crets"
