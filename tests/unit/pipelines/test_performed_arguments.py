"""Whatever the Arguments of a Lineage or Cleanup step hold is carried out or refused, and breaks nothing."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.kernel.errors import Invalid
from towpath.kernel.resource import Document
from towpath.pipelines.checks import check
from towpath.pipelines.definition import Definition, parse
from towpath.pipelines.performing import Performance, clean_up, keep_records
from towpath.pipelines.ports import NoShapes, Shapes

#: Values that arguments are made of: names that mean something here, expressions, and anything else.
WORDS = st.sampled_from(["Artifact", "Action", "Context", "a", "s3://b/k", "not-s3", "arn:aws:x"])
NAMES = [f"{noun}Name" for noun in ("Artifact", "Action", "Context")]
MEMBERS = [*NAMES, "Source", "Destination", "Name", "Type", "Arn", "StepName", "S3Uris", "S3", "AssociationType", "Get"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS | st.just({"Get": "Parameters.p"}),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=4),
    max_leaves=12,
)


class Objects:
    """The rows of a store in which there is a bucket `b` that holds nothing."""

    def bucket_created_at(self, name: str) -> int | None:
        return 0 if name == "b" else None

    def listing(self, *_: Any, **__: Any) -> list[Any]:
        return []


def call(operation: str, asked: Document) -> Document:
    """Answer as operations do: nothing is there, and everything can be made."""
    assert isinstance(asked, dict), asked
    if operation.startswith("Describe"):
        name = operation.removeprefix("Describe")
        return {f"{name}Arn": f"arn:{asked[f'{name}Name']}"}
    return {f"{operation.removeprefix('Create')}Arn": "arn:made"}


def definition(step_type: str, arguments: Document) -> Definition:
    """Return a pipeline of one step."""
    return parse({"Version": "2020-12-01", "Steps": [{"Name": "Only", "Type": step_type, "Arguments": arguments}]})


def performance() -> Performance:
    transaction = cast(Any, SimpleNamespace(objects=Objects()))
    return Performance(transaction=transaction, call=call, principal="somebody", steps={})


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(["Artifacts", "Actions", "Contexts", "Associations"], VALUES)))
def test_any_lineage_is_kept_or_refused(arguments: Document) -> None:
    check(
        parse({"Version": "2020-12-01", "Steps": [{"Name": "L", "Type": "Lineage", "Arguments": arguments}]}),
        NoShapes(),
    )
    try:
        told = keep_records(performance(), arguments)
    except Invalid as error:
        assert error.message.startswith("Arguments."), error.message
    else:
        assert len(told["Associations"]) == len(arguments.get("Associations") or ())


@given(st.fixed_dictionaries({"Resources": VALUES | st.fixed_dictionaries({"S3": VALUES | st.lists(VALUES)})}))
def test_any_cleanup_is_done_or_refused(arguments: Document) -> None:
    check(
        parse({"Version": "2020-12-01", "Steps": [{"Name": "C", "Type": "Cleanup", "Arguments": arguments}]}),
        NoShapes(),
    )
    try:
        told = clean_up(performance(), arguments)
    except Invalid as error:
        assert error.message.startswith("Arguments.Resources"), error.message
    else:
        assert len(told["SkippedSteps"]) == len(arguments["Resources"].get("S3") or ())


def test_an_association_names_what_the_step_makes() -> None:
    end = {"Name": "b", "Type": "Action"}
    arguments = {
        "Actions": [{"ActionName": "a", "ActionType": "t", "Source": {"SourceUri": "u"}}],
        "Associations": [{"Source": {"Arn": "arn:aws:x"}, "Destination": end}],
    }
    words = "Arguments.Associations[0].Destination: the step makes no Action 'b'; it makes a"
    with pytest.raises(Invalid) as caught:
        keep_records(performance(), arguments)
    assert caught.value.message == words
    assert [str(fault) for fault in check(definition("Lineage", arguments), NoShapes())] == [f"Steps[0].{words}"]
    unknown = {**arguments, "Actions": [{"ActionName": {"Get": "Execution.PipelineName"}}]}
    assert check(definition("Lineage", unknown), NoShapes()) == []


def test_an_end_of_an_association_whose_arn_is_null_is_the_one_that_is_named() -> None:
    arguments = {
        "Actions": [{"ActionName": "a", "ActionType": "t", "Source": {"SourceUri": "u"}}],
        "Associations": [{"Source": {"Arn": "arn:aws:x"}, "Destination": {"Arn": None, "Name": "a", "Type": "Action"}}],
    }
    told = keep_records(performance(), arguments)
    assert told["Associations"] == [{"SourceArn": "arn:aws:x", "DestinationArn": "arn:a"}]


def test_a_lineage_step_cannot_make_nothing_of_an_entity(shapes: Shapes) -> None:
    found = check(definition("Lineage", {"Artifacts": [None]}), shapes)
    assert [str(fault) for fault in found] == ["Steps[0].Arguments.Artifacts[0]: expected an object, found null"]
