"""Lines that input templates make for log groups, whatever an event puts into them."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from towpath.triggers.log_groups import _as_template_says

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("at", ["2026-05-01T11:00:00Z", (NOW - timedelta(hours=1)).timestamp() * 1000])
def test_a_line_has_the_time_and_the_text_that_its_template_says(at: object) -> None:
    body = json.dumps({"timestamp": at, "message": "x"})
    assert _as_template_says(body, NOW) == (NOW - timedelta(hours=1), "x")


@pytest.mark.parametrize(
    "at", ["9999-12-31T23:59:59.999999Z", "2026-05-01T14:00:01Z", "2026-04-17T11:59:59Z", "soon", 1e300, True, None]
)
def test_a_time_that_no_line_may_have_is_now(at: object) -> None:
    assert _as_template_says(json.dumps({"timestamp": at, "message": "x"}), NOW) == (NOW, "x")


@pytest.mark.parametrize("body", ['{"timestamp": 1, "message": "\\ud800"}', "[" * 100_000, "plain", '{"message": "x"}'])
def test_what_is_no_such_document_is_the_text_itself(body: str) -> None:
    assert _as_template_says(body, NOW) == (NOW, body)
