"""Rounds of ForEach steps: which begin when, what they see, how a failed one ends them, and which one is picked."""

from typing import Any

import pytest
from tests.unit.pipelines.test_execution import FAILED, STOPPED, SUCCEEDED, World, condition, fail, job

from towpath.kernel.errors import Invalid
from towpath.pipelines.definition import parse
from towpath.pipelines.graph import compile
from towpath.pipelines.model import StepStatus
from towpath.pipelines.rounds import concurrency_of, items_of
from towpath.pipelines.standing import Standings


def each(items: Any, *body: Any, name: str = "Each", needs: Any = (), **arguments: Any) -> dict[str, Any]:
    asked = {"IterableItems": items, "ForEachBody": list(body), **arguments}
    return {"Name": name, "Type": "ForEach", "DependsOn": list(needs), "Arguments": asked}


def reading(name: str, *needs: Any, **values: Any) -> dict[str, Any]:
    """Return a job whose environment holds what is asked for."""
    return {**job(name, *needs), "Arguments": {"Environment": {key: {"Get": path} for key, path in values.items()}}}


BEST = {"Pick": "MaxBy", "Field": {"Get": "IterationOutput.Body.Score"}}


def test_each_round_has_its_item_and_sees_its_own_steps() -> None:
    world = World(
        each(["a", "b"], reading("Body", item="ForEach.CurrentItem"), reading("Then", of="Steps.Body.Answer"))
    )
    assert world.running == ["Body[0]", "Body[1]"]
    assert [world.inputs[name]["Environment"] for name in world.running] == [{"item": "a"}, {"item": "b"}]
    world.end("Body[1]", Answer="of b")
    assert world.running == ["Body[0]", "Then[1]"]
    assert world.inputs["Then[1]"]["Environment"] == {"of": "of b"}
    row = world.rows["Then[1]"]
    assert (row.step, row.each, row.round, row.item) == ("Then", "Each", 1, "b")
    world.end("Body[0]", Answer="of a")
    world.end("Then[0]")
    world.end("Then[1]")
    assert world.ending == ("Succeeded", None)
    assert world.rows["Each"].metadata == {
        "ForEach": {
            "Status": "Succeeded",
            "InputItemCount": 2,
            "TotalStepCount": 4,
            "SucceededStepCount": 4,
            "FailedStepCount": 0,
            "StoppedStepCount": 0,
        }
    }


def test_no_more_rounds_run_than_may_and_the_next_begins_when_one_has_ended() -> None:
    world = World(each([1, 2, 3, 4], job("Body"), job("Then", "Body"), MaxConcurrency=2))
    assert world.running == ["Body[0]", "Body[1]"]
    world.end("Body[1]")
    assert world.running == ["Body[0]", "Then[1]"]
    world.end("Then[1]")
    assert world.running == ["Body[0]", "Body[2]"]


def test_a_round_that_fails_as_it_begins_lets_no_other_begin_in_the_same_moment() -> None:
    world = World(each([1, 2, 3], fail("Body"), MaxConcurrency=2))
    assert {name: row.status for name, row in world.rows.items()} == {"Each": FAILED, "Body[0]": FAILED}
    assert world.ending is not None
    assert world.ending[0] == "Failed"


def test_slots_are_shared_with_all_other_steps() -> None:
    world = World(job("A"), each([1, 2], job("Body")), job("Z"), max_parallel=2)
    assert world.running == ["A", "Z"], "the ForEach itself takes no slot"
    world.end("A")
    assert world.running == ["Z", "Body[0]"]
    world.end("Z")
    assert world.running == ["Body[0]", "Body[1]"]


def test_the_selected_round_and_every_other_can_be_read_afterwards() -> None:
    after = reading("After", best="Steps.Each.Selected.Name", first="Steps.Each.IterationOutputs[0].Body.Name")
    world = World(each([1, 2, 3], job("Body"), Selector=BEST), after)
    for number, score in enumerate(("0.5", 7, 7)):
        world.end(f"Body[{number}]", Score=score, Name=f"model {number}")
    assert world.inputs["After"]["Environment"] == {"best": "model 1", "first": "model 0"}, "the first of equals"
    assert world.rows["Each"].metadata["ForEach"]["Selector"] == {"StepName": "Body", "Index": 1}


def test_the_smallest_is_picked_and_what_has_no_number_fails() -> None:
    smallest = {**BEST, "Pick": "MinBy"}
    world = World(each([1, 2], job("Body"), Selector=smallest))
    world.end("Body[0]", Score=2)
    world.end("Body[1]", Score=-1.5)
    assert world.rows["Each"].picked == 1
    world = World(each([1], job("Body"), Selector=smallest))
    world.end("Body[0]", Score="good")
    assert world.finished is not None
    assert "in round 0 it is the text 'good'; expected a number" in str(world.finished.failure_reason)


def test_an_empty_list_has_no_rounds_and_nothing_is_selected() -> None:
    world = World(
        each([], job("Body"), Selector=BEST), job("After", "Each"), reading("Best", x="Steps.Each.Selected.X")
    )
    assert world.rows["Each"].status is SUCCEEDED
    assert world.rows["Best"].status is FAILED
    assert "there is no ForEach step with a selected round 'Each'" in str(world.rows["Best"].failure_reason)


