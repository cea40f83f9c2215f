"""IAM: users, which are the principals whose names stand in events, and their access keys.

Source: AWS Identity and Access Management API Reference.
"""

import secrets

from towpath.callers import Role
from towpath.identity.kinds import ROLE, USER
from towpath.identity.ports import Transaction
from towpath.identity.records import make, page_of
from towpath.identity.roles import ADMINISTRATOR_ROLE
from towpath.identity.users import is_administrators, make_user, with_roles
from towpath.kernel import generic
from towpath.kernel.errors import Conflict, LimitExceeded, NotFound
from towpath.kernel.operations import Request
from towpath.kernel.principals import PLATFORM, AccessKey
from towpath.kernel.resource import Document, Resource

MOST_KEYS = 5  #: of one user; two on AWS
#: The SageMaker SDK 3 looks for the services in it; the rest says what holds here.
_ANYBODY = (
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole",'
    '"Principal":{"AWS":"*","Service":["sagemaker.amazonaws.com","scheduler.amazonaws.com"]}}]}'
)
_OF_EARLIER_RELEASES = (
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}]}'
)


def make_administrator(transaction: Transaction, name: str) -> AccessKey:
    """Return the oldest good key of the administrator; user, role and key are made where they are missing."""
    request = Request(operation="CreateUser", input={"UserName": name}, caller=PLATFORM)
    if transaction.resources.find(USER.noun, name) is None:
        make_user(transaction, request, name, (Role.ADMINISTRATOR,))
    role = transaction.resources.find(ROLE.noun, ADMINISTRATOR_ROLE)
    spec = {"AssumeRolePolicyDocument": _ANYBODY, "Description": "What every user of this home may take on"}
    if role is None:
        make(transaction, request, ROLE, ADMINISTRATOR_ROLE, spec)
    elif role.spec.get("AssumeRolePolicyDocument") == _OF_EARLIER_RELEASES:
        transaction.resources.replace(role, spec={**role.spec, **spec}, generation=role.generation + 1)
    good = [key for key in transaction.keys.of(name) if key.active]
    return good[0] if good else _add_key(transaction, name)


def create_access_key(transaction: Transaction, request: Request) -> Document:
    """Carry out CreateAccessKey. The secret key is shown this once."""
    user = _user(transaction, request)
    if len(transaction.keys.of(user.name)) >= MOST_KEYS:
        raise LimitExceeded(f"The user {user.name} has {MOST_KEYS} access keys already; delete one first")
    key = _add_key(transaction, user.name)
    generic.record(transaction, user, request, request.operation, access_key=key.access_key)
    return {"AccessKey": {**_key_shown(key), "SecretAccessKey": key.secret_key}}


def list_access_keys(transaction: Transaction, request: Request) -> Document:
    """Carry out ListAccessKeys."""
    user = _user(transaction, request)
    return page_of(request, "AccessKeyMetadata", [_key_shown(key) for key in transaction.keys.of(user.name)])


def update_access_key(transaction: Transaction, request: Request) -> Document:
    """Carry out UpdateAccessKey: make a key good or not."""
    user, key = _user_and_key(transaction, request)
    _keep_one(transaction, user, key, goes=request.input["Status"] != "Active")
    transaction.keys.set_active(key.access_key, active=request.input["Status"] == "Active")
    detail = {"access_key": key.access_key, "status": request.input["Status"]}
    generic.record(transaction, user, request, request.operation, **detail)
    return {}


def delete_access_key(transaction: Transaction, request: Request) -> Document:
    """Carry out DeleteAccessKey."""
    user, key = _user_and_key(transaction, request)
    _keep_one(transaction, user, key, goes=True)
    transaction.keys.remove(key.access_key)
    generic.record(transaction, user, request, request.operation, access_key=key.access_key)
    return {}


def delete_user(transaction: Transaction, request: Request) -> Document:
    """Carry out DeleteUser; refused while the user has keys, as on AWS."""
    user = _user(transaction, request)
    if transaction.keys.of(user.name):
        raise Conflict(f"The user {user.name} has access keys; delete them first", code="DeleteConflict")
    transaction.resources.replace(user, deleted_at=transaction.now)
    generic.record(transaction, user, request, request.operation)
    return {}


def _add_key(transaction: Transaction, user: str) -> AccessKey:
    key = AccessKey(
        access_key=key_name("TPAK"),
        secret_key=secrets.token_urlsafe(30),
        principal=user,
        created_at=transaction.now,
    )
    transaction.keys.add(key)
    return key


def key_name(prefix: str) -> str:
    """Return a name for a new access key."""
    return prefix + secrets.token_hex(8).upper()


def _key_shown(key: AccessKey) -> Document:
    return {
        "UserName": key.principal,
        "AccessKeyId": key.access_key,
        "Status": "Active" if key.active else "Inactive",
        "CreateDate": key.created_at.timestamp(),
    }


def _user(transaction: Transaction, request: Request) -> Resource:
    return generic.find(transaction, USER, request.input.get("UserName") or request.caller.principal)


def _user_and_key(transaction: Transaction, request: Request) -> tuple[Resource, AccessKey]:
    user, name = _user(transaction, request), request.input["AccessKeyId"]
    key = transaction.keys.find(name)
    if key is None or key.principal != user.name:
        raise NotFound(f"The Access Key with id {name} cannot be found.", code="NoSuchEntity")
    return user, key


def _keep_one(transaction: Transaction, user: Resource, key: AccessKey, *, goes: bool) -> None:
    """Refuse what would leave no administrator who could get in."""
    others = (other for other in with_roles(transaction) if other.access_key != key.access_key)
    if goes and not any(is_administrators(other) for other in others):
        raise Conflict(
            f"{key.access_key} of {user.name} is the last good key of an administrator; create another one first",
            code="DeleteConflict",
        )
