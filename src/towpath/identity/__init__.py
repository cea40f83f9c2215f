"""Who may call: users, their access keys, roles, and the sessions of those who take a role on."""

from towpath.identity.keys import make_administrator
from towpath.identity.kinds import KINDS, POLICY, ROLE, USER
from towpath.identity.service import iam_operations, sts_operations
from towpath.identity.users import with_roles

__all__ = ["KINDS", "POLICY", "ROLE", "USER", "iam_operations", "make_administrator", "sts_operations", "with_roles"]
