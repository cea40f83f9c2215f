"""DataProcessing: what the model gets, and what becomes of its answer."""

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.transform.joining import Processing, Unjoinable
from towpath.transform.jsonpath import PathError
from towpath.transform.payloads import Payload
from towpath.transform.records import Record


def processing(media_type: str, **asked: Any) -> Processing:
    found = Processing.of(media_type, **{"input_filter": "$", "join": False, "output_filter": "$", **asked})
    assert found is not None
    return found


def payload(*records: bytes) -> Payload:
    return Payload(first=1, last=len(records), records=len(records), body=b"", sources=records)


def test_where_nothing_is_asked_nothing_is_read() -> None:
    assert Processing.of("image/png", input_filter="$", join=False, output_filter="$") is None


def test_what_cannot_be_read_is_refused_where_there_is_something_to_do() -> None:
    with pytest.raises(Unjoinable, match="the ContentType is image/png"):
        processing("image/png", join=True)
    with pytest.raises(Unjoinable, match="not given"):
        processing("", input_filter="$[0]")
    with pytest.raises(PathError):
        processing("text/csv", output_filter="SageMakerOutput")


@pytest.mark.parametrize(
    ("media_type", "path", "record", "expected"),
    [
        ("text/csv", "$[1:]", b"7,1.50,a b", b"1.50,a b"),
        ("text/csv", "$[1]", b'7,"a,b"', b'"a,b"'),
        ("text/csv; charset=utf-8", "$[0]", b"1,2\n3,4", b"1\n3"),
        ("application/json", "$.features", b'{"id": 1, "features": [1, 2.0]}', b"[1,2.0]"),
        ("application/jsonlines", "$.text", '{"text": "gut so, Grüße"}'.encode(), '"gut so, Grüße"'.encode()),
    ],
)
def test_a_filter_leaves_a_part_of_a_record(media_type: str, path: str, record: bytes, expected: bytes) -> None:
    assert processing(media_type, input_filter=path).filtered(Record(1, record)) == expected


def test_an_answer_is_put_behind_its_row() -> None:
    joins = processing("text/csv", join=True)
    assert joins.joined(payload(b"7,a", b'8,"b,c"'), b"0.5\n0.25\n") == b'7,a,0.5\n8,"b,c",0.25\n'
    assert processing("text/csv", join=True, output_filter="$[0,-1]").joined(payload(b"7,a,b"), b"0.5") == b"7,0.5\n"


def test_an_answer_becomes_a_member_of_its_document() -> None:
    joins = processing("application/json", join=True)
    assert joins.joined(payload(b'{"id": 1}'), b'{"score": 2}') == b'{"id":1,"SageMakerOutput":{"score":2}}'
    assert joins.joined(payload(b"[1, 2]"), b"3") == b'{"SageMakerInput":[1,2],"SageMakerOutput":3}'
    kept = processing("application/jsonlines", join=True, output_filter="$['id','SageMakerOutput']")
    assert kept.joined(payload(b'{"id":1,"x":0}', b'{"id":2,"x":0}'), b"5\n6\n") == (
        b'{"id":1,"SageMakerOutput":5}\n{"id":2,"SageMakerOutput":6}\n'
    )


def test_a_filter_of_answers_needs_no_records() -> None:
    assert processing("application/json", output_filter="$.score").joined(payload(), b'{"score": 2}') == b"2"


def test_answers_have_to_be_as_many_as_records() -> None:
    with pytest.raises(Unjoinable, match="1 rows for 2 records; expected one for each"):
        processing("text/csv", join=True).joined(payload(b"1", b"2"), b"3")


@pytest.mark.parametrize(
    ("media_type", "record", "words"),
    [
        ("application/json", b"{", "'{' cannot be read as JSON"),
        ("application/jsonlines", b"no", "cannot be read as JSON Lines"),
        ("text/csv", b'"1', "cannot be read as CSV"),
        ("text/csv", b"\xff" * 99, "..."),
    ],
)
def test_a_record_that_is_not_of_its_type_is_told_of(media_type: str, record: bytes, words: str) -> None:
    with pytest.raises(Unjoinable) as caught:
        processing(media_type, input_filter="$[0]").filtered(Record(1, record))
    assert words in str(caught.value)


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\n\r\0"), max_size=6)
ROWS = st.lists(CELLS, min_size=1, max_size=4).filter(lambda row: row != [""])


@given(st.lists(st.tuples(ROWS, ROWS), min_size=1, max_size=5))
def test_rows_are_joined_cell_by_cell(pairs: list[tuple[list[str], list[str]]]) -> None:
    def written(rows: list[list[str]]) -> bytes:
        stream = io.StringIO(newline="")
        csv.writer(stream, lineterminator="\n").writerows(rows)
        return stream.getvalue().encode()

    records = [written([row]).removesuffix(b"\n") for row, _ in pairs]
    joined = processing("text/csv", join=True).joined(payload(*records), written([answer for _, answer in pairs]))
    assert list(csv.reader(io.StringIO(joined.decode(), newline=""))) == [[*row, *answer] for row, answer in pairs]


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3))


@given(st.lists(st.tuples(st.dictionaries(st.text(max_size=3), JSON, max_size=3), JSON), min_size=1, max_size=5))
def test_documents_are_joined_line_by_line(pairs: list[tuple[dict[str, Any], Any]]) -> None:
    records = [json.dumps(record).encode() for record, _ in pairs]
    answers = "\n".join(json.dumps(answer) for _, answer in pairs).encode()
    joined = processing("application/jsonlines", join=True).joined(payload(*records), answers)
    assert [json.loads(line) for line in joined.decode().split("\n")[:-1]] == [
        {**record, "SageMakerOutput": answer} for record, answer in pairs
    ]
