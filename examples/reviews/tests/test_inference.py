"""Requests and answers: what is understood, what is refused, what comes back."""

import json
from collections.abc import Sequence

import pytest

import inference


class Fixed:
    """Gives every text the same probabilities."""

    def probabilities(self, texts: Sequence[str]) -> list[list[float]]:
        return [[0.1, 0.2, 0.7] for _ in texts]


@pytest.mark.parametrize(
    ("body", "kind", "texts", "single"),
    [
        ('{"text": "fine"}', "application/json", ["fine"], True),
        ('"fine"', "application/json; charset=utf-8", ["fine"], True),
        ('["a", {"text": "b"}]', "application/json", ["a", "b"], False),
        ('{"text": ["a", "b"]}', "application/json", ["a", "b"], False),
        ('{"instances": [{"text": "a"}]}', "application/json", ["a"], False),
        (b'{"instances": []}', "application/json", [], False),
        ('"a, with comma"\nb\n', "text/csv", ["a, with comma", "b"], False),
        ("naïve, très jolie".encode(), "text/plain", ["naïve, très jolie"], True),
    ],
)
def test_requests_are_understood(body: str | bytes, kind: str, texts: list[str], single: bool) -> None:
    assert inference.input_fn(body, kind) == inference.Texts(texts, single=single)


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        ("{}", "application/json", "expected a text"),
        ("[1]", "application/json", "got 1"),
        ('{"text": null}', "application/json", "got"),
        ("{", "application/json", "Expecting"),
        ("<a/>", "application/xml", "application/xml"),
    ],
)
def test_requests_that_cannot_be_read_are_refused(body: str, kind: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        inference.input_fn(body, kind)


def test_one_text_gets_one_answer() -> None:
    answer = inference.predict_fn(inference.Texts(["x"], single=True), Fixed())
    body, kind = inference.output_fn(answer, "application/json")
    assert kind == "application/json"
    assert json.loads(body) == {
        "label": "positive",
        "probabilities": {"negative": 0.1, "neutral": 0.2, "positive": 0.7},
    }


def test_several_texts_get_a_list_of_answers_in_order() -> None:
    answers = inference.predict_fn(inference.Texts(["x", "y"], single=False), Fixed())
    document = json.loads(inference.output_fn(answers, "*/*")[0])
    assert [answer["label"] for answer in document["predictions"]] == ["positive", "positive"]


def test_answers_come_as_csv_where_that_is_wanted() -> None:
    answers = inference.predict_fn(inference.Texts(["x"], single=True), Fixed())
    assert inference.output_fn(answers, "text/csv") == ("positive,0.1,0.2,0.7\r\n", "text/csv")
