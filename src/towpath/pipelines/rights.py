"""What the steps of an execution may do: what whoever wrote the definition may do.

As on AWS, where a pipeline works with the role that its author gave it, and not with the rights of whoever starts it:
an operator starts what a data scientist wrote. The roles are those of the time at which the definition was written. To
approve a model takes the starter's right as well, since a parameter may say whether it is approved.
"""

from collections.abc import Iterable

from towpath.callers import Role
from towpath.identity.rights import APPROVE, actions_of, allowed, job_keys_in, refusal
from towpath.kernel.errors import Denied
from towpath.kernel.resource import Document
from towpath.pipelines.definition import Step
from towpath.pipelines.evaluation import EvaluationError

ROLES = "Roles"  #: in the spec of a version, rule or schedule: those of its author; without it an administrator's
_AUTHOR, _STARTER = "AuthorRoles", "StarterRoles"  #: of an execution's spec, likewise
_SERVICE = "sagemaker"  #: whose operations steps call


def stored(roles: Iterable[Role]) -> list[str] | None:
    """Return roles as they are written down, None for an administrator's."""
    names = sorted(roles)
    return None if Role.ADMINISTRATOR in names else [name.value for name in names]


def rights_of_execution(author: list[str] | None, starter: Iterable[Role]) -> Document:
    """Return the members of an execution's spec that limit what its steps may do."""
    found = {_AUTHOR: author, _STARTER: stored(starter)}
    return {name: roles for name, roles in found.items() if roles is not None}


def written_by(spec: Document, roles: frozenset[Role]) -> Document:
    """Return the spec of a rule or schedule with the roles of whoever writes it.

    Of several writers those stay of the first who may not approve: what one put there must not be raised by what
    another changes later.
    """
    if not allowed(starter_roles(spec), _SERVICE, APPROVE):
        return spec
    others = {name: value for name, value in spec.items() if name != ROLES}
    names = stored(roles)
    return others if names is None else {**others, ROLES: names}


def starter_roles(spec: Document) -> frozenset[Role]:
    """Return the roles with which a rule or schedule starts executions."""
    return _roles(spec, ROLES)


def roles_of_steps(spec: Document) -> frozenset[Role]:
    """Return the roles with which the steps of an execution call operations: those of the definition's author."""
    return _roles(spec, _AUTHOR)


def refusal_of_step(spec: Document, starter: str, operation: str, asked: Document) -> Denied | None:
    """Return why an execution with this spec may not call an operation for a step, None where it may."""
    refused = refusal("the author of the definition", roles_of_steps(spec), _SERVICE, operation, asked)
    if refused is None and APPROVE in actions_of(_SERVICE, operation, asked):
        roles = _roles(spec, _STARTER)
        if not allowed(roles, _SERVICE, APPROVE):
            return refusal(starter, roles, _SERVICE, APPROVE)
    return refused


def refuse_brought_keys(step: Step, request: Document) -> None:
    """Raise EvaluationError when a step's request names keys of a job's own that its definition does not name.

    They would be the wish of whoever gave a parameter, answered a Callback step or sent an event, and not the author's.
    """
    brought = job_keys_in(request)
    if brought and (brought := brought - job_keys_in(step.arguments) - job_keys_in(step.members)):
        raise EvaluationError(
            f"{step.place}.Arguments",
            f"{sorted(brought)[0]} came with a value. Keys of a job's own are given where the step's definition names "
            "them itself",
        )


def _roles(spec: Document, member: str) -> frozenset[Role]:
    names = spec.get(member)
    return frozenset({Role.ADMINISTRATOR}) if names is None else frozenset(Role(name) for name in names)
