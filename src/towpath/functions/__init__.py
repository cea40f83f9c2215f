"""Functions: code that is called, by the operations of AWS Lambda; a call is a resource, and a job."""

from towpath.functions.controller import InvocationController
from towpath.functions.ingredients import CallIngredients
from towpath.functions.invoking import step_operations
from towpath.functions.kinds import FUNCTION, FUNCTION_INVOCATION, KINDS
from towpath.functions.model import LOG_GROUPS, InvocationState, InvocationStatus, attempt_keys
from towpath.functions.service import Functions

__all__ = [
    "FUNCTION",
    "FUNCTION_INVOCATION",
    "KINDS",
    "LOG_GROUPS",
    "CallIngredients",
    "Functions",
    "InvocationController",
    "InvocationState",
    "InvocationStatus",
    "attempt_keys",
    "step_operations",
]
