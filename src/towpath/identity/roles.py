"""IAM: roles and policies, which are stored and shown; they are labels and restrict nobody. See `users` for rights.

Source: AWS Identity and Access Management API Reference.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator

from towpath.callers import ROLE_OF_POLICY, Role
from towpath.identity.kinds import POLICY, ROLE, USER
from towpath.identity.ports import Transaction
from towpath.identity.records import attached, page_of, shown
from towpath.identity.rights import allowed
from towpath.identity.users import roles_of
from towpath.kernel import generic
from towpath.kernel.errors import Conflict, NotFound
from towpath.kernel.kinds import Kind
from towpath.kernel.operations import Request
from towpath.kernel.ports import Query
from towpath.kernel.queries import every_in
from towpath.kernel.resource import Document, Resource

ADMINISTRATOR_ROLE = "towpath-administrator"  #: what GetCallerIdentity says that every user has taken on


def delete_role(transaction: Transaction, request: Request) -> Document:
    """Carry out DeleteRole; refused while it has policies, as on AWS."""
    role = generic.find(transaction, ROLE, request.input["RoleName"])
    if role.spec.get("Policies") or role.spec.get("AttachedPolicies"):
        raise Conflict(f"The role {role.name} has policies; remove and detach them first", code="DeleteConflict")
    transaction.resources.replace(role, deleted_at=transaction.now)
    generic.record(transaction, role, request, request.operation)
    return {}


def update_assume_role_policy(transaction: Transaction, request: Request) -> Document:
    """Carry out UpdateAssumeRolePolicy."""
    return _change(transaction, request, {"AssumeRolePolicyDocument": request.input["PolicyDocument"]})


def put_role_policy(transaction: Transaction, request: Request) -> Document:
    """Carry out PutRolePolicy."""
    role = generic.find(transaction, ROLE, request.input["RoleName"])
    policies = {**role.spec.get("Policies", {}), request.input["PolicyName"]: request.input["PolicyDocument"]}
    return _change(transaction, request, {"Policies": policies})


def get_role_policy(transaction: Transaction, request: Request) -> Document:
    """Carry out GetRolePolicy."""
    role, name = generic.find(transaction, ROLE, request.input["RoleName"]), request.input["PolicyName"]
    document = role.spec.get("Policies", {}).get(name)
    if document is None:
        raise NotFound(f"The role policy with name {name} cannot be found.", code="NoSuchEntity")
    return {"RoleName": role.name, "PolicyName": name, "PolicyDocument": document}


def delete_role_policy(transaction: Transaction, request: Request) -> Document:
    """Carry out DeleteRolePolicy."""
    get_role_policy(transaction, request)
    role = generic.find(transaction, ROLE, request.input["RoleName"])
    kept = {name: text for name, text in role.spec["Policies"].items() if name != request.input["PolicyName"]}
    return _change(transaction, request, {"Policies": kept})


def list_role_policies(transaction: Transaction, request: Request) -> Document:
    """Carry out ListRolePolicies."""
    role = generic.find(transaction, ROLE, request.input["RoleName"])
    return page_of(request, "PolicyNames", sorted(role.spec.get("Policies", {})))


def attach_role_policy(transaction: Transaction, request: Request) -> Document:
    """Carry out AttachRolePolicy; policies of AWS need not exist here."""
    role = generic.find(transaction, ROLE, request.input["RoleName"])
    attached = {*role.spec.get("AttachedPolicies", []), request.input["PolicyArn"]}
    return _change(transaction, request, {"AttachedPolicies": sorted(attached)})


def detach_role_policy(transaction: Transaction, request: Request) -> Document:
    """Carry out DetachRolePolicy."""
    role, arn = generic.find(transaction, ROLE, request.input["RoleName"]), request.input["PolicyArn"]
    attached = role.spec.get("AttachedPolicies", [])
    if arn not in attached:
        raise NotFound(f"Policy {arn} was not found.", code="NoSuchEntity")
    return _change(transaction, request, {"AttachedPolicies": [other for other in attached if other != arn]})


def list_attached_role_policies(transaction: Transaction, request: Request) -> Document:
    """Carry out ListAttachedRolePolicies."""
    role = generic.find(transaction, ROLE, request.input["RoleName"])
    return attached(request, role.spec.get("AttachedPolicies", []))


def simulate_principal_policy(transaction: Transaction, request: Request) -> Document:
    """Carry out SimulatePrincipalPolicy: for a user by the table of rights.

    A role is a label: the platform itself fetches what a job reads and writes its outputs and logs, so that a role
    lacks nothing.
    """
    asked = request.input
    resources = asked.get("ResourceArns") or ["*"]
    source = asked["PolicySourceArn"]
    user = transaction.resources.by_arn(source) if ":user/" in source else None
    if ":user/" in source and (user is None or user.kind != USER.noun):
        raise NotFound(f"The user {source} cannot be found.", code="NoSuchEntity")
    roles = frozenset({Role.ADMINISTRATOR}) if user is None else roles_of(user)
    results = [
        {
            "EvalActionName": action,
            "EvalResourceName": resource,
            "EvalDecision": "allowed" if _may(roles, action) else "implicitDeny",
            "MatchedStatements": [],
        }
        for action in asked["ActionNames"]
        for resource in resources
    ]
    return {"EvaluationResults": results, "IsTruncated": False}


def _may(roles: frozenset[Role], action: str) -> bool:
    service, _, operation = action.partition(":")
    return allowed(roles, service, operation)


def get_policy(transaction: Transaction, request: Request) -> Document:
    """Carry out GetPolicy."""
    role = ROLE_OF_POLICY.get(request.input["PolicyArn"])
    policy = _managed(role) if role is not None else shown(transaction, POLICY, _policy(transaction, request))
    return {"Policy": {**policy, "AttachmentCount": _attachments(transaction)[policy["Arn"]]}}


def list_policies(transaction: Transaction, request: Request) -> Document:
    """Carry out ListPolicies: those that were made here, and as AWS's those that stand for roles of users."""
    asked = request.input
    scope = asked.get("Scope") or "All"
    found: list[Document] = []
    if asked.get("PolicyUsageFilter") != "PermissionsBoundary":  # nothing is one
        found += [_managed(role) for role in Role] if scope in {"All", "AWS"} else []
        found += [shown(transaction, POLICY, each) for each in _all(transaction, POLICY)] if scope != "AWS" else []
    attachments, prefix = _attachments(transaction), asked.get("PathPrefix") or "/"
    counted = [
        {**policy, "AttachmentCount": attachments[policy["Arn"]]}
        for policy in found
        if policy["Path"].startswith(prefix) and (attachments[policy["Arn"]] or not asked.get("OnlyAttached"))
    ]
    return page_of(request, "Policies", sorted(counted, key=lambda policy: str(policy["PolicyName"])))


