"""What is told of a dataset that nobody has put."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from towpath.sdk import Client, NotFound

USES: dict[str, Callable[[Client, str], object]] = {
    "get": lambda client, name: client.datasets.get(name, Path("nowhere")),
    "versions": lambda client, name: list(client.datasets.versions(name)),
    "check_outs": lambda client, name: list(client.datasets.check_outs(name)),
    "diff": lambda client, name: client.datasets.diff(name, 1, 2),
}


class Datasets(Client):
    """A server that has one dataset, and nothing else."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1", token="t")

    def call(self, operation: str, request: Any = None) -> Any:
        if operation == "Towpath.ListDatasets":
            return {"Datasets": [{"DatasetName": "reviews"}]}
        raise NotFound("ResourceNotFound", "as the server says it", status=404)


@pytest.mark.parametrize("use", USES)
def test_a_dataset_that_is_not_there_is_told_with_those_that_are(use: str) -> None:
    with pytest.raises(NotFound) as told:
        USES[use](Datasets(), "revews")
    assert told.value.message == "there is no dataset 'revews' (did you mean 'reviews'?); known: reviews"
    with pytest.raises(NotFound, match="as the server says it"):
        USES[use](Datasets(), "reviews")
