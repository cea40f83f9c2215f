"""The operations of IAM and STS that are kept here, by name.

What a user may do follows from the roles that are attached to it (`users`, `rights`); what a policy's document says is
stored and shown, and restricts nobody.
"""

from collections.abc import Callable
from typing import Any

from towpath.identity import keys, roles, sessions, users
from towpath.identity.kinds import POLICY, ROLE, USER
from towpath.identity.records import creates, gets, lists
from towpath.kernel.operations import Operation, Request
from towpath.kernel.resource import Document


def sts_operations() -> dict[str, Operation]:
    """Return the operations of STS."""
    return _table(
        ("GetCallerIdentity", sessions.get_caller_identity, False),
        ("AssumeRole", sessions.assume_role, True),
    )


def iam_operations() -> dict[str, Operation]:
    """Return the operations of IAM."""
    return _table(
        ("CreateUser", users.create_user, True),
        ("GetUser", gets(USER), False),
        ("ListUsers", lists(USER, "Users"), False),
        ("DeleteUser", keys.delete_user, True),
        ("AttachUserPolicy", users.attach_user_policy, True),
        ("DetachUserPolicy", users.detach_user_policy, True),
        ("ListAttachedUserPolicies", users.list_attached_user_policies, False),
        ("CreateAccessKey", keys.create_access_key, True),
        ("ListAccessKeys", keys.list_access_keys, False),
        ("UpdateAccessKey", keys.update_access_key, True),
        ("DeleteAccessKey", keys.delete_access_key, True),
        ("CreateRole", creates(ROLE), True),
        ("GetRole", gets(ROLE), False),
        ("ListRoles", lists(ROLE, "Roles"), False),
        ("DeleteRole", roles.delete_role, True),
        ("UpdateAssumeRolePolicy", roles.update_assume_role_policy, True),
        ("PutRolePolicy", roles.put_role_policy, True),
        ("GetRolePolicy", roles.get_role_policy, False),
        ("DeleteRolePolicy", roles.delete_role_policy, True),
        ("ListRolePolicies", roles.list_role_policies, False),
        ("AttachRolePolicy", roles.attach_role_policy, True),
        ("DetachRolePolicy", roles.detach_role_policy, True),
        ("ListAttachedRolePolicies", roles.list_attached_role_policies, False),
        ("SimulatePrincipalPolicy", roles.simulate_principal_policy, False),
        ("CreatePolicy", creates(POLICY), True),
        ("GetPolicy", roles.get_policy, False),
        ("ListPolicies", roles.list_policies, False),
        ("DeletePolicy", roles.delete_policy, True),
    )


def _table(*rows: tuple[str, Callable[[Any, Request], Document], bool]) -> dict[str, Operation]:
    return {name: Operation(name=name, function=function, writes=writes) for name, function, writes in rows}
