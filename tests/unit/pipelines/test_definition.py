"""Definitions are read whole, written back unchanged, and refused with every fault in its place."""

import json
from pathlib import Path
from typing import Any

import pytest

from towpath.pipelines.definition import Definition, Step, Trigger, document, parse, read
from towpath.pipelines.faults import InvalidDefinition

GOLDEN = Path(__file__).parents[2] / "golden" / "definitions"
DOCUMENTS = sorted(GOLDEN.glob("*.json"))


def golden(name: str) -> Any:
    return json.loads((GOLDEN / f"{name}.json").read_text())


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_a_real_document_is_written_back_as_it_was_read(path: Path) -> None:
    assert document(parse(path.read_text())) == json.loads(path.read_text())


def test_steps_in_branches_are_read_as_steps() -> None:
    definition = parse(golden("v2_bert"))
    names = [step.name for step in definition.all_steps()]
    assert names.index("Accuracy") < names.index("CreateIt-CreateModel") < names.index("Fail")
    fail = next(step for step in definition.all_steps() if step.name == "Fail")
    assert fail.place == "Steps[4].Arguments.ElseSteps[0]"


def test_a_trigger_of_the_newer_grammar_is_read() -> None:
    steps = parse(golden("v3_cleanup_trigger")).steps
    assert [(entry.step, entry.trigger) for entry in steps[1].depends_on] == [("T", Trigger.FAILED)]
    assert [(entry.step, entry.trigger) for entry in steps[2].depends_on] == [("T", Trigger.COMPLETED)]


def test_unknown_well_formed_members_are_kept() -> None:
    text = golden("v2_callback")
    text["Steps"][0]["FutureMember"] = {"a": [1]}
    text["FutureSection"] = 7
    definition = parse(text)
    assert definition.steps[0].members["FutureMember"] == {"a": [1]}
    assert document(definition) == text


def test_every_fault_of_the_shape_is_listed_with_its_place() -> None:
    broken = golden("v2_bert")
    broken["Version"] = "2019-01-01"
    broken["Parameters"][1]["Type"] = "Number"
    del broken["Parameters"][2]["Name"]
    broken["Steps"][0]["CacheConfig"]["Enabled"] = "yes"
    broken["Steps"][0]["RetryPolicies"][1]["MaxAttempts"] = 2.5
    broken["Steps"][2]["DependsOn"] = [{"Step": "Processing", "Trigger": "Sometimes"}, 7]
    broken["Steps"][3]["PropertyFiles"][0].pop("FilePath")
    broken["Steps"][4]["Arguments"]["ElseSteps"][0].pop("Arguments")
    broken["Steps"].append("step")
    _, faults = read(broken)
    assert [str(fault) for fault in faults] == [
        "Version: version '2019-01-01' is not known; expected '2020-12-01'",
        "Parameters[1].Type: 'Number' is not a type of parameters; expected one of String, Integer, Float, Boolean",
        "Parameters[2].Name: this member is missing; expected a text",
        "Steps[0].CacheConfig.Enabled: expected true or false, found the text 'yes'",
        "Steps[0].RetryPolicies[1].MaxAttempts: expected an integer, found the number 2.5",
        "Steps[2].DependsOn[0].Trigger: 'Sometimes' is not a trigger; expected one of Completed, Failed, Stopped, Any",
        "Steps[2].DependsOn[1]: expected the name of a step, found the number 7",
        "Steps[3].PropertyFiles[0].FilePath: this member is missing; expected a text",
        "Steps[4].Arguments.ElseSteps[0].Arguments: this member is missing; expected an object",
        "Steps[5]: expected an object, found the text 'step'",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "the document: this is not JSON: Expecting property name"),
        ("[]", "the document: expected an object, found a list"),
        ('{"Version": "2020-12-01"}', "Steps: this member is missing; expected a list"),
        ('{"Version": NaN}', "the document: this is not JSON: NaN is not a JSON value"),
        ("[" * 100_000, "the document: values are nested more than 100 levels deep"),
        ('{"Metadata": ' + "[" * 500 + "]" * 500 + "}", "the document: values are nested more than 100 levels deep"),
    ],
)
def test_what_is_no_definition_is_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidDefinition) as caught:
        parse(text)
    assert message in caught.value.message


def test_a_definition_made_of_values_is_written_for_aws() -> None:
    definition = Definition(steps=(Step(name="Stop", type="Fail", arguments={"ErrorMessage": "no"}),))
    assert document(definition) == {
        "Version": "2020-12-01",
        "Parameters": [],
        "Steps": [{"Name": "Stop", "Type": "Fail", "Arguments": {"ErrorMessage": "no"}}],
    }
