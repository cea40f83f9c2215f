"""The rules of approval decisions."""

import pytest

from towpath.kernel.errors import Conflict
from towpath.registry.approval import ApprovalStatus, Decision, check, refusal_to_deploy


def decision(**members: object) -> Decision:
    standing: dict[str, object] = {
        "package": "reviews/1",
        "versioned": True,
        "package_status": "Completed",
        "current": "PendingManualApproval",
        "wanted": ApprovalStatus.APPROVED,
    }
    return Decision(**{**standing, **members})  # type: ignore[arg-type]


def test_a_complete_version_may_be_approved_and_rejected_one_that_failed_only_rejected() -> None:
    check(decision())
    check(decision(wanted=ApprovalStatus.REJECTED))
    check(decision(package_status="Failed", wanted=ApprovalStatus.REJECTED))
    with pytest.raises(Conflict, match="is Failed, not Completed"):
        check(decision(package_status="Failed"))


@pytest.mark.parametrize(
    ("status", "text"), [("PendingManualApproval", "towpath approve reviews/1"), ("Rejected", "was rejected")]
)
def test_only_approved_versions_are_deployed(status: str, text: str) -> None:
    assert refusal_to_deploy("reviews/1", "arn", "Approved") is None
    assert refusal_to_deploy("single", "arn", None) is None
    assert text in (refusal_to_deploy("reviews/1", "arn", status) or "")
