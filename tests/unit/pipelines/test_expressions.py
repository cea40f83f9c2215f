"""Expressions and paths are read with their places, and written as they were read."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.pipelines.expressions import (
    CurrentItem,
    IterationOutputs,
    PropertyFileValue,
    Reference,
    Selected,
    StepValue,
    json_gets,
    parse,
    parse_get,
    references,
    render_get,
)
from towpath.pipelines.faults import Fault
from towpath.pipelines.paths import Index, Key, Member, Path, PathFault, follow, parse_path, render_path

MEMBERS = st.text(min_size=1, max_size=8).filter(lambda text: not set(text) & set(".[]'\""))
KEYS = st.text(max_size=8).filter(lambda text: not ("']" in text and '"]' in text))
PARTS = st.one_of(MEMBERS.map(Member), st.integers(0, 10**6).map(Index), KEYS.map(Key))
PATHS = st.lists(PARTS, max_size=6).map(tuple)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(MEMBERS, inner, max_size=3), max_leaves=8
)


def faults_of(document: Any) -> list[str]:
    faults: list[Fault] = []
    parse(document, "Here", faults)
    return [str(fault) for fault in faults]


@given(PATHS)
def test_a_path_that_is_written_is_read_back(path: Path) -> None:
    assert parse_path(render_path(path)) == path


@given(st.text(max_size=20))
def test_a_text_is_a_path_or_is_refused(text: str) -> None:
    try:
        path = parse_path(text)
    except PathFault:
        return
    assert parse_path(render_path(path)) == path


@pytest.mark.parametrize("text", ["a..b", "a.", ".a", "a[", "a[x]", "a['x", "a]b", "a[0]b", "a[-1]"])
def test_a_malformed_path_is_refused(text: str) -> None:
    with pytest.raises(PathFault):
        parse_path(text)


@given(VALUES, st.data())
def test_following_a_path_gives_what_was_put_there(value: Any, data: st.DataObject) -> None:
    path = data.draw(PATHS)
    document = value
    for part in reversed(path):
        match part:
            case Index(number):
                number %= 5
                document = [*range(number), document]
            case Member(name) | Key(name):
                document = {name: document}
    reachable = tuple(Index(part.number % 5) if isinstance(part, Index) else part for part in path)
    assert follow(document, reachable) is value or follow(document, reachable) == value


@given(st.sampled_from(["train", "a-b_c"]), PATHS)
def test_a_reference_that_is_written_is_read_back(step: str, path: Path) -> None:
    made: list[Reference] = [Selected(step, path), IterationOutputs(step, 3, "Body", path), CurrentItem(path)]
    for reference in made:
        assert parse_get(render_get(reference)) == reference


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ({"Get": 3}, "Here.Get: expected a text such as 'Parameters.Name', found the number 3"),
        ({"Get": "Parameter.X"}, "Here.Get: 'Parameter.X' is not a reference; there are Parameters.<name>"),
        ({"Get": "Steps.X"}, "Here.Get: 'Steps.X' is not a reference"),
        ({"a": {"Get": "Steps.X[.y"}}, "Here.a.Get: 'Steps.X[.y' is not a path: at character 8 stands '['"),
        ({"Std:Concat": []}, "Here.Std:Concat: unknown function 'Std:Concat'; there are Get, Std:Join and Std:JsonGet"),
        ({"Std:Join": {"On": 1, "Values": []}}, "Here.Std:Join.On: expected a text, found the number 1"),
        ({"Std:Join": {"On": "", "Values": "x"}}, "Here.Std:Join.Values: expected a list, found the text 'x'"),
        ({"Std:Join": {"Values": [{"Get": "?"}]}}, "Here.Std:Join.Values[0].Get: '?' is not a reference"),
        ({"Std:JsonGet": {"Path": "a"}}, "Here.Std:JsonGet: expected an object with the members Path and one of"),
        ({"Std:JsonGet": {"S3Uri": "s3://b/k", "Path": "a..b"}}, "Here.Std:JsonGet.Path: 'a..b' is not a path"),
        ({"Std:JsonGet": {"S3Uri": "s3://b/k", "Path": ""}}, "Here.Std:JsonGet.Path: expected the path of a value"),
        (
            {"Std:JsonGet": {"PropertyFile": "x", "Path": "a"}},
            "Here.Std:JsonGet.PropertyFile: expected {'Get': 'Steps.<step>.PropertyFiles.<name>'}",
        ),
    ],
)
def test_a_malformed_expression_is_reported_in_its_place(document: Any, place: str) -> None:
    (fault,) = faults_of(document)
    assert fault.startswith(place)


def test_all_references_are_found_wherever_they_stand() -> None:
    report = {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.E.PropertyFiles.R"}, "Path": "a"}}
    expression = parse({"a": [{"Std:Join": {"On": "", "Values": [report, {"Get": "Steps.T.X"}]}}]}, "A", [])
    assert list(references(expression)) == [
        PropertyFileValue("E", "R", "A.a[0].Std:Join.Values[0].Std:JsonGet.PropertyFile.Get"),
        StepValue("T", (Member("X"),), "A.a[0].Std:Join.Values[1].Get"),
    ]
    assert len(list(json_gets(expression))) == 1
