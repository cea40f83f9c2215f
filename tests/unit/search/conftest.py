"""Searches on a real store that holds training jobs."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from towpath.app import KINDS, SHOWN_BY, OperationShapes
from towpath.gateway import ServiceModels
from towpath.kernel import generic
from towpath.kernel.clock import VirtualClock
from towpath.kernel.operations import Request
from towpath.kernel.principals import Caller
from towpath.kernel.resource import Document
from towpath.search import Search
from towpath.store import SqliteStore

Train = Callable[..., str]
Find = Callable[..., Document]
SEARCH = Search(KINDS, OperationShapes(ServiceModels()), SHOWN_BY)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def store(tmp_path: Path, clock: VirtualClock) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "store.db", clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def train(store: SqliteStore, clock: VirtualClock) -> Train:
    """Store a training job with these hyperparameters, metrics and tags, a second after the one before."""

    def make(name: str, status: str = "Completed", tags: dict[str, str] | None = None, **known: Any) -> str:
        clock.advance(1)
        asked = {
            "TrainingJobName": name,
            "HyperParameters": known.get("parameters", {}),
            "OutputDataConfig": {"S3OutputPath": "s3://lake/models"},
            "InputDataConfig": known.get("channels", []),
            "Tags": [{"Key": key, "Value": value} for key, value in (tags or {}).items()],
        }
        state = {
            "FinalMetricDataList": [
                {"MetricName": metric, "Value": value, "Timestamp": 0}
                for metric, value in known.get("metrics", {}).items()
            ]
        }
        request = Request(operation="CreateTrainingJob", input=asked, caller=Caller("ada"))
        return store.write(
            lambda transaction: (
                generic.create(transaction, KINDS["TrainingJob"], request, state=state, status=status).arn
            )
        )

    return make


@pytest.fixture
def find(store: SqliteStore) -> Find:
    """Carry out Search on training jobs and return its answer."""

    def search(*filters: tuple[str, str, str], resource: str = "TrainingJob", **asked: Any) -> Document:
        given = [{"Name": name, "Operator": operator, "Value": value} for name, operator, value in filters]
        expression = {"SearchExpression": {"Filters": given}} if given else {}
        request = Request(operation="Search", input={"Resource": resource, **expression, **asked}, caller=Caller("ada"))
        return store.read(lambda transaction: SEARCH.search(transaction, request))

    return search


@pytest.fixture
def suggest(store: SqliteStore) -> Callable[[str], list[str]]:
    """Return the property names of training jobs that begin with a hint."""

    def suggestions(hint: str) -> list[str]:
        query = {"PropertyNameQuery": {"PropertyNameHint": hint}}
        request = Request(
            operation="GetSearchSuggestions",
            input={"Resource": "TrainingJob", "SuggestionQuery": query},
            caller=Caller("ada"),
        )
        answer = store.read(lambda transaction: SEARCH.suggestions(transaction, request))
        return [item["PropertyName"] for item in answer["PropertyNameSuggestions"]]

    return suggestions
