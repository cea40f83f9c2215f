"""Which roles may do what: one table, which the front door, pipeline executions and simulations of IAM ask.

A user has roles by the policies that are attached to it, one of ours for each role. An administrator may do everything
and stands in no row. Rights are about operations, not about single resources: a home is shared by one team.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from towpath.callers import Role
from towpath.kernel.errors import Denied
from towpath.kernel.resource import Document

VIEWER, SCIENTIST, ENGINEER = Role.VIEWER, Role.DATA_SCIENTIST, Role.ML_ENGINEER
APPROVER, OPERATOR, ADMINISTRATOR = Role.APPROVER, Role.OPERATOR, Role.ADMINISTRATOR

_ALL = frozenset(Role)
_BUILDERS = frozenset({SCIENTIST, ENGINEER})
_RUNNERS = frozenset({SCIENTIST, ENGINEER, OPERATOR})
_HOSTS = frozenset({ENGINEER, OPERATOR})
_NOBODY_ELSE: frozenset[Role] = frozenset()  #: administrators alone
APPROVE = "ApproveModelPackage"  #: asked for beside the operation by whatever sets the approval of a model package
USE_JOB_KEYS = "UseJobKeys"  #: asked for beside the operation by whatever names keys of a job's own
#: Services whose requests may carry what becomes a variable of a job.
_REACH_JOBS = frozenset({"sagemaker", "events", "scheduler"})
_JOB_KEYS = re.compile(r"\{\{\s*secrets\.towpath\.[^}]*\}?\}?")  #: as `towpath.jobs.secrets` reads it

_READING = "Describe* List* Get* Head* Filter* Search QueryLineage BatchDescribe* BatchGet*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Who may do some operations of a service."""

    service: str  #: signing name, as in the actions of IAM; `*` for whatever has no rules of its own
    operations: tuple[str, ...]  #: names, with `*` for any letters
    roles: frozenset[Role]
    without_role: bool = False  #: whether somebody without any role may do them too


def _rule(service: str, operations: str, roles: frozenset[Role], *, without_role: bool = False) -> Rule:
    return Rule(service=service, operations=tuple(operations.split()), roles=roles, without_role=without_role)


#: The first rule that fits holds; what fits none is for administrators.
RULES: tuple[Rule, ...] = (
    _rule("sts", "GetCallerIdentity", _ALL, without_role=True),
    _rule("sts", "AssumeRole", _ALL),  # a session has the rights of the user who began it
    _rule("iam", "ListUsers ListAccessKeys", _NOBODY_ELSE),
    _rule("iam", "Get* List* SimulatePrincipalPolicy PassRole", _ALL),
    _rule("iam", "*", _NOBODY_ELSE),
    _rule("cloudtrail", "LookupEvents", _ALL),
    _rule("ecr", "*", _ALL),
    _rule("logs", f"{_READING} StartQuery StopQuery", _ALL),
    _rule("logs", "*", _RUNNERS),
    # Rules and schedules start executions, as these roles may by hand.
    _rule("events", f"{_READING} TestEventPattern", _ALL),
    _rule("events", "*", _RUNNERS),
    # Whoever measures something may say so; alarms start executions, as rules do.
    _rule("monitoring", _READING, _ALL),
    _rule("monitoring", "*", _RUNNERS),
    _rule("scheduler", _READING, _ALL),
    _rule("scheduler", "*", _RUNNERS),
    # Who takes a message hides it from others, so that reading one is more than a look.
    _rule("sqs", _READING, _ALL),
    _rule("sqs", "*", _RUNNERS),
    # Code of functions is that of whoever builds; calling one is like starting a pipeline.
    _rule("lambda", _READING, _ALL),
    _rule("lambda", "Invoke*", _RUNNERS),
    _rule("lambda", "*", _BUILDERS),
    _rule("s3", _READING, _ALL),
    _rule("s3", "DeleteBucket", frozenset({ENGINEER})),
    _rule("s3", "*", _BUILDERS),
    _rule("towpath", f"{_READING} Diff* CheckOutDataset", _ALL),
    _rule("towpath", "CollectGarbage", frozenset({OPERATOR})),
    _rule("towpath", "Undelete", _HOSTS),
    _rule("towpath", "PutJobSecret DeleteJobSecret", frozenset({ENGINEER})),
    _rule("towpath", "*", _BUILDERS),
    _rule("sagemaker", _READING, _ALL),
    _rule("sagemaker", APPROVE, frozenset({APPROVER})),
    _rule("sagemaker", "UpdateModelPackage", frozenset({SCIENTIST, ENGINEER, APPROVER})),
    _rule("sagemaker", "DeleteModelPackage* PutModelPackageGroupPolicy", frozenset({ENGINEER})),
    _rule("sagemaker", "InvokeEndpoint*", _RUNNERS),
    # What a Callback step waits for is a decision or a piece of work, of people or of programs.
    _rule("sagemaker", "SendPipelineExecutionStep*", _RUNNERS | {APPROVER}),
    _rule("sagemaker", "*PipelineExecution *PipelineExecutionStep* Stop*Job CreateModel DeleteModel", _RUNNERS),
    _rule("sagemaker", "*Endpoint *Endpoints *EndpointConfig *EndpointWeightsAndCapacities", _HOSTS),
    _rule("sagemaker", "*InferenceComponent* *MonitoringSchedule* *MonitoringAlert*", _HOSTS),
    _rule("sagemaker", "*", _BUILDERS),
    # Secret values are for whoever may set them.
    _rule("*", "GetSecretValue GetParameter* Decrypt", frozenset({ENGINEER})),
    _rule("*", _READING, _ALL),
    _rule("*", "*", _HOSTS),
)
_NO_RULE = _rule("*", "*", _NOBODY_ELSE)
_WITH_RULES = frozenset(rule.service for rule in RULES)


