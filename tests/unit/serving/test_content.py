"""How bodies are read and written without a handler's help."""

import io
import json

import numpy as np
import pytest

from towpath.serving.content import UnreadableBody, UnsupportedAccept, UnsupportedContentType, decode, encode, is_utf8


def test_json_and_csv_and_text_are_read_by_their_content_type() -> None:
    assert decode('{"a": [1, 2]}', "application/json; charset=utf-8") == {"a": [1, 2]}
    assert decode("1,2.5,red\n3,4,blue\n", "text/csv") == [[1.0, 2.5, "red"], [3.0, 4.0, "blue"]]
    assert decode("ærlig", "text/plain") == "ærlig"
    assert decode(b"\x00\xff", "application/octet-stream") == b"\x00\xff"


def npy(array: np.ndarray) -> bytes:
    return encode(array, "application/x-npy")[0]


def test_an_array_survives_the_npy_round_trip() -> None:
    body, content_type = encode(np.arange(6).reshape(2, 3), "application/x-npy")
    assert content_type == "application/x-npy"
    assert decode(body, content_type).tolist() == [[0, 1, 2], [3, 4, 5]]


def test_pickles_inside_npy_are_refused() -> None:
    stream = io.BytesIO()
    np.save(stream, np.array([{"a": 1}], dtype=object))
    with pytest.raises(UnreadableBody, match="allow_pickle"):
        decode(stream.getvalue(), "application/x-npy")


@pytest.mark.parametrize(
    ("body", "content_type", "words"),
    [
        ("", "application/json; charset=utf-8", "as application/json: it is empty"),
        ('{"a":', "application/json", "JSONDecodeError: Expecting value"),
        ("[" * 100_000, "application/json", "RecursionError"),
        (b"\xff", "text/csv", "UnicodeDecodeError"),
        ("a" * 200_000, "text/csv", "field larger than field limit"),
        (b"", "application/x-npy", "as application/x-npy: it is empty"),
        (b"\x93NUMPY and then something else", "application/x-npy", "ValueError"),
        (npy(np.arange(100))[:100], "application/x-npy", "EOF"),
    ],
)
def test_a_body_that_is_not_of_its_type_is_the_fault_of_who_sent_it(
    body: bytes | str, content_type: str, words: str
) -> None:
    with pytest.raises(UnreadableBody, match=words):
        decode(body, content_type)


def test_unknown_content_types_are_refused_with_what_would_do() -> None:
    with pytest.raises(UnsupportedContentType, match="application/json"):
        decode(b"x", "image/png")


@pytest.mark.parametrize("accept", ["*/*", "", "application/json", "image/png, application/*"])
def test_json_is_the_answer_wherever_it_is_acceptable(accept: str) -> None:
    body, content_type = encode({"scores": np.array([0.5, 0.25])}, accept)
    assert content_type == "application/json"
    assert json.loads(body) == {"scores": [0.5, 0.25]}


def test_rows_and_single_columns_are_written_as_csv() -> None:
    assert encode(np.array([[1, 2], [3, 4]]), "text/csv") == (b"1,2\n3,4\n", "text/csv")
    assert encode(["neg", "pos"], "text/csv") == (b"neg\npos\n", "text/csv")


def test_an_accept_that_cannot_be_met_is_refused() -> None:
    with pytest.raises(UnsupportedAccept, match="image/png"):
        encode([1], "image/png")


@pytest.mark.parametrize(
    ("content_type", "text"),
    [
        ("application/json", True),
        ("application/ld+json; charset=utf-8", True),
        ("text/csv", True),
        ("application/jsonlines", True),
        ("application/x-npy", False),
        ("image/png", False),
    ],
)
def test_only_text_types_reach_the_script_as_str(content_type: str, text: bool) -> None:
    assert is_utf8(content_type) is text
