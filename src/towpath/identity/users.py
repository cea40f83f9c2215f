"""IAM: the roles of users, which are what they may do, as policies of ours that are attached to them.

Whoever CreateUser makes has no role, and may do nothing until one is attached. A user that an earlier release made, and
to whom nothing was attached or detached since, is an administrator, as all were then.

Source: AWS Identity and Access Management API Reference.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from towpath.callers import ROLE_OF_POLICY, Role
from towpath.identity.kinds import USER
from towpath.identity.ports import Transaction
from towpath.identity.records import attached, make, shown
from towpath.kernel import generic
from towpath.kernel.errors import Conflict, NotFound, Unsupported
from towpath.kernel.operations import Request
from towpath.kernel.principals import AccessKey
from towpath.kernel.resource import Document, Resource

#: Stands for a user in the tokens of sessions that jobs have; no user can be called so.
JOBS = "jobs:"
_ROLES_OF_JOBS = frozenset({Role.DATA_SCIENTIST})
_ATTACHED = "AttachedPolicies"


def roles_of(user: Resource) -> frozenset[Role]:
    """Return the roles of a user."""
    attached = user.spec.get(_ATTACHED)
    if attached is None:
        return frozenset({Role.ADMINISTRATOR})
    return frozenset(ROLE_OF_POLICY[arn] for arn in attached)


def create_user(transaction: Transaction, request: Request) -> Document:
    """Carry out CreateUser: a user without a role."""
    return {"User": shown(transaction, USER, make_user(transaction, request, request.input["UserName"], ()))}


def make_user(transaction: Transaction, request: Request, name: str, roles: Iterable[Role]) -> Resource:
    """Return a new user.

    Raises:
        Conflict: there is one of that name.
    """
    spec = {member: value for member, value in request.input.items() if member != "Tags"}
    return make(transaction, request, USER, name, {**spec, _ATTACHED: sorted(role.policy_arn for role in roles)})


def with_roles(transaction: Transaction) -> list[AccessKey]:
    """Return every key with the roles that its user has now; none for one whose user is gone."""
    found: list[AccessKey] = []
    known: dict[str, frozenset[Role]] = {"": frozenset({Role.ADMINISTRATOR}), JOBS: _ROLES_OF_JOBS}
    for key in transaction.keys.all():
        if key.user not in known:
            user = transaction.resources.find(USER.noun, key.user)
            known[key.user] = frozenset() if user is None else roles_of(user)
        found.append(replace(key, roles=known[key.user]))
    return found


def is_administrators(key: AccessKey) -> bool:
    """Return whether an administrator can get in with a key, also in a year."""
    return key.active and key.expires_at is None and Role.ADMINISTRATOR in key.roles


def attach_user_policy(transaction: Transaction, request: Request) -> Document:
    """Carry out AttachUserPolicy: give a user a role."""
    user, role = _user_and_role(transaction, request)
    return _set(transaction, request, user, roles_of(user) | {role})


def detach_user_policy(transaction: Transaction, request: Request) -> Document:
    """Carry out DetachUserPolicy: take a role away; who has none may do nothing."""
    user, role = _user_and_role(transaction, request)
    if role not in roles_of(user):
        raise NotFound(f"Policy {role.policy_arn} is not attached to {user.name}.", code="NoSuchEntity")
    return _set(transaction, request, user, roles_of(user) - {role})


def list_attached_user_policies(transaction: Transaction, request: Request) -> Document:
    """Carry out ListAttachedUserPolicies."""
    user = generic.find(transaction, USER, request.input["UserName"])
    return attached(request, (role.policy_arn for role in roles_of(user)))


def _user_and_role(transaction: Transaction, request: Request) -> tuple[Resource, Role]:
    user, arn = generic.find(transaction, USER, request.input["UserName"]), request.input["PolicyArn"]
    role = ROLE_OF_POLICY.get(arn)
    if role is None:
        raise Unsupported(
            f"{arn} cannot be attached to a user: the documents of policies are not evaluated here. Attach one that "
            f"stands for a role: {', '.join(sorted(ROLE_OF_POLICY))}"
        )
    return user, role


def _set(transaction: Transaction, request: Request, user: Resource, roles: frozenset[Role]) -> Document:
    if Role.ADMINISTRATOR not in roles:
        others = (key for key in with_roles(transaction) if key.user != user.name)
        if not any(is_administrators(key) for key in others):
            raise Conflict(
                f"{user.name} is the last administrator with a good key; make another one first", code="DeleteConflict"
            )
    attached = sorted(role.policy_arn for role in roles)
    changed = transaction.resources.replace(
        user, spec={**user.spec, _ATTACHED: attached}, generation=user.generation + 1
    )
    generic.record(transaction, changed, request, request.operation, roles=sorted(role.value for role in roles))
    transaction.keys.rights_changed()
    return {}
