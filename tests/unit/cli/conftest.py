"""A client whose server is a table of answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from towpath.sdk import Client, NotFound


class Answers(Client):
    """A client that answers operations from a table; those that are missing answer that nothing is there."""

    def __init__(self, **answers: Any) -> None:
        super().__init__("http://127.0.0.1:1", token="t")
        self.answers = answers
        self.asked: list[tuple[str, Any]] = []

    def call(self, operation: str, request: Any = None) -> Any:
        name = operation.rpartition(".")[2]
        self.asked.append((name, request))
        answer = self.answers.get(name)
        if callable(answer):
            answer = answer(request)
        if answer is None:
            raise NotFound("ValidationException", f"Could not find what {name} wants", status=400)
        return answer

    def get_json(self, path: str) -> Any:
        raise NotFound("ResourceNotFoundException", f"{path}: there is nothing", status=404)


@pytest.fixture
def answers() -> Callable[..., Answers]:
    """Return the class of such clients."""
    return Answers


@pytest.fixture(autouse=True)
def _no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TOWPATH_ENDPOINT", "TOWPATH_TOKEN", "TOWPATH_HOME", "CI"):
        monkeypatch.delenv(name, raising=False)