@lru_cache(maxsize=4096)
def rule_of(service: str, operation: str) -> Rule:
    """Return the rule that holds for an operation of a service."""
    named = service if service in _WITH_RULES else "*"
    fitting = (
        rule
        for rule in RULES
        if rule.service == named and any(fnmatchcase(operation, pattern) for pattern in rule.operations)
    )
    return next(fitting, _NO_RULE)


def allowed(roles: frozenset[Role], service: str, operation: str) -> bool:
    """Return whether somebody with these roles may do an operation."""
    if ADMINISTRATOR in roles:
        return True
    rule = rule_of(service, operation)
    return rule.without_role or not rule.roles.isdisjoint(roles)


def actions_of(service: str, operation: str, document: Document) -> Iterator[str]:
    """Yield what a request takes the right for: its operation, and the approval of a model where it sets that."""
    yield operation
    if service != "sagemaker" or "ModelApprovalStatus" not in document:
        return
    status = document["ModelApprovalStatus"]
    if operation == "UpdateModelPackage" or (operation == "CreateModelPackage" and status in ("Approved", "Rejected")):
        yield APPROVE


def refusal(
    who: str, roles: frozenset[Role], service: str, operation: str, document: Document | None = None
) -> Denied | None:
    """Return why somebody may not do an operation, None where it is allowed.

    Args:
        who: named in the sentence.
        document: the request, as far as it is known.
    """
    asked = [(service, action) for action in actions_of(service, operation, document or {})]
    # Keys of a job have the rights of a data scientist: who has fewer must not get them by naming them. The document is
    # searched for those alone who would be refused.
    if service in _REACH_JOBS and not allowed(roles, "sagemaker", USE_JOB_KEYS):
        changes = rule_of(service, operation).roles != _ALL
        if changes and job_keys_in(document):
            asked.append(("sagemaker", USE_JOB_KEYS))
    for service, action in asked:
        if not allowed(roles, service, action):
            needed = sorted({*rule_of(service, action).roles, ADMINISTRATOR})
            has = f"has {_listed(sorted(roles), 'and')}" if roles else "has no role"
            return Denied(
                f"{who} is not authorized to perform {service}:{action}. It takes the role "
                f"{_listed(needed, 'or')}, and {who} {has}; an administrator changes that with `towpath keys roles`."
            )
    return None


def job_keys_in(value: Any) -> frozenset[str]:
    """Return the references to keys of a job's own that a document holds anywhere, as they are written there."""
    if isinstance(value, str):
        return frozenset(_JOB_KEYS.findall(value))
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list | tuple):
        return frozenset()
    return frozenset(found for item in value for found in job_keys_in(item))


def _listed(names: Iterable[str], joined_by: str) -> str:
    *first, last = names
    return f"{', '.join(first)} {joined_by} {last}" if first else last