def test_the_items_may_come_from_a_step_or_be_a_list_as_text() -> None:
    world = World(job("List"), each({"Get": "Steps.List.Found"}, job("Body")))
    assert world.running == ["List"]
    world.end("List", Found="[10, 20]")
    assert world.rows["Each"].items == [10, 20]
    world = World(each({"Get": "Parameters.P"}, job("Body")), parameters={"P": "no list"})
    assert world.finished is not None
    assert "IterableItems is the text 'no list'; expected a list" in str(world.finished.failure_reason)
    for no_list in (7, "[" * 1000, "[" * 200 + "]" * 200, '["\\ud800"]', "[NaN]"):
        with pytest.raises(Invalid, match="expected a list"):
            items_of(no_list)
    assert concurrency_of("3") == 3
    for wrong in (0, True, "many", 1.5):
        with pytest.raises(Invalid, match="expected an integer of at least 1"):
            concurrency_of(wrong)


def test_conditions_in_the_body_decide_in_each_round_for_themselves() -> None:
    asked = condition("If", outcome={"Get": "ForEach.CurrentItem"}, then=[job("Yes")], otherwise=[job("No")])
    world = World(each(["yes", "no", "yes"], asked, job("After", "Yes")))
    assert set(world.running) == {"Yes[0]", "No[1]", "Yes[2]"}
    for name in ("Yes[0]", "No[1]", "Yes[2]"):
        world.end(name)
    assert set(world.running) == {"After[0]", "After[2]"}
    world.end("After[0]")
    world.end("After[2]")
    assert world.ending == ("Succeeded", None)


def test_a_failed_round_ends_the_loop_once_the_others_have_ended() -> None:
    world = World(each(["a", "b", "c"], job("Body"), MaxConcurrency=2))
    world.end("Body[1]", FAILED, "AlgorithmError: exit code 1")
    assert world.running == ["Body[0]"], "no further round begins"
    world.end("Body[0]")
    assert world.ending == (
        "Failed",
        "Step 'Each' failed: Step 'Body' failed in round 1 (item 'b'): AlgorithmError: exit code 1",
    )
    told = world.rows["Each"].metadata["ForEach"]
    assert (told["Status"], told["SucceededStepCount"], told["FailedStepCount"]) == ("Failed", 1, 1)


def test_a_failure_that_is_followed_up_in_its_round_lets_the_rounds_go_on() -> None:
    report = job("Report", {"Step": "Body", "Trigger": "Failed"})
    world = World(each([1, 2], job("Body"), report, MaxConcurrency=1))
    world.end("Body[0]", FAILED, "AlgorithmError")
    assert world.running == ["Report[0]"]
    world.end("Report[0]")
    world.end("Body[1]")
    assert world.rows["Each"].status is SUCCEEDED
    assert world.ending == ("CompletedWithFailures", None)


def test_a_step_follows_up_on_the_loop_itself() -> None:
    world = World(each([1], job("Body")), job("Report", {"Step": "Each", "Trigger": "Failed"}), job("More"))
    world.end("Body[0]", FAILED, "AlgorithmError")
    assert "Report" in world.running
    world.end("Report")
    world.end("More")
    assert world.ending == ("CompletedWithFailures", None)


def test_a_fail_step_in_a_round_fails_the_loop_with_its_message() -> None:
    asked = condition("If", outcome={"Get": "ForEach.CurrentItem"}, then=[fail("Stop", "too bad")], otherwise=[])
    world = World(each(["no", "yes"], asked))
    assert world.ending == ("Failed", "Step 'Each' failed: Step 'Stop' failed in round 1 (item 'yes'): too bad")


def test_when_another_step_fails_no_round_begins_and_the_loop_stops() -> None:
    world = World(job("A"), each([1, 2], job("Body"), MaxConcurrency=1))
    world.end("A", FAILED, "AlgorithmError")
    assert world.running == ["Body[0]"]
    world.end("Body[0]")
    assert world.rows["Each"].status is STOPPED
    assert world.ending == ("Failed", "Step 'A' failed: AlgorithmError (also: 'Each')")


def test_stopping_stops_the_jobs_of_all_rounds() -> None:
    world = World(each([1, 2, 3], job("Body"), MaxConcurrency=2))
    world.stop()
    assert [world.rows[f"Body[{n}]"].status for n in (0, 1)] == [StepStatus.STOPPING] * 2
    world.end("Body[0]", STOPPED)
    world.end("Body[1]", STOPPED)
    assert world.rows["Each"].status is STOPPED
    assert world.ending == ("Stopped", None)


def test_the_loop_begins_when_everything_is_there_that_its_body_needs() -> None:
    world = World(job("Outer"), each([1], reading("Body", x="Steps.Outer.Answer")))
    assert world.running == ["Outer"]
    world.end("Outer", Answer="there")
    assert world.inputs["Body[0]"]["Environment"] == {"x": "there"}
    with pytest.raises(Invalid, match=r"wait for each other: Each → After → Each"):
        compile(parse({"Version": "2020-12-01", "Steps": [each([1], job("Body", "After")), job("After", "Each")]}))


def test_a_loop_in_the_body_of_another_is_refused() -> None:
    inner = each([1], job("Body"), name="Inner")
    with pytest.raises(Invalid, match="stands in the body of another one"):
        compile(parse({"Version": "2020-12-01", "Steps": [each([1], inner)]}))


def test_standings_made_anew_from_the_rows_are_the_same() -> None:
    world = World(each([1, 2, 3, 4], job("Body"), job("Then", "Body"), MaxConcurrency=2), job("After", "Each"))
    for name in ("Body[1]", "Then[1]", "Body[0]", "Body[2]"):
        world.end(name)
    fresh = Standings(world.plan, dict(world.rows))
    assert [row.name for row in fresh.running()] == ["Then[0]", "Then[2]"]
    assert fresh.startable() == []
    world.end("Then[0]")
    assert world.running == ["Then[2]", "Body[3]"]
