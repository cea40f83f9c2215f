"""The approval status at a time, from the history alone."""

from datetime import UTC, datetime, timedelta

from towpath.registry.history import Entry, Topic, approvals, status_at

START = datetime(2026, 1, 1, tzinfo=UTC)
HISTORY = (
    Entry(topic=Topic.REGISTERED, at=START, by="ada", after="PendingManualApproval"),
    Entry(topic=Topic.METADATA, at=START + timedelta(hours=1), by="ada", members=("SourceUri",)),
    Entry(
        topic=Topic.APPROVAL,
        at=START + timedelta(hours=2),
        by="grace",
        before="PendingManualApproval",
        after="Approved",
    ),
)


def test_the_status_is_the_one_of_the_last_decision_before() -> None:
    assert status_at(HISTORY, START - timedelta(seconds=1)) is None
    assert status_at(HISTORY, START + timedelta(hours=1)) == "PendingManualApproval"
    assert status_at(HISTORY, START + timedelta(hours=3)) == "Approved"


def test_approvals_leave_out_everything_else() -> None:
    assert [entry.by for entry in approvals(HISTORY)] == ["grace"]
