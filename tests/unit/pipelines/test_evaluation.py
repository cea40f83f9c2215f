"""Expressions have the value that stands where they point, or say why they have none."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.kernel.errors import Invalid
from towpath.pipelines.evaluation import DocumentRef, EvaluationError, Scope, StepYield, as_text, evaluate
from towpath.pipelines.expressions import parse
from towpath.pipelines.faults import Fault

MEMBERS = st.text(min_size=1, max_size=8).filter(lambda text: not set(text) & set(".[]'\""))
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(MEMBERS, inner, max_size=3), max_leaves=8
)


def value_of(document: Any, scope: Scope | None = None) -> Any:
    faults: list[Fault] = []
    expression = parse(document, "Here", faults)
    assert faults == []
    return evaluate(expression, scope or Scope())


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


def test_an_object_with_more_members_than_get_is_no_expression() -> None:
    assert value_of({"Get": "Parameters.X", "Put": 1}) == {"Get": "Parameters.X", "Put": 1}


def test_a_property_file_has_no_value_of_its_own() -> None:
    with pytest.raises(Invalid, match="read by Std:JsonGet"):
        value_of({"Get": "Steps.P.PropertyFiles.Report"}, SCOPE)
