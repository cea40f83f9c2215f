"""The table of rights: whom it lets do what, whatever the operation is called."""

from itertools import chain, combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.api_table import all_offered

from towpath.callers import ROLE_OF_POLICY, Role
from towpath.gateway.gateway import SERVICES
from towpath.identity.rights import APPROVE, RULES, allowed, refusal, rule_of

EVERY = [frozenset(found) for found in chain.from_iterable(combinations(Role, n) for n in range(len(Role) + 1))]
ROLES = st.sampled_from(EVERY)
SERVICE = st.sampled_from(sorted({*(rule.service for rule in RULES), "events", "sqs", "made-up"}))
OPERATION = st.one_of(
    st.sampled_from(["CreateEndpoint", "UpdateModelPackage", "CreateModelPackage", "PutObject", "GetObject", APPROVE]),
    st.text(max_size=30),
)
#: What changes something, and viewers may do nevertheless: a session is theirs, and a check-out is noted.
HARMLESS = {("sts", "AssumeRole"), ("towpath", "CheckOutDataset")}
#: What changes nothing, and is for administrators: who has which key.
PRIVATE = {("iam", "ListUsers"), ("iam", "ListAccessKeys")}


@given(SERVICE, OPERATION)
def test_an_administrator_may_do_everything_and_nobody_without_a_role_anything(service: str, operation: str) -> None:
    assert allowed(frozenset({Role.ADMINISTRATOR}), service, operation)
    assert allowed(frozenset(), service, operation) == ((service, operation) == ("sts", "GetCallerIdentity"))


@given(ROLES, ROLES, SERVICE, OPERATION)
def test_several_roles_are_worth_what_they_are_worth_one_by_one(
    some: frozenset[Role], more: frozenset[Role], service: str, operation: str
) -> None:
    together = allowed(some | more, service, operation)
    assert together == (allowed(some, service, operation) or allowed(more, service, operation))


@given(ROLES, SERVICE, OPERATION, st.sampled_from([None, "Approved", "Rejected", "PendingManualApproval"]))
def test_what_is_refused_is_told_with_the_roles_that_would_do(
    roles: frozenset[Role], service: str, operation: str, status: str | None
) -> None:
    document = {} if status is None else {"ModelApprovalStatus": status}
    refused = refusal("ada", roles, service, operation, document)
    if refused is None:
        assert allowed(roles, service, operation)
        return
    assert "administrator" in refused.message
    needed = rule_of(service, operation).roles if not allowed(roles, service, operation) else {Role.APPROVER}
    assert all(role.value in refused.message for role in needed)


@given(ROLES, st.sampled_from(["Approved", "Rejected"]))
def test_only_approvers_and_administrators_decide_on_models(roles: frozenset[Role], status: str) -> None:
    may = not roles.isdisjoint({Role.APPROVER, Role.ADMINISTRATOR})
    decided = {"ModelApprovalStatus": status}
    assert (refusal("ada", roles, "sagemaker", "UpdateModelPackage", decided) is None) == may
    registered = refusal("ada", roles, "sagemaker", "CreateModelPackage", decided) is None
    builds = not roles.isdisjoint({Role.DATA_SCIENTIST, Role.ML_ENGINEER})
    assert registered == (Role.ADMINISTRATOR in roles or (may and builds))


@pytest.fixture(scope="module")
def offered() -> dict[tuple[str, str], bool]:
    """Return (signing name, operation) -> whether it changes something, of all that a server offers."""
    found = {}
    for service, operations in all_offered().items():
        for name, operation in operations.items():
            writes = name not in READS_OF_S3 if operation is None else operation.writes
            found[SERVICES[service].signing_name, name] = writes
    return found


READS_OF_S3 = {
    "GetBucketLocation",
    "GetBucketVersioning",
    "GetObject",
    "GetObjectAttributes",
    "GetObjectTagging",
    "HeadBucket",
    "HeadObject",
    "ListBuckets",
    "ListMultipartUploads",
    "ListObjectVersions",
    "ListObjects",
    "ListObjectsV2",
    "ListParts",
}


def test_a_viewer_may_do_what_changes_nothing_and_nothing_else(offered: dict[tuple[str, str], bool]) -> None:
    viewer = frozenset({Role.VIEWER})
    may = {action for action in offered if allowed(viewer, *action)}
    reads = {action for action, writes in offered.items() if not writes}
    assert may - reads == HARMLESS
    assert {action for action in reads - may if action[1].startswith(("Describe", "Get", "List", "Head"))} == PRIVATE


def test_every_role_but_the_viewers_adds_something_and_none_but_the_administrators_makes_keys(
    offered: dict[tuple[str, str], bool],
) -> None:
    may = {role: {action for action in offered if allowed(frozenset({role}), *action)} for role in Role}
    assert all(may[Role.VIEWER] < may[role] for role in Role if role is not Role.VIEWER)
    assert may[Role.APPROVER] - may[Role.VIEWER] == {
        ("sagemaker", "UpdateModelPackage"),
        ("sagemaker", "SendPipelineExecutionStepFailure"),
        ("sagemaker", "SendPipelineExecutionStepSuccess"),
    }
    assert may[Role.ADMINISTRATOR] == set(offered)
    for role in set(Role) - {Role.ADMINISTRATOR}:
        assert not {action for action in may[role] if action[0] == "iam" and offered[action]}


def test_every_service_at_the_door_has_rules_of_its_own() -> None:
    assert {service.signing_name for service in SERVICES.values()} <= {rule.service for rule in RULES}


def test_each_role_has_a_policy_of_its_own() -> None:
    assert len(ROLE_OF_POLICY) == len(Role)
    assert Role.ML_ENGINEER.policy_arn == "arn:aws:iam::aws:policy/TowpathMLEngineer"


KEYS_OF_JOBS = "{{ secrets.towpath.secret-key }}"
NAMES_KEYS_OF_JOBS = [
    ("sagemaker", "CreateModel", {"PrimaryContainer": {"Environment": {"KEY": f"x{KEYS_OF_JOBS}"}}}),
    ("sagemaker", "StartPipelineExecution", {"PipelineParameters": [{"Name": "Text", "Value": KEYS_OF_JOBS}]}),
    ("events", "PutTargets", {"Targets": [{"Input": KEYS_OF_JOBS}]}),
]


@pytest.mark.parametrize(("service", "operation", "document"), NAMES_KEYS_OF_JOBS)
def test_whoever_is_no_builder_gets_no_keys_of_jobs_into_a_job(
    service: str, operation: str, document: dict[str, object]
) -> None:
    operator, scientist = frozenset({Role.OPERATOR}), frozenset({Role.DATA_SCIENTIST})
    assert refusal("otto", operator, service, operation, {}) is None
    refused = refusal("otto", operator, service, operation, document)
    assert refused is not None
    assert "data-scientist" in refused.message
    assert refusal("ada", scientist, service, operation, document) is None
    assert refusal("otto", operator, "sagemaker", "Search", document) is None
