"""Whether an approval decision about a model package may be taken: a list of rules, each with its reason."""

from collections.abc import Callable
from enum import StrEnum

import msgspec

from towpath.kernel.errors import Conflict


class ApprovalStatus(StrEnum):
    """SageMaker's ModelApprovalStatus."""

    PENDING = "PendingManualApproval"
    APPROVED = "Approved"
    REJECTED = "Rejected"


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """An approval status that somebody wants to give to a package that stands like this."""

    package: str  #: GROUP/VERSION or the bare name, for messages
    versioned: bool  #: belongs to a group
    package_status: str  #: ModelPackageStatus
    current: str | None  #: ModelApprovalStatus now
    wanted: ApprovalStatus


Rule = Callable[[Decision], str | None]  #: why the decision may not be taken, None when nothing speaks against it


def only_versions_have_an_approval(decision: Decision) -> str | None:
    """An unversioned package has no approval status, as on SageMaker."""
    if decision.versioned:
        return None
    return (
        f"Model package {decision.package} belongs to no group, and only versions in a group have an approval status; "
        "register it with ModelPackageGroupName"
    )


def only_complete_packages_are_approved(decision: Decision) -> str | None:
    """What is not complete cannot be deployed, so it cannot be approved."""
    if decision.wanted is not ApprovalStatus.APPROVED or decision.package_status == "Completed":
        return None
    return (
        f"Model package {decision.package} is {decision.package_status}, not Completed, so it cannot be approved; "
        "wait until it is, or register it again"
    )


RULES: tuple[Rule, ...] = (only_versions_have_an_approval, only_complete_packages_are_approved)


def check(decision: Decision) -> None:
    """Refuse a decision that a rule speaks against.

    Raises:
        Conflict: with the reason of the first such rule.
    """
    for rule in RULES:
        reason = rule(decision)
        if reason is not None:
            raise Conflict(reason, code="ValidationException")


def refusal_to_deploy(package: str, arn: str, status: str | None) -> str | None:
    """Return why a package with this approval status may not be deployed, None when it may.

    Unversioned packages (status None) need no approval.
    """
    if status in {None, ApprovalStatus.APPROVED}:
        return None
    if status == ApprovalStatus.REJECTED:
        return f"Model package {package} was rejected, so no model can be created from it ({arn})"
    return (
        f"Model package {package} waits for approval, so no model can be created from it yet. Approve it with "
        f"`towpath approve {package}`, or UpdateModelPackage with ModelApprovalStatus Approved ({arn})"
    )