def _managed(role: Role) -> Document:
    """Return the document of the policy that stands for a role of users."""
    return {
        "PolicyName": role.policy_arn.rpartition("/")[2],
        "PolicyId": f"TPA{hashlib.sha256(role.policy_arn.encode()).hexdigest()[:18].upper()}",
        "Arn": role.policy_arn,
        "Path": "/",
        "DefaultVersionId": "v1",
        "IsAttachable": True,
        "Description": f"Attached to a user, it gives the role {role.value}",
    }


def _attachments(transaction: Transaction) -> Counter[str]:
    """Return how many roles and users each policy is attached to, by its ARN. A home has few of them."""
    found = Counter(arn for role in _all(transaction, ROLE) for arn in role.spec.get("AttachedPolicies", []))
    found.update(role.policy_arn for user in _all(transaction, USER) for role in roles_of(user))
    return found


def _all(transaction: Transaction, kind: Kind) -> Iterator[Resource]:
    return every_in(transaction, Query(kind=kind.noun))


def delete_policy(transaction: Transaction, request: Request) -> Document:
    """Carry out DeletePolicy."""
    policy = _policy(transaction, request)
    transaction.resources.replace(policy, deleted_at=transaction.now)
    generic.record(transaction, policy, request, request.operation)
    return {}


def _policy(transaction: Transaction, request: Request) -> Resource:
    found = transaction.resources.by_arn(request.input["PolicyArn"])
    if found is None or found.kind != POLICY.noun:
        raise NotFound(f"Policy {request.input['PolicyArn']} was not found.", code="NoSuchEntity")
    return found


def _change(transaction: Transaction, request: Request, members: Document) -> Document:
    role = generic.find(transaction, ROLE, request.input["RoleName"])
    changed = transaction.resources.replace(role, spec={**role.spec, **members}, generation=role.generation + 1)
    generic.record(transaction, changed, request, request.operation)
    return {}
