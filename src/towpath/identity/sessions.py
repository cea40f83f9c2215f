"""STS: who the caller is, and sessions of roles with keys of their own that expire.

Source: AWS Security Token Service API Reference.
"""

import re
import secrets
from datetime import timedelta

from towpath.identity.keys import key_name
from towpath.identity.ports import Transaction
from towpath.identity.records import SESSION_S
from towpath.identity.roles import ADMINISTRATOR_ROLE
from towpath.identity.users import JOBS
from towpath.kernel.errors import Invalid
from towpath.kernel.events import Event
from towpath.kernel.operations import Request
from towpath.kernel.principals import AccessKey
from towpath.kernel.resource import Document

_KEPT_EXPIRED = timedelta(days=1)  #: so long an expired session is told from an unknown key
_ROLE_ARN = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/(?:[\w+=,.@/-]*/)?([\w+=,.@-]{1,64})")


def get_caller_identity(transaction: Transaction, request: Request) -> Document:
    """Carry out GetCallerIdentity.

    The ARN of a user's key is that of an assumed role, since the SageMaker SDKs work out the execution role from it.
    """
    home, name = transaction.home, request.caller.principal
    key = transaction.keys.find(request.caller.access_key)
    arn = f"arn:aws:sts::{home.account}:assumed-role/{ADMINISTRATOR_ROLE}/{name}"
    return {
        "Account": home.account,
        "UserId": f"{request.caller.access_key}:{name}",
        "Arn": key.arn if key is not None and key.arn else arn,
    }


def assume_role(transaction: Transaction, request: Request) -> Document:
    """Carry out AssumeRole: keys that are good for a while, whose work is recorded under ROLE/SESSION.

    A role of any account and name is a label, like the roles that jobs are given. The session has the rights of the
    user who began it, as they are at the time of each request. One that a job begins ends with the job's own keys:
    there is no user whose rights could be taken away to end it.
    """
    asked, now = request.input, transaction.now
    named = _ROLE_ARN.fullmatch(asked["RoleArn"])
    if named is None:
        raise Invalid(f"RoleArn {asked['RoleArn']!r} is not a role's; expected arn:aws:iam::ACCOUNT:role/NAME")
    session = asked["RoleSessionName"]
    arn = f"arn:aws:sts::{asked['RoleArn'].split(':')[4]}:assumed-role/{named[1]}/{session}"
    transaction.keys.remove_expired(now - _KEPT_EXPIRED)
    expires_at = now + timedelta(seconds=asked.get("DurationSeconds") or SESSION_S)
    own = transaction.keys.find(request.caller.access_key)
    if own is not None and own.user == JOBS and own.expires_at is not None:
        expires_at = min(expires_at, own.expires_at)
    key = AccessKey(
        access_key=key_name("TPSA"),
        secret_key=secrets.token_urlsafe(30),
        principal=f"{named[1]}/{session}",
        arn=arn,
        session_token=f"{_user_of(transaction, request)}.{secrets.token_urlsafe(96)}",
        created_at=now,
        expires_at=expires_at,
    )
    transaction.keys.add(key)
    transaction.events.append(
        Event(
            type=request.operation,
            subject=None,
            subject_arn=arn,
            principal=request.caller.principal,
            at=now,
            detail={"request_id": request.caller.request_id, "role": asked["RoleArn"], "access_key": key.access_key},
        )
    )
    return {
        "Credentials": {
            "AccessKeyId": key.access_key,
            "SecretAccessKey": key.secret_key,
            "SessionToken": key.session_token,
            "Expiration": expires_at.timestamp(),
        },
        "AssumedRoleUser": {"AssumedRoleId": f"{key.access_key}:{session}", "Arn": arn},
    }


def _user_of(transaction: Transaction, request: Request) -> str:
    """Return the user behind a caller, who may be in a session already."""
    key = transaction.keys.find(request.caller.access_key)
    return request.caller.principal if key is None else key.user
