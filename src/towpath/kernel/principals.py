"""Who is calling, and the keys by which a caller is known."""

from datetime import datetime

import msgspec

from towpath.callers import Role, bearer_token
from towpath.kernel.resource import Document


class Caller(msgspec.Struct, frozen=True):
    """The principal behind a request or a decision, and the request it came with."""

    principal: str
    request_id: str = ""
    access_key: str = ""  #: the one that the request was signed with; empty for the platform itself
    #: Those with which the operation is called. None where nobody says: a forgotten right is a missing one.
    roles: frozenset[Role] = frozenset()


#: The platform itself, in decisions that no request asked for; it has every right.
PLATFORM = Caller("towpath", roles=frozenset({Role.ADMINISTRATOR}))


def user_context(account: str, principal: str) -> Document:
    """Return SageMaker's UserContext of a principal of ours."""
    return {
        "UserProfileName": principal,
        "IamIdentity": {"Arn": f"arn:aws:iam::{account}:user/{principal}", "PrincipalId": principal},
    }


class AccessKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key of a principal: the pair that signs requests (SigV4), and the bearer token that follows from it."""

    access_key: str
    secret_key: str
    principal: str  #: name of the user, or `ROLE/SESSION` for one of an assumed role
    arn: str = ""  #: of the assumed role's session; empty for keys of users
    session_token: str = ""  #: has to come with each request; empty for keys that do not expire
    active: bool = True
    created_at: datetime
    expires_at: datetime | None = None
    #: What its user may do; filled in where keys are held in memory, and stored with the user. Until then, nothing.
    roles: frozenset[Role] = frozenset()

    @property
    def user(self) -> str:
        """The user whose rights it has; empty for a session that an older release began.

        A session token begins with the name of the user who took the role on.
        """
        return self.session_token.rpartition(".")[0] if self.session_token else self.principal

    @property
    def token(self) -> str:
        """What stands behind `Authorization: Bearer`."""
        return bearer_token(self.access_key, self.secret_key)
