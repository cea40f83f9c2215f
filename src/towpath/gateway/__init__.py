"""The HTTP front door: the AWS protocols, signatures, and the chain that a request goes through."""

from towpath.gateway.app import application
from towpath.gateway.gateway import Gateway, Limits
from towpath.gateway.service_models import ServiceModels
from towpath.gateway.services.logs import log_operations
from towpath.gateway.services.step_logs import step_log_operations
from towpath.gateway.signing import KeyRing, Keys

__all__ = [
    "Gateway",
    "KeyRing",
    "Keys",
    "Limits",
    "ServiceModels",
    "application",
    "log_operations",
    "step_log_operations",
]
