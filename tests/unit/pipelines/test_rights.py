"""What the steps of an execution may do: what the author of the definition may, and approve only with the starter."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.callers import Role
from towpath.identity.rights import allowed
from towpath.pipelines.rights import refusal_of_step, rights_of_execution, stored

ROLES = st.frozensets(st.sampled_from(Role))
STEPS = st.sampled_from(
    [
        "CreateProcessingJob",
        "CreateTrainingJob",
        "CreateModel",
        "CreateEndpoint",
        "CreateModelPackage",
        "StopTrainingJob",
    ]
)


def may(author: frozenset[Role], starter: frozenset[Role], operation: str, **asked: Any) -> bool:
    spec = rights_of_execution(stored(author), starter)
    return refusal_of_step(spec, "ada", operation, asked) is None


@given(ROLES, ROLES, STEPS)
def test_a_step_has_the_rights_of_the_author_whoever_starts_it(
    author: frozenset[Role], starter: frozenset[Role], operation: str
) -> None:
    assert may(author, starter, operation) == allowed(author, "sagemaker", operation)


@given(ROLES, ROLES)
def test_a_model_is_registered_as_approved_only_where_author_and_starter_may_approve(
    author: frozenset[Role], starter: frozenset[Role]
) -> None:
    approvers = {Role.APPROVER, Role.ADMINISTRATOR}
    both = not author.isdisjoint(approvers) and not starter.isdisjoint(approvers)
    found = may(author, starter, "CreateModelPackage", ModelApprovalStatus="Approved")
    assert found == (both and allowed(author, "sagemaker", "CreateModelPackage"))


def test_executions_of_earlier_releases_have_every_right() -> None:
    assert refusal_of_step({}, "ada", "CreateModelPackage", {"ModelApprovalStatus": "Approved"}) is None
    assert rights_of_execution(None, {Role.ADMINISTRATOR}) == {}


@pytest.mark.parametrize(("author", "starter"), [("data-scientist", "approver"), ("approver", "data-scientist")])
def test_the_sentence_names_whose_right_is_missing(author: str, starter: str) -> None:
    spec = rights_of_execution(sorted({author, "data-scientist"}), [Role(starter)])
    refused = refusal_of_step(spec, "bob", "CreateModelPackage", {"ModelApprovalStatus": "Approved"})
    assert refused is not None
    assert ("bob" if author == "approver" else "the author of the definition") in refused.message
