"""What clients and the server both know of callers: bearer tokens, and roles. Standard library only."""

import hashlib
import hmac
from enum import StrEnum


class Role(StrEnum):
    """What somebody is to a team, and so what they may do; `identity.rights` has the table."""

    VIEWER = "viewer"
    DATA_SCIENTIST = "data-scientist"
    ML_ENGINEER = "ml-engineer"
    APPROVER = "approver"
    OPERATOR = "operator"
    ADMINISTRATOR = "administrator"

    @property
    def policy_arn(self) -> str:
        """What is attached to a user in IAM, for example `arn:aws:iam::aws:policy/TowpathDataScientist`."""
        words = "".join("ML" if word == "ml" else word.capitalize() for word in self.value.split("-"))
        return f"arn:aws:iam::aws:policy/Towpath{words}"


ROLE_OF_POLICY = {role.policy_arn: role for role in Role}


def bearer_token(access_key: str, secret_key: str) -> str:
    """Return what stands behind `Authorization: Bearer`. It follows from the secret key and does not give it away."""
    proof = hmac.new(secret_key.encode(), b"towpath bearer token", hashlib.sha256).hexdigest()
    return f"{access_key}.{proof}"
