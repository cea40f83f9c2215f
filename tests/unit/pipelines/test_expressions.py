"""Expressions are parsed with their places, and have the value that stands where they point."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.kernel.errors import Invalid
from towpath.pipelines.expressions import (
    CurrentItem,
    DocumentRef,
    EvaluationError,
    IterationOutputs,
    PropertyFileValue,
    Reference,
    Scope,
    Selected,
    StepValue,
    StepYield,
    as_text,
    evaluate,
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


def value_of(document: Any, scope: Scope | None = None) -> Any:
    faults: list[Fault] = []
    expression = parse(document, "Here", faults)
    assert faults == []
    return evaluate(expression, scope or Scope())


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


@given(VALUES)
def test_a_value_without_expressions_is_its_own_value(value: Any) -> None:
    assert value_of({"wrapped": [value]}) == {"wrapped": [value]}


@given(st.text(max_size=3), st.lists(SCALARS, max_size=5))
def test_join_puts_a_text_between_the_texts_of_values(on: str, values: list[Any]) -> None:
    assert value_of({"Std:Join": {"On": on, "Values": values}}) == on.join(as_text(value) for value in values)


def test_join_writes_numbers_as_json_and_flags_as_start_parameters_do() -> None:
    assert value_of({"Std:Join": {"On": " ", "Values": [1e-05, 3, True, None, [1, 2]]}}) == "1e-05 3 True null [1, 2]"


PROCESSED = StepYield(
    document={
        "ProcessingOutputConfig": {
            "Outputs": [
                {"OutputName": "test", "S3Output": {"S3Uri": "s3://b/test"}},
                {"OutputName": "train", "S3Output": {"S3Uri": "s3://b/train"}},
            ]
        },
        "Environment": {"A.b": "1"},
    },
    names={"ProcessingOutputConfig.Outputs": "OutputName"},
)
SCOPE = Scope(
    parameters={"Epochs": 3},
    execution={"PipelineName": "p"},
    config={"PipelineExperimentConfig": {"TrialName": "t"}},
    yields={"P": PROCESSED},
    property_files={("P", "Report"): lambda yielded: "s3://b/report.json"},
    document=lambda ref: DOCUMENTS[ref],
    item={"a": {"b": 5}},
    round={"Body": StepYield(document={"X": 1})},
    rounds={"Each": [{"Body": StepYield(document={"X": 8})}, {"Body": StepYield(document={"X": 9})}]},
    selected={"Each": StepYield(document={"X": 9})},
)
DOCUMENTS: dict[DocumentRef, Any] = {
    DocumentRef("s3://b/report.json", "P"): {"metrics": {"acc": [0.5, 0.7]}},
    DocumentRef("s3://b/train/results.json"): {"Result": {"a": 1}},
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Parameters.Epochs", 3),
        ("Execution.PipelineName", "p"),
        ("PipelineExperimentConfig.TrialName", "t"),
        ("Steps.P.ProcessingOutputConfig.Outputs['train'].S3Output.S3Uri", "s3://b/train"),
        ("Steps.P.ProcessingOutputConfig.Outputs[0].OutputName", "test"),
        ("Steps.P.Environment['A.b']", "1"),
        ("ForEach.CurrentItem.a['b']", 5),
        ("IterationOutput.Body.X", 1),
        ("Steps.Each.Selected.X", 9),
        ("Steps.Each.IterationOutputs[0].Body.X", 8),
    ],
)
def test_get_reads_what_it_points_at(text: str, value: Any) -> None:
    assert value_of({"Get": text}, SCOPE) == value


def test_json_get_reads_a_property_file() -> None:
    source = {"PropertyFile": {"Get": "Steps.P.PropertyFiles.Report"}, "Path": "metrics.acc[1]"}
    assert value_of({"Std:JsonGet": source}, SCOPE) == 0.7


def test_json_get_reads_an_object_whose_address_is_an_expression() -> None:
    train = {"Get": "Steps.P.ProcessingOutputConfig.Outputs['train'].S3Output.S3Uri"}
    uri = {"Std:Join": {"On": "/", "Values": [train, "results.json"]}}
    assert value_of({"Std:JsonGet": {"S3Uri": uri, "Path": "Result['a']"}}, SCOPE) == 1


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"Get": "Parameters.No"}, "Here.Get: there is no parameter 'No'"),
        ({"Get": "Steps.Q.X"}, "Here.Get: there is no ended step 'Q'"),
        (
            {"Get": "Steps.P.Nothing"},
            "the document has no member 'Nothing'; it has ProcessingOutputConfig, Environment",
        ),
        (
            {"Get": "Steps.P.ProcessingOutputConfig.Outputs['val']"},
            "Here.Get: ProcessingOutputConfig.Outputs has no item with OutputName 'val'; it has test, train",
        ),
        ({"Get": "Steps.P.ProcessingOutputConfig.Outputs[2]"}, "has 2 items; there is no item 2"),
        ({"x": [1, {"Get": "Parameters.No"}]}, "Here.x[1].Get: there is no parameter 'No'"),
        (
            {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.P.PropertyFiles.Report"}, "Path": "metrics.f1"}},
            "Here.Std:JsonGet: metrics has no member 'f1'; it has acc",
        ),
    ],
)
def test_an_expression_without_a_value_says_where_and_why(document: Any, message: str) -> None:
    with pytest.raises(EvaluationError) as caught:
        value_of(document, SCOPE)
    assert message in caught.value.message


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


def test_an_object_with_more_members_than_get_is_no_expression() -> None:
    assert value_of({"Get": "Parameters.X", "Put": 1}) == {"Get": "Parameters.X", "Put": 1}


def test_all_references_are_found_wherever_they_stand() -> None:
    report = {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.E.PropertyFiles.R"}, "Path": "a"}}
    expression = parse({"a": [{"Std:Join": {"On": "", "Values": [report, {"Get": "Steps.T.X"}]}}]}, "A", [])
    assert list(references(expression)) == [
        PropertyFileValue("E", "R", "A.a[0].Std:Join.Values[0].Std:JsonGet.PropertyFile.Get"),
        StepValue("T", (Member("X"),), "A.a[0].Std:Join.Values[1].Get"),
    ]
    assert len(list(json_gets(expression))) == 1


def test_a_property_file_has_no_value_of_its_own() -> None:
    with pytest.raises(Invalid, match="read by Std:JsonGet"):
        value_of({"Get": "Steps.P.PropertyFiles.Report"}, SCOPE)
