"""Who is calling."""

import msgspec

from towpath.kernel.resource import Document


class Caller(msgspec.Struct, frozen=True):
    """The principal behind a request or a decision, and the request it came with."""

    principal: str
    request_id: str = ""


PLATFORM = Caller("towpath")  #: the platform itself, in decisions that no request asked for


def user_context(account: str, principal: str) -> Document:
    """Return SageMaker's UserContext of a principal of ours."""
    return {
        "UserProfileName": principal,
        "IamIdentity": {"Arn": f"arn:aws:iam::{account}:user/{principal}", "PrincipalId": principal},
    }


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody with keys: an access key for SigV4 and a bearer token."""

    name: str
    access_key: str
    secret_key: str
    token: str
    role: str = "administrator"
