"""The model registry: groups, versions, approval and its history."""

from towpath.registry.kinds import KINDS, MODEL_PACKAGE, MODEL_PACKAGE_GROUP
from towpath.registry.service import approval_history, ensure_group, operations

__all__ = ["KINDS", "MODEL_PACKAGE", "MODEL_PACKAGE_GROUP", "approval_history", "ensure_group", "operations"]
