"""The kinds of IAM that are kept here: users, roles and policies. Rights are in `users`.

Source: AWS Identity and Access Management API Reference.
"""

from towpath.kernel.errors import NotFound
from towpath.kernel.kinds import Kind


def _no_such_entity(noun: str, name: str) -> NotFound:
    return NotFound(f"The {noun.lower()} with name {name} cannot be found.", code="NoSuchEntity")


USER = Kind(noun="User", arn_type="user", name_member="UserName", arn_member="Arn", missing=_no_such_entity)
ROLE = Kind(noun="Role", arn_type="role", name_member="RoleName", arn_member="Arn", missing=_no_such_entity)
POLICY = Kind(noun="Policy", arn_type="policy", name_member="PolicyName", arn_member="Arn", missing=_no_such_entity)

KINDS = (USER, ROLE, POLICY)
