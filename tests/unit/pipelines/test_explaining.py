"""What is told of a step's key on a real store: rows are read in transactions, archives opened outside of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.unit.pipelines.test_results import Past

from towpath.jobs.ingredients import Ingredients
from towpath.kernel.errors import Invalid, NotFound, Unavailable
from towpath.kernel.operations import Request
from towpath.kernel.principals import Caller
from towpath.kernel.resource import Document
from towpath.pipelines.explaining import Explaining
from towpath.pipelines.model import CacheNote


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


def test_a_step_that_has_not_begun_is_told_from_one_that_is_none(past: Past) -> None:
    with pytest.raises(NotFound, match="'Prepare' has not begun in"):
        explained(past)
    with pytest.raises(NotFound, match="'Nowhere' is no step of"):
        explained(past, "Nowhere")
