"""What is told of a step's key on a real store: rows are read in transactions, archives opened outside of them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.unit.pipelines.test_results import DEFINITION, STEP, Past

from towpath.jobs.ingredients import Ingredients
from towpath.kernel.errors import Invalid, NotFound, Unavailable
from towpath.kernel.operations import Request
from towpath.kernel.principals import Caller
from towpath.kernel.resource import Document
from towpath.pipelines.explaining import Explaining
from towpath.pipelines.model import CacheNote, ExecutionStatus
from towpath.store import SqlTransaction


@pytest.fixture
def past(tmp_path: Path) -> Iterator[Past]:
    past = Past(tmp_path)
    past.given.made = Ingredients(python_version="3.11")
    yield past
    past.store.close()


def explained(past: Past, step: str = "Prepare") -> Document:
    """Ask as the front door does, and return what it answers."""
    (operation,) = Explaining(past.store, past.given).operations()  # type: ignore[arg-type]
    asked = {"PipelineExecutionArn": past.first.arn, "StepName": step}
    request = Request(operation=operation.name, input=asked, caller=Caller("ada"))
    assert operation.prepare is not None
    request = replace(request, prepared=operation.prepare(request))
    return past.store.read(lambda transaction: operation.function(transaction, request))


def test_archives_are_opened_when_the_transaction_is_over(past: Past) -> None:
    past.keep(replace(past.row, cache=CacheNote(why="nothing has succeeded", key=past.note.key)))
    told = explained(past)
    assert told["Outcome"] == "Miss"
    assert told["Reason"].startswith("nothing has succeeded")
    assert {"Group": "environment", "Name": "Python", "Value": "3.11"} in told["KeyParts"]


@pytest.mark.parametrize(
    ("unread", "said"),
    [
        (Invalid("Version 1 of s3://b/source.tar.gz cannot be read: its bytes are gone"), "its bytes are gone"),
        (Unavailable("The object store does not answer"), "does not answer"),
        (ValueError("damaged"), "ValueError: damaged"),
    ],
)
def test_what_was_decided_stays_told_when_what_the_step_was_made_of_is_gone(
    past: Past, unread: Exception, said: str
) -> None:
    past.keep(replace(past.row, cache=CacheNote(why="nothing has succeeded", key=past.note.key)))
    past.given.unread = unread
    told = explained(past)
    assert told["Outcome"] == "Miss"
    assert told["Reason"].startswith("nothing has succeeded; what it was made of cannot be told: ")
    assert told["Reason"].endswith(said)


def test_why_there_is_no_key_is_told_as_it_was_noted(past: Past) -> None:
    past.keep(replace(past.row, cache=CacheNote(why="it has no key: s3://b/source.tar.gz cannot be read")))
    past.given.unread = Invalid("gone")
    assert explained(past)["Reason"] == "it has no key: s3://b/source.tar.gz cannot be read"


def begun(past: Past, *names: str, status: ExecutionStatus = ExecutionStatus.EXECUTING) -> None:
    """Let steps have begun in the first execution."""
    rows = [replace(past.row, name=name, position=place) for place, name in enumerate(names)]

    def begin(transaction: SqlTransaction) -> None:
        transaction.steps.put(past.first.uid, rows)
        execution = transaction.resources.get(past.first.uid)
        assert execution is not None
        spec = {**execution.spec, "PipelineDefinition": json.dumps(WITH_ROUNDS)}
        transaction.resources.replace(execution, spec=spec, status=status.value)

    past.store.write(begin)


EACH: Document = {
    "Name": "Each",
    "Type": "ForEach",
    "Arguments": {"IterableItems": [1, 2], "ForEachBody": [{**STEP, "Name": "Train"}]},
}
WITH_ROUNDS: Document = {**DEFINITION, "Steps": [STEP, {**STEP, "Name": "Later"}, EACH]}


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ("Nowhere", "'Nowhere' is no step of first; its steps: Prepare, Later, Each, Train"),
        (
            "prepare",
            "'prepare' is no step of first (did you mean 'Prepare'?); its steps: Prepare, Later, Each, Train",
        ),
        (
            "Trian[1]",
            "'Trian[1]' is no step of first (did you mean 'Train'?); its steps: Prepare, Later, Each, Train",
        ),
        ("Train", "'Train' runs in rounds in first; name it with the number of one: Train[0], Train[1]"),
        ("Prepare[0]", "'Prepare' runs in no rounds in first; name it without a number"),
        (
            "Later",
            "'Later' has not begun in first yet, which is Executing; steps that began: Prepare, Train[0], Train[1]",
        ),
    ],
)
def test_of_a_step_that_cannot_be_explained_it_is_told_what_can_be(past: Past, step: str, told: str) -> None:
    begun(past, "Prepare", "Train[0]", "Train[1]")
    with pytest.raises(NotFound) as raised:
        explained(past, step)
    assert raised.value.message == told


def test_a_step_that_will_not_run_any_more_is_told_as_such(past: Past) -> None:
    begun(past, status=ExecutionStatus.FAILED)
    with pytest.raises(NotFound, match="'Later' did not run in first, which is Failed; steps that began: none"):
        explained(past, "Later")


def test_of_very_many_steps_some_are_named(past: Past) -> None:
    begun(past, "Prepare", *(f"Train[{number}]" for number in range(25)))
    with pytest.raises(NotFound, match=r"Train\[19\] and 5 more$"):
        explained(past, "Train")
