"""A plan knows what each step waits for, and in which branch it stands."""

from collections.abc import Callable
from typing import Any

import pytest

from towpath.pipelines.definition import Trigger, parse
from towpath.pipelines.evaluation import StepYield
from towpath.pipelines.faults import InvalidDefinition
from towpath.pipelines.graph import Guard, compile

Golden = Callable[[str], Any]


def test_data_makes_steps_wait_wherever_it_is_used(golden: Golden) -> None:
    plan = compile(parse(golden("v2_bert")))
    waits = {name: {need.step for need in node.needs} for name, node in plan.nodes.items()}
    assert waits["Train"] == {"Processing"}
    assert waits["TrainHF"] == {"Processing"}
    assert waits["Accuracy"] == {"Evaluation"}
    assert waits["Register-RegisterModel"] == {"Register-RepackModel-0", "Evaluation", "Accuracy"}
    assert plan.nodes["Fail"].guard == Guard("Accuracy", outcome=False)
    assert plan.nodes["CreateIt-CreateModel"].guard == Guard("Accuracy", outcome=True)


def test_the_order_of_the_list_means_nothing(golden: Golden) -> None:
    plan = compile(parse(golden("v2_function")))
    assert list(plan.nodes) == ["pre", "fit", "Cond", "reg", "F"]
    assert plan.followers["pre"] == ("fit",)
    assert set(plan.followers["fit"]) == {"Cond", "reg"}


def test_triggers_are_kept(golden: Golden) -> None:
    plan = compile(parse(golden("v3_cleanup_trigger")))
    assert [(need.step, need.trigger) for need in plan.nodes["N"].needs] == [("T", Trigger.FAILED)]


def test_documents_that_a_step_reads_are_known_before_it_starts(golden: Golden) -> None:
    plan = compile(parse(golden("v3_bert")))
    assert len(plan.nodes["Accuracy"].documents) == 1
    locate = plan.property_files["Evaluation", "EvaluationReport"]
    outputs = [{"OutputName": "metrics", "S3Output": {"S3Uri": "s3://b/o/"}}]
    document = {"ProcessingOutputConfig": {"Outputs": outputs}}
    names = {"ProcessingOutputConfig.Outputs": "OutputName"}
    assert locate(StepYield(document=document, names=names)) == "s3://b/o/evaluation.json"


def test_a_loop_waits_with_its_body(golden: Golden) -> None:
    plan = compile(parse(golden("v3_foreach")))
    assert "Body" not in plan.nodes
    assert plan.step("Body") is plan.bodies["Each"].nodes["Body"]
    assert plan.step("Body").each == "Each"
    assert {need.step for need in plan.nodes["After"].needs} == {"Each"}


def test_a_circle_is_refused_by_name(golden: Golden) -> None:
    document = golden("v2_function")
    document["Steps"][2]["DependsOn"] = ["Cond"]
    with pytest.raises(InvalidDefinition, match="steps wait for each other: Cond → fit → pre → Cond"):
        compile(parse(document))


def test_ten_thousand_steps_in_a_row_are_planned(golden: Golden) -> None:
    steps: list[Any] = [{"Name": "S0", "Type": "Fail", "Arguments": {"ErrorMessage": "x"}}]
    for number in range(1, 10_000):
        steps.append({**steps[0], "Name": f"S{number}", "DependsOn": [f"S{number - 1}"]})
    plan = compile(parse({"Version": "2020-12-01", "Steps": steps[::-1]}))
    assert list(plan.nodes)[:2] == ["S0", "S1"]
